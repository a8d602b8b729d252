"""Plays a case to its end: a fixed fleet, or one under the receding-horizon controller."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from controller.errors import ConfigError, SolverError
from controller.optimizer.planner import Planner
from controller.study.fleet.case import FleetCase
from controller.study.fleet.state import State
from controller.study.fleet.step import Flows, Step, after, dispatched, intent_of
from controller.study.fleet.window import Asked, Span, foreseen, problem, spare_w

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

    @property
    def import_w(self) -> np.ndarray:
        """What the sites drew from the grid, (C, T)."""
        return np.array([step.import_w for step in self.steps]).T


def fixed_fleet(case: FleetCase) -> tuple[int, ...]:
    """Instances of a fleet provisioned for its peak, spread over the sites by their GPUs.

    Args:
        case: with one kind of pool a model.

    Raises:
        ConfigError: the GPUs do not suffice for it.
    """
    busy = np.zeros((len(case.pools), case.steps))
    for shares, each_s, cls in zip(_shares(case), case.busy_s_per_token, case.classes, strict=True):
        busy += np.outer(shares * np.array(each_s), cls.demand_tokens_per_s)
    on = tuple(math.ceil(peak / case.plan.utilisation_frac - 1e-9) for peak in busy.max(axis=1))
    for c, site in enumerate(case.sites):
        held = sum(on[k] * pool.gpus_per_instance for k, pool in enumerate(case.pools) if pool.c == c)
        if held > site.gpus:
            raise ConfigError(
                f"sites: {site.name!r} has {site.gpus} GPUs, a fixed fleet for the peak takes {held} there; "
                "lower the classes' mean_tokens_per_s or add GPUs"
            )
    return on


def _shares(case: FleetCase) -> np.ndarray:
    """[r][k], how a fleet that decides nothing spreads demand: at home, else over the sites by their GPUs."""
    room = np.array([case.most_instances(pool) for pool in case.pools], dtype=float)
    out = []
    for cls, may in zip(case.classes, case.allowed, strict=True):
        at_home = np.array([cls.home is None or pool.c == cls.home for pool in case.pools])
        weights = room * np.array(may) * at_home
        out.append(weights / weights.sum() if weights.sum() > 0 else np.array(may) / sum(may))
    return np.array(out)


def play_fixed(case: FleetCase, on: tuple[int, ...], told: Told) -> Played:
    """The fixed fleet: everything is served at once where it always is, no decision is taken."""
    pue = np.array([site.pue for site in case.sites])
    base_w = np.zeros(len(case.sites))
    for c in range(len(case.sites)):
        base_w[c] = spare_w(case, c)
    p0_w = np.array([pool.curves.p0_w for pool in case.pools])
    off_w = np.array([case.idle_gpu_w * pool.gpus_per_instance for pool in case.pools])
    most = np.array([case.most_instances(pool) for pool in case.pools])
    at = np.array([pool.c for pool in case.pools])
    np.add.at(base_w, at, p0_w * np.array(on) + off_w * (most - np.array(on)))
    shares, joules = _shares(case), np.array(case.j_per_token)
    none_w = np.zeros(len(case.sites))
    state, steps = State.of(case, on), []
    for t in range(case.steps):
        told(t / case.steps)
        rates = shares * np.array([[cls.demand_tokens_per_s[t]] for cls in case.classes])
        it_w = base_w.copy()
        np.add.at(it_w, at, (rates * joules).sum(axis=0))
        load_w = pue * it_w + np.array([site.aux_w for site in case.sites])
        step, state = after(case, state.asked(case, t), on, t, Flows(rates, load_w, none_w, none_w))
        steps.append(step)
    return Played(tuple(steps))


def play(case: FleetCase, planner: Planner, fixed: tuple[int, ...] | None, told: Told) -> Played:
    """The fleet under the controller.

    Args:
        case: the inputs.
        planner: plans instances, batteries and what waits, and dispatches tokens.
        fixed: instances of each pool that are on throughout, None where they are planned.
        told: told of the progress.
    """
    replan = _Replan(case, planner, fixed is not None, np.random.default_rng([case.seed, 2]))
    every = round(case.plan.every_s / case.step_s)
    plans = fixed is None or case.defers or any(site.battery is not None for site in case.sites)
    state, steps = State.of(case, fixed), []
    for t in range(case.steps):
        told(t / case.steps)
        was_on = state.on
        if plans and t % every == 0:
            state = replan.after(state, t)
        step, state = dispatched(case, planner, was_on, state, t)
        steps.append(step)
    return Played(tuple(steps), state.plans, state.late_plans, state.gap_frac)


@dataclass(frozen=True, slots=True)
class _Replan:
    """What every plan of a run is made with."""

    case: FleetCase
    planner: Planner
    is_fixed: bool
    rng: np.random.Generator

    def after(self, state: State, t: int) -> State:
        """The state with a plan from step `t` on."""
        case = self.case
        span = Span(t, _intervals(case, t), case.plan_per)
        first = state.is_new and not self.is_fixed
        asked = Asked(foreseen(case, span, self.rng), fixed=self.is_fixed, from_scratch=first)
        try:
            plan = self.planner.plan(problem(case, span, state, asked), time_limit_s=case.plan.time_limit_s)
        except SolverError:
            if first:
                raise
            return state.late()
        gaps = [gap for gap in (state.gap_frac, plan.gap_frac) if gap is not None]
        return replace(
            state,
            on=tuple(pool.on[0] for pool in plan.pools),
            sleeping=tuple(pool.sleeping[0] for pool in plan.pools),
            intent=intent_of(plan),
            plans=state.plans + 1,
            gap_frac=max(gaps, default=None),
        )


def _intervals(case: FleetCase, t: int) -> int:
    """Intervals of a plan from step `t` on: halved near the end of the span, so that nothing is put off beyond it."""
    intervals = case.plan.steps
    while intervals > 1 and t + intervals * case.plan_per > case.steps:
        intervals = (intervals + 1) // 2
    return intervals
