"""The levers of the plan, one after the other: what each adds to those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.study.fleet.case import FleetCase, PoolCase
from controller.study.fleet.ledger import Totals, totals
from controller.study.fleet.play import Played, fixed_fleet, play, play_fixed
from controller.study.fleet.state import State
from controller.study.fleet.window import Asked, Span, problem
from router.contract import Precision

FIXED = "bf16 for the peak, nothing decided"
SHIFTING = "+ shifting"
SWITCHING = "+ switching instances"
PRECISION = "+ precision"
ASSETS = "+ on-site assets"
RESPONSE = "+ demand response"

MakePlanner = Callable[[], CvxpyPlanner]
Told = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the ablation."""

    name: str
    totals: Totals
    played: Played
    case: FleetCase


def rows(case: FleetCase, make_planner: MakePlanner, told: Told, *, all_between: bool = True) -> tuple[Row, ...]:
    """Play the case with one lever more each time; demand, prices and GPUs are the same in all rows.

    Assets and demand response have a row where the case has any. The baseline of a response is what the row before
    drew: it pays for nothing that would have been done without it.

    Args:
        case: the case with its assets, outside of any programme.
        make_planner: makes a planner for each row.
        told: told of the progress.
        all_between: whether the rows that neither the first nor the last is made from are played, too.

    Raises:
        ConfigError: the GPUs do not suffice for the fixed fleet, or a class may not use bf16.
    """
    plain = reference(case)
    on = fixed_fleet(plain)
    planned = _planned(case, plain, on)
    if not all_between:
        planned = planned[-1:]
    has_terms = any(site.terms is not None for site in case.sites)
    count = 1 + len(planned) + has_terms

    def told_of(number: int, name: str) -> Callable[[float], None]:
        return lambda done: told((number + done) / count, name.removeprefix("+ "))

    out = [_row(FIXED, plain, play_fixed(plain, on, told_of(0, FIXED)))]
    for name, played, fixed in planned:
        out.append(_row(name, played, play(played, make_planner(), fixed, told_of(len(out), name))))
    if has_terms:
        enrolled = out[-1].case.enrolled(out[-1].played.import_w)
        out.append(_row(RESPONSE, enrolled, play(enrolled, make_planner(), None, told_of(len(out), RESPONSE))))
    return tuple(out)


def reference(case: FleetCase) -> FleetCase:
    """The case that the fixed fleet serves: bf16 alone, without assets.

    Raises:
        ConfigError: a class may not use bf16.
    """
    return case.without_assets().with_pools(lambda pool: _is_reference(case, pool))


def _planned(
    case: FleetCase, plain: FleetCase, on: tuple[int, ...]
) -> tuple[tuple[str, FleetCase, tuple[int, ...] | None], ...]:
    """Name, case and fixed instances of each row that is planned outside of programmes."""
    assets = ((ASSETS, case, None),) if any(site.has_assets for site in case.sites) else ()
    switching = (SWITCHING, plain, None)
    return (SHIFTING, plain, on), switching, (PRECISION, case.without_assets(), None), *assets


def bound_usd(case: FleetCase, planner: CvxpyPlanner) -> float:
    """What no controller of this case can go below: perfect foresight, instances in fractions, a free beginning.

    The span is planned in the plan's intervals with their mean demand, limits and rewards, which costs no more than
    step by step.
    """
    span = Span(0, case.steps // case.plan_per, case.plan_per)
    demand = np.array([span.cells(cls.demand_tokens_per_s).mean(axis=1) for cls in case.classes])
    asked = Asked(demand, from_scratch=True, limit_of=np.mean)
    return planner.bound_usd(problem(case, span, State.of(case), asked))


def _row(name: str, case: FleetCase, played: Played) -> Row:
    return Row(name, totals(case, played.steps), played, case)


def _is_reference(case: FleetCase, pool: PoolCase) -> bool:
    """Whether a pool is the first of its model's bf16 pools."""
    first = next(p for p in case.pools if p.model == pool.model and p.precision is Precision.BF16)
    return pool.precision is Precision.BF16 and pool.profile == first.profile
