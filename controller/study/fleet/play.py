"""Plays a case to its end: a fixed fleet, or one under the receding-horizon controller. A fluid model of the engines.

Within a step tokens flow at constant rates, power is the affine law of the curves at these rates, and what cannot be
served flows on into the next step. Queueing within a step is what the share of engine time that is not planned is for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controller.errors import ConfigError, SolverError
from controller.model.plan import Plan
from controller.optimizer.outcome import power_w, rates_of
from controller.optimizer.planner import Planner
from controller.study.fleet.case import FleetCase
from controller.study.fleet.ledger import Step
from controller.study.fleet.window import Span, foreseen, most_instances, problem

Told = Callable[[float], None]
"""Told the share of a run that is done."""


@dataclass(frozen=True, slots=True)
class Played:
    """A run.

    Attributes:
        steps: what happened.
        plans: plans of instances made.
        late_plans: of these, those that were not found in time; the instances then stay as they are.
        gap_frac: largest proven gap of the plans, None where there was no plan.
    """

    steps: tuple[Step, ...]
    plans: int = 0
    late_plans: int = 0
    gap_frac: float | None = None


def fixed_fleet(case: FleetCase) -> tuple[int, ...]:
    """Instances of a fleet provisioned for its peak, spread over the sites by their GPUs.

    Args:
        case: with one kind of pool a model.

    Raises:
        ConfigError: the GPUs do not suffice for it.
    """
    on = [0] * len(case.pools)
    for model in dict.fromkeys(pool.model for pool in case.pools):
        members = [k for k, pool in enumerate(case.pools) if pool.model == model]
        room = [most_instances(case, case.pools[k]) for k in members]
        need = _peak_instances(case, members[0], model)
        shares = [need * each / max(1, sum(room)) for each in room]
        for k, share in zip(members, shares, strict=True):
            on[k] = math.ceil(share - 1e-9)
    for c, site in enumerate(case.sites):
        held = sum(on[k] * pool.gpus_per_instance for k, pool in enumerate(case.pools) if pool.c == c)
        if held > site.gpus:
            raise ConfigError(
                f"sites: {site.name!r} has {site.gpus} GPUs, a fixed fleet for the peak takes {held} there; "
                "lower the classes' mean_tokens_per_s or add GPUs"
            )
    return tuple(on)


def _peak_instances(case: FleetCase, k: int, model: str) -> float:
    busy = np.zeros(case.steps)
    for r, cls in enumerate(case.classes):
        if cls.model == model:
            busy += cls.demand_tokens_per_s * case.busy_s_per_token[r][k]
    return float(busy.max()) / case.plan.utilisation_frac


def play_fixed(case: FleetCase, on: tuple[int, ...]) -> Played:
    """The fixed fleet, demand spread over it by the number of instances: no decision is taken."""
    none = np.zeros(len(case.pools), dtype=int)
    counts = np.array(on)
    steps = []
    for t in range(case.steps):
        rates = np.zeros((len(case.classes), len(case.pools)))
        for r, cls in enumerate(case.classes):
            may = counts * np.array(case.allowed[r])
            rates[r] = cls.demand_tokens_per_s[t] * may / max(1, may.sum())
        data = problem(case, Span(t, 1, 1), np.zeros((len(case.classes), 1)), on=on, sleeping=(0,) * len(on))
        asleep = ((0,),) * len(on)
        cells = tuple(tuple((float(rate),) for rate in row) for row in rates)
        site_w = np.array([watts for (watts,) in power_w(data, tuple((count,) for count in on), asleep, cells)])
        steps.append(Step(counts, none, none, rates, site_w, np.zeros(len(case.classes))))
    return Played(tuple(steps))


def play(case: FleetCase, planner: Planner, fixed: tuple[int, ...] | None, told: Told) -> Played:
    """The fleet under the controller.

    Args:
        case: the inputs.
        planner: plans instances and dispatches tokens.
        fixed: instances of each pool that are on throughout, None where they are planned.
        told: told of the progress.
    """
    rng = np.random.default_rng([case.seed, 2])
    every = round(case.plan.every_s / case.step_s)
    state = _State.of(case, fixed)
    steps = []
    for t in range(case.steps):
        told(t / case.steps)
        before = state
        if fixed is None and t % every == 0:
            state = _planned(case, planner, state, t, rng)
        step, state = _dispatched(case, planner, before, state, t)
        steps.append(step)
    return Played(tuple(steps), state.plans, state.late_plans, state.gap_frac)


@dataclass(frozen=True, slots=True)
class _State:
    on: tuple[int, ...]
    sleeping: tuple[int, ...]
    waiting: np.ndarray
    is_new: bool
    plans: int = 0
    late_plans: int = 0
    gap_frac: float | None = None

    @classmethod
    def of(cls, case: FleetCase, fixed: tuple[int, ...] | None) -> _State:
        none = (0,) * len(case.pools)
        return cls(fixed or none, none, np.zeros(len(case.classes)), is_new=True)


def _planned(case: FleetCase, planner: Planner, state: _State, t: int, rng: np.random.Generator) -> _State:
    span = Span(t, case.plan.steps, round(case.plan.step_s / case.step_s))
    demand = foreseen(case, span, rng)
    demand[:, 0] += state.waiting / span.per
    first = state.is_new and not any(state.on)
    data = problem(case, span, demand, on=state.on, sleeping=state.sleeping, from_scratch=first)
    try:
        plan = planner.plan(data, time_limit_s=case.plan.time_limit_s)
    except SolverError:
        if first:
            raise
        return _State(
            state.on, state.sleeping, state.waiting, False, state.plans + 1, state.late_plans + 1, state.gap_frac
        )
    gaps = [gap for gap in (state.gap_frac, plan.gap_frac) if gap is not None]
    return _State(
        tuple(pool.on[0] for pool in plan.pools),
        tuple(pool.sleeping[0] for pool in plan.pools),
        state.waiting,
        first,
        state.plans + 1,
        state.late_plans,
        max(gaps, default=None),
    )


def _dispatched(case: FleetCase, planner: Planner, before: _State, now: _State, t: int) -> tuple[Step, _State]:
    """Send the step's real demand over the instances that are on."""
    asked = np.array([cls.demand_tokens_per_s[t] for cls in case.classes]) + now.waiting
    data = problem(case, Span(t, 1, 1), asked[:, None], on=now.on, sleeping=now.sleeping)
    plan: Plan = planner.dispatch(data, now.on)
    rates = np.array(rates_of(plan))[:, :, 0]
    waiting = np.clip(asked - rates.sum(axis=1), 0.0, None)
    waiting[waiting < 1e-6 * np.maximum(1.0, asked)] = 0.0
    on, was = np.array(now.on), np.array(before.on)
    started = np.zeros_like(on) if now.is_new else np.clip(on - was, 0, None)
    site_w = np.array([site.power_w[0] for site in plan.sites])
    step = Step(on, np.array(now.sleeping), started, rates, site_w, waiting)
    after = _State(now.on, now.sleeping, waiting, False, now.plans, now.late_plans, now.gap_frac)
    return step, after
