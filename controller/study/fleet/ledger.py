"""What a run of the fleet cost and delivered, added up step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.study.fleet.case import FleetCase
from controller.study.fleet.step import Step
from controller.units import J_PER_MWH, SECONDS_PER_HOUR

LIMIT_TOLERANCE_W = 1.0
"""Power above a limit that is arithmetic."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What a run costs, USD.

    Attributes:
        carbon: emissions at the price set on them.
        starts: of instances, beyond their energy.
        wear: of batteries.
        moves: requests brought to other sites.
        quality: quality lost, at the classes' prices.
        recharge: energy that the batteries lack at the end, at the mean price; nothing is earned by a fuller one.
        reward: paid by programmes, less what was paid back to them.
    """

    energy: float
    carbon: float
    starts: float
    wear: float
    moves: float
    quality: float
    recharge: float
    reward: float

    @property
    def usd(self) -> float:
        """The whole."""
        costs = self.energy + self.carbon + self.starts + self.wear + self.moves + self.quality + self.recharge
        return costs - self.reward


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a run.

    Attributes:
        energy_mwh: drawn from the grid.
        load_mwh: taken by the sites.
        quality_loss_frac: mean over all output tokens.
        late_frac: share of the demand that was not served by the end of the step in which it was due.
        strained_frac: share of the tokens served with more engine time than is planned, at the cost of queueing.
        unserved_frac: share of the demand that was not served at all.
        over_limit_mwh: drawn above a limit, or above what was promised to a programme.
        curtailed_mwh: not drawn while a programme called, against its baseline.
        gpu_hours: of GPUs held by instances that serve.
    """

    bill: Bill
    energy_mwh: float
    load_mwh: float
    pv_mwh: float
    carbon_kg: float
    starts: int
    output_tokens: float
    quality_loss_frac: float
    late_frac: float
    strained_frac: float
    unserved_frac: float
    over_limit_mwh: float
    curtailed_mwh: float
    gpu_hours: float


def totals(case: FleetCase, steps: tuple[Step, ...]) -> Totals:
    """Add up a run."""
    mwh = _import_mwh(case, steps)
    seconds = case.step_s
    asked = sum(float(cls.demand_tokens_per_s.sum()) for cls in case.classes) * seconds
    served = sum(float(step.rates.sum()) for step in steps) * seconds
    gpus = np.array([pool.gpus_per_instance for pool in case.pools])
    lost = sum(float((step.rates * np.array(case.quality_loss_frac)).sum()) for step in steps) * seconds
    late = sum(float(step.late_tokens.sum()) for step in steps)
    drawn_w = _series(steps, "import_w")
    over_w = np.array([site.most_import_w for site in case.sites])
    over_w = np.where(drawn_w > over_w + LIMIT_TOLERANCE_W, drawn_w - np.where(np.isfinite(over_w), over_w, 0.0), 0.0)
    to_mwh = seconds / J_PER_MWH
    return Totals(
        bill=_bill(case, steps, mwh),
        energy_mwh=float(mwh.sum()),
        load_mwh=float(_series(steps, "load_w").sum()) * to_mwh,
        pv_mwh=float(_series(steps, "pv_w").sum()) * to_mwh,
        carbon_kg=float((mwh * _of_sites(case, "carbon_kg_per_mwh")).sum()),
        starts=sum(int(step.started.sum()) for step in steps),
        output_tokens=served,
        quality_loss_frac=lost / served if served else 0.0,
        late_frac=late / asked if asked else 0.0,
        strained_frac=sum(_strained(case, step) for step in steps) * seconds / served if served else 0.0,
        unserved_frac=max(0.0, 1.0 - served / asked) if asked else 0.0,
        over_limit_mwh=float(over_w.sum()) * to_mwh,
        curtailed_mwh=float(_reductions_w(case, drawn_w).sum()) * to_mwh,
        gpu_hours=sum(float((step.on * gpus).sum()) for step in steps) * case.hours,
    )


def _bill(case: FleetCase, steps: tuple[Step, ...], mwh: np.ndarray) -> Bill:
    price = _of_sites(case, "price_usd_per_mwh")
    to_mwh = case.step_s / J_PER_MWH
    start_usd = np.array([pool.start_usd for pool in case.pools])
    rates = np.array([step.rates for step in steps])
    cycled_w = _series(steps, "charge_w") + _series(steps, "discharge_w")
    wear = np.array([0.0 if site.battery is None else site.battery.wear_usd_per_mwh for site in case.sites])
    worth = np.array([cls.quality_usd_per_mtoken * 1e-6 for cls in case.classes])
    moves = np.array(case.move_usd_per_token) if case.move_usd_per_token else np.zeros(rates.shape[1:])
    reward = np.array(
        [np.zeros(case.steps) if s.response is None else s.response.reward_usd_per_mwh for s in case.sites]
    )
    return Bill(
        energy=float((mwh * price).sum()),
        carbon=float((mwh * _of_sites(case, "carbon_kg_per_mwh")).sum()) * case.plan.carbon_usd_per_kg,
        starts=sum(float((step.started * start_usd).sum()) for step in steps),
        wear=float((cycled_w.sum(axis=1) * wear).sum()) * to_mwh,
        moves=float((rates * moves).sum()) * case.step_s,
        quality=float(np.einsum("trk,r,rk->", rates, worth, np.array(case.quality_loss_frac))) * case.step_s,
        recharge=_recharge_usd(case, steps[-1]),
        reward=float((_reductions_w(case, _series(steps, "import_w")) * reward).sum()) * to_mwh,
    )


def _import_mwh(case: FleetCase, steps: tuple[Step, ...]) -> np.ndarray:
    """Energy drawn, (C, T).

    The start of an instance is charged with its engine's base power for the time it takes: it begins before the step
    it is wanted in.
    """
    at = np.array([pool.c for pool in case.pools])
    pue = np.array([site.pue for site in case.sites])
    start_mwh = np.array([pool.curves.p0_w * pool.curves.start_s for pool in case.pools]) * pue[at] / J_PER_MWH
    mwh = _series(steps, "import_w") * case.step_s / J_PER_MWH
    for t, step in enumerate(steps):
        np.add.at(mwh[:, t], at, step.started * start_mwh)
    return mwh


def _reductions_w(case: FleetCase, drawn_w: np.ndarray) -> np.ndarray:
    """Power below the baseline while a programme calls, (C, T), negative above it."""
    out = np.zeros_like(drawn_w)
    for c, site in enumerate(case.sites):
        if site.response is not None:
            below_w = np.minimum(site.response.baseline_w - drawn_w[c], site.response.most_w)
            out[c] = np.where(site.response.most_w > 0, below_w, 0.0)
    return out


def _recharge_usd(case: FleetCase, last: Step) -> float:
    usd = 0.0
    for c, site in enumerate(case.sites):
        if site.battery is not None:
            wanted_wh = 1000.0 * site.battery.capacity_kwh * site.battery.start_frac
            short_wh = max(0.0, wanted_wh - float(last.soc_wh[c])) / site.battery.charge_frac
            usd += short_wh * SECONDS_PER_HOUR / J_PER_MWH * float(site.price_usd_per_mwh.mean())
    return usd


def _series(steps: tuple[Step, ...], name: str) -> np.ndarray:
    """A figure of the sites, (C, T)."""
    return np.array([getattr(step, name) for step in steps]).T


def _of_sites(case: FleetCase, name: str) -> np.ndarray:
    return np.array([getattr(site, name) for site in case.sites])


def _of_pools(case: FleetCase, name: str) -> np.ndarray:
    return np.array([getattr(pool, name) for pool in case.pools])


def _strained(case: FleetCase, step: Step) -> float:
    """Output tokens/s beyond what the planned share of engine time carries."""
    busy = (step.rates * np.array(case.busy_s_per_token)).sum(axis=0)
    over = np.clip(busy - case.plan.utilisation_frac * step.on, 0.0, None)
    share = np.divide(over, busy, out=np.zeros_like(over), where=busy > 0)
    return float((step.rates.sum(axis=0) * share).sum())
