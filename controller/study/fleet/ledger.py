"""What a run of the fleet cost and delivered, added up step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.study.fleet.case import FleetCase
from controller.units import J_PER_MWH


@dataclass(frozen=True, slots=True)
class Step:
    """What happened in one step.

    Attributes:
        on: (K,) instances serving.
        sleeping: (K,) instances asleep.
        started: (K,) instances started or woken for this step.
        rates: (R, K) output tokens/s.
        site_w: (C,) power at the meters.
        late_tokens_per_s: (R,) demand that was left for later.
    """

    on: np.ndarray
    sleeping: np.ndarray
    started: np.ndarray
    rates: np.ndarray
    site_w: np.ndarray
    late_tokens_per_s: np.ndarray


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a run.

    Attributes:
        energy_usd, carbon_usd, start_usd: of energy, of emissions at the price set on them, of starts beyond energy.
        quality_loss_frac: mean over all output tokens.
        late_frac: share of the demand that was not served in the step in which it was asked for.
        strained_frac: share of the tokens served with more engine time than is planned, at the cost of queueing.
        unserved_frac: share of the demand that was not served at all.
        gpu_hours: of GPUs held by instances that serve.
    """

    energy_mwh: float
    energy_usd: float
    carbon_kg: float
    carbon_usd: float
    start_usd: float
    starts: int
    output_tokens: float
    quality_loss_frac: float
    late_frac: float
    strained_frac: float
    unserved_frac: float
    gpu_hours: float

    @property
    def usd(self) -> float:
        """The whole bill."""
        return self.energy_usd + self.carbon_usd + self.start_usd


def totals(case: FleetCase, steps: tuple[Step, ...]) -> Totals:
    """Add up a run.

    The start of an instance is charged with its engine's base power for the time it takes: it begins before the step
    it is wanted in.
    """
    pue = np.array([site.pue for site in case.sites])
    price, carbon = (
        np.array([getattr(site, name) for site in case.sites]) for name in ("price_usd_per_mwh", "carbon_kg_per_mwh")
    )
    at = np.array([pool.c for pool in case.pools])
    start_j = np.array([pool.curves.p0_w * pool.curves.start_s for pool in case.pools]) * pue[at]
    loss, gpus, start_usd = (
        np.array([getattr(pool, name) for pool in case.pools])
        for name in ("quality_loss_frac", "gpus_per_instance", "start_usd")
    )
    mwh = np.array([step.site_w * case.step_s for step in steps]).T / J_PER_MWH
    for t, step in enumerate(steps):
        np.add.at(mwh[:, t], at, step.started * start_j / J_PER_MWH)
    seconds = case.step_s
    served = sum(float(step.rates.sum()) for step in steps) * seconds
    asked = sum(float(cls.demand_tokens_per_s.sum()) for cls in case.classes) * seconds
    late = sum(float(step.late_tokens_per_s.sum()) for step in steps) * seconds
    lost = sum(float((step.rates.sum(axis=0) * loss).sum()) for step in steps) * seconds
    strained = sum(_strained(case, step) for step in steps) * seconds
    emitted_kg = float((mwh * carbon).sum())
    return Totals(
        energy_mwh=float(mwh.sum()),
        energy_usd=float((mwh * price).sum()),
        carbon_kg=emitted_kg,
        carbon_usd=emitted_kg * case.plan.carbon_usd_per_kg,
        start_usd=sum(float((step.started * start_usd).sum()) for step in steps),
        starts=sum(int(step.started.sum()) for step in steps),
        output_tokens=served,
        quality_loss_frac=lost / served if served else 0.0,
        late_frac=late / asked if asked else 0.0,
        strained_frac=strained / served if served else 0.0,
        unserved_frac=max(0.0, 1.0 - served / asked) if asked else 0.0,
        gpu_hours=sum(float((step.on * gpus).sum()) for step in steps) * case.hours,
    )


def _strained(case: FleetCase, step: Step) -> float:
    """Output tokens/s beyond what the planned share of engine time carries."""
    busy = (step.rates * np.array(case.busy_s_per_token)).sum(axis=0)
    over = np.clip(busy - case.plan.utilisation_frac * step.on, 0.0, None)
    share = np.divide(over, busy, out=np.zeros_like(over), where=busy > 0)
    return float((step.rates.sum(axis=0) * share).sum())
