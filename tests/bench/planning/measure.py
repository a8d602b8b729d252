"""Solves one instance by the project's optimiser and by plain HiGHS in the same process."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from tests.bench.plan_core import plan_of, problem_of
from tests.bench.plan_instances import judge, make
from tests.bench.planning import plain
from tests.bench.planning.cases import OPTIMAL, Case, Goal

THREADS = 2
GAP_FRAC = 1e-4
"""Share of the energy bill at which our search ends by itself."""


@dataclass(frozen=True)
class Found:
    """What our optimiser found for one goal.

    Attributes:
        ratio, bound_ratio: cost, and the proven bound, over the plain relaxation.
        met: whether the goal is reached, feasibly, in its time.
    """

    goal: Goal
    ratio: float
    bound_ratio: float
    seconds: float
    feasible: bool
    met: bool


@dataclass(frozen=True)
class Measured:
    """One instance.

    Attributes:
        plain_ratio, plain_bound_ratio: of HiGHS on the plain problem; None where it found nothing.
        state_s: to state the problem in cvxpy, paid once for its shape.
        again_s: to set other values and take the arrays, paid at each solve.
        dispatch_ms: the linear program of one interval with the instances given.
    """

    case: Case
    seed: int
    plain_s: float
    plain_ratio: float | None
    plain_bound_ratio: float
    found: tuple[Found, ...]
    state_s: float
    again_s: float
    dispatch_ms: float


def measure(case: Case, seed: int) -> Measured:
    """Solve an instance both ways."""
    core = make(case.name, seed)
    peer = plain.solve(core, seconds=case.plain_s, threads=THREADS)
    data = problem_of(core)
    planner = CvxpyPlanner(time.perf_counter, SolverOptions(gap_frac=GAP_FRAC, threads=THREADS))
    state_s = _timed(lambda: planner.state(data))
    again_s = statistics.median(_timed(lambda: planner.state(data)) for _ in range(5))
    found = tuple(_found(core, planner, data, goal, peer) for goal in case.goals)
    plan = planner.plan(data, time_limit_s=case.goals[0].seconds)
    on = tuple(pool.on[0] for pool in plan.pools)
    planner.dispatch(data, on)
    dispatch_s = statistics.median(_timed(lambda: planner.dispatch(data, on)) for _ in range(9))
    base = peer.relaxed_usd
    return Measured(
        case,
        seed,
        peer.seconds,
        None if peer.cost_usd is None else peer.cost_usd / base,
        peer.bound_usd / base,
        found,
        state_s,
        again_s,
        1000.0 * dispatch_s,
    )


def _found(core: dict[str, Any], planner: CvxpyPlanner, data: Any, goal: Goal, peer: plain.Plain) -> Found:
    plan = planner.plan(data, time_limit_s=goal.seconds)
    judged = judge(core, plan_of(core, plan))
    cost = judged["cost_usd"]
    best = peer.cost_usd if goal.ratio is None else peer.relaxed_usd * goal.ratio
    reached = best is not None and cost <= best * (1 + OPTIMAL)
    return Found(
        goal,
        cost / peer.relaxed_usd,
        cost * (1 - (plan.gap_frac or 0.0)) / peer.relaxed_usd,
        plan.solve_s,
        bool(judged["feasible"]),
        bool(judged["feasible"] and reached and plan.solve_s <= 1.1 * goal.seconds),
    )


def _timed(work: Any) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s
