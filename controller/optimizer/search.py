"""The search for whole instances: a tight relaxation, a good plan near it, then a proof as far as time allows.

1. The relaxation, in which instances need not be whole, is solved. Of a large fleet it is rounded at once, and where
   that is close enough and keeps every promise that the relaxation keeps, the search ends.
2. The relaxation is made tight by cover inequalities.
3. Every number is rounded down or up, whichever costs least together: a small program, since most are whole already.
   Numbers of an earlier plan, where one is given, are open to choice as well.
4. Branch and bound goes on from that plan until the gap is closed: with the inequalities where they hold everywhere,
   without where totals are too large for that but the whole numbers are few. Where these are many, the plan is within
   a fraction of an instance of the relaxation already, and the relaxation rounded up stands beside it.

A gap is no leave to break a promise: where an answer breaks one that the relaxation keeps, one within the gap that
keeps it goes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from controller.errors import SolverError, TimedOut
from controller.optimizer.groups import Covering
from controller.optimizer.highs_options import FEW
from controller.optimizer.kept import Promises, broken_steps
from controller.optimizer.program import Answer, Held, Program, Row, Search, solve
from controller.optimizer.whole_fleet import WholeFleet

TIGHT_SHARE = 0.5
"""Most of the time left that the inequalities may take."""
NEAR_SHARE = 0.4
"""Most of the time that the search near the relaxation may take where a proof follows."""
LAST_SHARE = 0.7
"""The same where no proof follows."""
KEEPING_SHARE = 0.2
"""Most of the time left that may be spent, twice, on a promise that the rounded relaxation of a large fleet breaks."""
WHOLE = 1e-6
"""Distance from a whole number that counts as none."""
WIDER = 1.0
"""Instances by which the neighbourhood grows where rounding has no answer."""


@dataclass(frozen=True, slots=True)
class Clocked:
    """What is left of a time limit."""

    monotonic_s: Callable[[], float]
    ends_at_s: float

    def left_s(self) -> float:
        """Time left; never below a millisecond, so that HiGHS ends by itself."""
        return max(1e-3, self.ends_at_s - self.monotonic_s())


@dataclass(frozen=True, slots=True)
class Aim:
    """What is searched for.

    Attributes:
        program: to solve.
        search: how.
        clock: of the time limit.
        promises: those that the relaxation keeps.
    """

    program: Program
    search: Search
    clock: Clocked
    promises: Promises


def search_whole(
    program: Program,
    covering: Covering,
    search: Search,
    monotonic_s: Callable[[], float],
    fleet: WholeFleet | None = None,
) -> Answer:
    """The best whole answer found within the time limit, with a proven bound.

    Args:
        program: to solve.
        covering: makes its inequalities.
        search: how.
        monotonic_s: clock.
        fleet: rounds its relaxation; None to search without.

    Raises:
        TimedOut: none was found in time.
        SolverError: there is none.
    """
    clock = Clocked(monotonic_s, monotonic_s() + search.time_limit_s)
    held = Held(program, search)
    relaxed = held.relaxed(search.time_limit_s)
    if not program.whole.any():
        return relaxed
    promises = Promises.kept_by(program, relaxed.x)
    aim = Aim(program, search, clock, promises)
    rounded = None if fleet is None else _rounded(fleet, held, relaxed, aim)
    if rounded is not None and _is_close(rounded.objective, rounded.bound, search):
        return rounded
    rows, hold_everywhere = covering.rows(program, relaxed.x)
    limited = replace(search, time_limit_s=TIGHT_SHARE * clock.left_s())
    rows, tightened = _tightened(program, rows, relaxed, limited)
    bound = tightened.objective if tightened is not None and hold_everywhere else relaxed.objective
    relaxed = tightened or relaxed
    box = _around(relaxed.x, search.place if hold_everywhere else None)
    near = _near(program.with_rows(rows), box, search, clock, NEAR_SHARE if hold_everywhere else LAST_SHARE)
    if not hold_everywhere and (near is None or not _is_close(near.objective, near.bound, search)):
        near = _better(near, _rounded_up(program, relaxed.x, replace(search, time_limit_s=clock.left_s())))
    if near is None or not promises.are_kept(near.x):
        near = _better(near, rounded)
    if near is None:
        return solve(program.with_rows(rows), replace(search, time_limit_s=clock.left_s()), whole=True)
    keeper = near
    if not promises.are_kept(near.x):
        keeper = _near(promises.bound(program).with_rows(rows), box, search, clock, NEAR_SHARE) or near
        near = _promises_first(near, keeper, bound, aim)
    if _is_close(near.objective, bound, search) or not (hold_everywhere or int(program.whole.sum()) <= FEW):
        return replace(near, bound=bound)
    found = _proved(replace(near, bound=bound), rows if hold_everywhere else [], aim)
    return _promises_first(found, keeper, found.bound, aim)


def _proved(near: Answer, rows: list[Row], aim: Aim) -> Answer:
    """What branch and bound makes of an answer in the time left."""
    tight = aim.program.with_rows(_without(rows, broken_steps(aim.program, near.x)))
    try:
        return solve(tight, replace(aim.search, time_limit_s=aim.clock.left_s()), whole=True, start=near.x)
    except TimedOut:
        return near


def _rounded(fleet: WholeFleet, held: Held, relaxed: Answer, aim: Aim) -> Answer | None:
    """The relaxation rounded; where that breaks a promise, an answer within the gap that keeps it goes first."""
    rounded = fleet.answer(held, aim.program, relaxed, aim.clock.left_s)
    if rounded is None or aim.promises.are_kept(rounded.x):
        return rounded
    keeper = fleet.keeping(held, aim.program, aim.promises, aim.clock.left_s)
    if keeper is not None and _is_close(keeper.objective, relaxed.objective, aim.search):
        return replace(keeper, bound=relaxed.objective)
    if not _is_close(rounded.objective, relaxed.objective, aim.search):
        return rounded
    keeper = _near(aim.promises.bound(aim.program), _around(relaxed.x), aim.search, aim.clock, KEEPING_SHARE)
    return _promises_first(rounded, keeper or rounded, relaxed.objective, aim)


def _promises_first(answer: Answer, keeper: Answer, bound: float, aim: Aim) -> Answer:
    """The answer, or in its place one within the gap that keeps what it breaks."""
    if aim.promises.are_kept(answer.x) or not aim.promises.are_kept(keeper.x):
        return answer
    return replace(keeper, bound=bound) if _is_close(keeper.objective, bound, aim.search) else answer


def _tightened(program: Program, rows: list[Row], relaxed: Answer, search: Search) -> tuple[list[Row], Answer | None]:
    """The relaxation with inequalities, and those of them that it can meet without breaking a promise.

    Where bounds on instances or power leave too little room for whole instances, a promise has to yield, in the
    declared order; inequalities that take all promises for kept would have the wrong one yield.
    """
    while rows:
        try:
            answer = solve(program.with_rows(rows), search, whole=False, basis=relaxed.basis)
        except SolverError:
            return [], None
        broken = broken_steps(program, answer.x)
        kept = _without(rows, broken)
        if len(kept) == len(rows):
            return rows, answer
        rows = kept
    return rows, None


def _without(rows: list[Row], steps: set[int]) -> list[Row]:
    return [row for row in rows if row.step not in steps]


def _around(x: np.ndarray, place: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of an answer rounded down and up, with those of another place at most one instance beyond them."""
    down, up = np.floor(x + WHOLE), np.ceil(x - WHOLE)
    if place is None:
        return down, up
    reached = np.clip(place, down - WIDER, up + WIDER)
    return np.fmin(down, reached), np.fmax(up, reached)


def _near(
    tight: Program, box: tuple[np.ndarray, np.ndarray], search: Search, clock: Clocked, share: float
) -> Answer | None:
    """The best answer in which every whole number is within a box, or little beyond it."""
    whole = tight.whole
    for wider in (0.0, WIDER):
        lower, upper = tight.lower.copy(), tight.upper.copy()
        lower[whole] = np.maximum(lower[whole], box[0][whole] - wider)
        upper[whole] = np.minimum(upper[whole], box[1][whole] + wider)
        limit_s = share * clock.left_s()
        try:
            return solve(tight.within(lower, upper), replace(search, time_limit_s=limit_s), whole=True)
        except SolverError:
            continue
    return None


def _rounded_up(program: Program, x: np.ndarray, search: Search) -> Answer | None:
    """The best answer with every instance that the relaxed one has a part of; None where there is none in time."""
    whole, lower, upper = program.whole, program.lower.copy(), program.upper.copy()
    lower[whole] = np.maximum(lower[whole], np.floor(x[whole] + WHOLE))
    upper[whole] = np.minimum(upper[whole], np.ceil(x[whole] - WHOLE))
    on = program.columns["on"]
    lower[on] = np.maximum(lower[on], upper[on])
    try:
        return solve(program.within(lower, upper), search, whole=True)
    except SolverError:
        return None


def _better(one: Answer | None, other: Answer | None) -> Answer | None:
    known = [answer for answer in (one, other) if answer is not None]
    return min(known, key=lambda answer: answer.objective, default=None)


def _is_close(objective: float, bound: float, search: Search) -> bool:
    return objective - bound <= max(search.abs_gap, search.rel_gap_frac * abs(objective))
