"""The levers of the plan, one after the other: what each adds to those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.study.fleet.case import FleetCase, PoolCase
from controller.study.fleet.ledger import Totals, totals
from controller.study.fleet.play import Played, fixed_fleet, play, play_fixed
from controller.study.fleet.window import Span, problem
from router.contract import Precision

FIXED = "bf16 for the peak, nothing decided"
SHIFTING = "+ shifting between sites"
SWITCHING = "+ switching instances"
PRECISION = "+ precision"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the ablation."""

    name: str
    totals: Totals
    played: Played
    case: FleetCase


def rows(
    case: FleetCase, make_planner: Callable[[], CvxpyPlanner], told: Callable[[float, str], None]
) -> tuple[Row, ...]:
    """Play the case with one lever more each time; demand, prices and GPUs are the same in all rows.

    Raises:
        ConfigError: the GPUs do not suffice for the fixed fleet, or a class may not use bf16.
    """
    plain = case.with_pools(lambda pool: _is_reference(case, pool))
    on = fixed_fleet(plain)
    out = [_row(FIXED, plain, play_fixed(plain, on))]
    turns = ((SHIFTING, plain, on), (SWITCHING, plain, None), (PRECISION, case, None))
    for number, (name, played, fixed) in enumerate(turns):
        told(number / len(turns), name.removeprefix("+ "))

        def within(done: float, number: int = number, name: str = name) -> None:
            told((number + done) / len(turns), name.removeprefix("+ "))

        out.append(_row(name, played, play(played, make_planner(), fixed, within)))
    return tuple(out)


def bound_usd(case: FleetCase, planner: CvxpyPlanner) -> float:
    """What no controller of this case can go below: perfect foresight, instances in fractions, a free beginning.

    The span is planned in the plan's intervals with their mean demand, which costs no more than step by step.
    """
    per = round(case.plan.step_s / case.step_s)
    span = Span(0, case.steps // per, per)
    demand = np.array([span.cells(cls.demand_tokens_per_s).mean(axis=1) for cls in case.classes])
    none = (0,) * len(case.pools)
    return planner.bound_usd(problem(case, span, demand, on=none, sleeping=none, from_scratch=True))


def _row(name: str, case: FleetCase, played: Played) -> Row:
    return Row(name, totals(case, played.steps), played, case)


def _is_reference(case: FleetCase, pool: PoolCase) -> bool:
    """Whether a pool is the first of its model's bf16 pools."""
    first = next(p for p in case.pools if p.model == pool.model and p.precision is Precision.BF16)
    return pool.precision is Precision.BF16 and pool.profile == first.profile
