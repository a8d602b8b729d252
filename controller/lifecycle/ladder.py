"""The ladder of plans: each rung is tried, checked without a solver, and left for the next one with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from controller.errors import SolverError
from controller.lifecycle.diagnostics import Fallback
from controller.model.plan import Plan
from controller.optimizer.check import violations
from controller.optimizer.data import ProblemData, SiteData
from controller.optimizer.dispatch import first_interval
from controller.optimizer.earlier import earlier_of
from controller.optimizer.greedy import filled, greedy, shifted
from controller.optimizer.outcome import least_power_w, retold
from controller.optimizer.planner import Planner
from controller.optimizer.promises import POWER_TOLERANCE_W

FRUGAL = 0.1
"""Price of a token's energy over a limit that cannot be kept, as a share of the worth of the token."""

MAX_REASON = 300
"""Characters that are told of a fault."""


@dataclass(frozen=True, slots=True)
class Made:
    """A plan and the rungs left on the way to it."""

    plan: Plan
    fallbacks: tuple[Fallback, ...]


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to a plan: how it is made and the problem it is checked against."""

    name: str
    make: Callable[[], Plan]
    data: ProblemData


def step_of(plan: Plan, now_s: float) -> int:
    """Interval of a plan that holds now; the last one after the plan's end."""
    step = int((now_s - plan.horizon.start_s) // plan.horizon.dt_s)
    return min(max(0, step), plan.horizon.steps - 1)


def slow(
    planner: Planner,
    data: ProblemData,
    last: Plan | None,
    *,
    time_limit_s: float,
    serving: tuple[int, ...],
    limit_first: bool = True,
    doubts_w: tuple[float, ...] = (),
    drawn_w: tuple[float, ...] = (),
) -> Made:
    """A plan for the instances: MILP, a surer MILP, the last plan's instances dispatched, the last plan, greedy.

    While a limit is in force that outranks the classes and that the serving instances exceed, a rung whose plan would
    draw more than they do at the same demand is refused: what is done to curtail may never raise the power. While the
    limit is exceeded, an instance that the plan adds counts at the upper end of its doubt and one that it takes away at
    the lower end; so counted, the plan may not draw more than is drawn now. Where that refuses the best plan, the best
    of those is sought in which pools that do not serve yet draw what they do at their upper end.

    Args:
        planner: the solver.
        data: the problem.
        last: the plan in force.
        time_limit_s: for the MILP.
        serving: instances that serve now, a pool.
        limit_first: whether limits outrank the classes; where they do not, instances may come up over a limit to serve.
        doubts_w: how far P0 of an instance of each pool may lie from what the problem says; () for no doubt.
        drawn_w: power at each meter now; () where it is not known.
    """
    now_s = data.horizon.start_s
    begun = data if last is None else replace(data, earlier=earlier_of(data, last))
    guard = _guard(data, serving, doubts_w, drawn_w) if limit_first else _unguarded(data)
    search = _Search(planner, begun, time_limit_s)
    rungs = [Rung("milp", search.plan, data)]
    if any(guard.doubts_w):
        rungs.append(Rung("surer", lambda: search.surer(serving, doubts_w), data))
    if last is not None and _same_pools(last, data):
        step = step_of(last, now_s)
        pairs = zip(last.pools, data.pools, strict=True)
        on = tuple(now.on_now if now.is_held else min(pool.on[step], now.instances) for pool, now in pairs)
        rungs.append(Rung("dispatch", lambda: planner.dispatch(data, on), first_interval(data, on)))
        rungs.append(Rung("last_plan", lambda: shifted(data, last, step), data))
    rungs.append(Rung("greedy", lambda: greedy(data), data))
    return _climb_down("plan", rungs, guard)


class _Search:
    """The mixed-integer program, twice at the most, within the time for one."""

    def __init__(self, planner: Planner, data: ProblemData, time_limit_s: float) -> None:
        self._planner = planner
        self._data = data
        self._left_s = time_limit_s
        self._is_solved = False

    def plan(self) -> Plan:
        """The best plan by the curves in force."""
        plan = self._planner.plan(self._data, time_limit_s=self._left_s)
        self._left_s -= plan.solve_s or 0.0
        self._is_solved = True
        return plan

    def surer(self, serving: tuple[int, ...], doubts_w: tuple[float, ...]) -> Plan:
        """The best plan with pools that do not serve at the upper end of their doubt, told by the curves in force.

        Raises:
            SolverError: the first search gave no plan, or took all the time.
        """
        if not self._is_solved or self._left_s <= 0.0:
            raise SolverError("no time is left for a surer plan")
        pools = tuple(
            pool if serves else replace(pool, p0_w=pool.p0_w + doubt)
            for pool, serves, doubt in zip(self._data.pools, serving, doubts_w, strict=True)
        )
        return retold(self._data, self._planner.plan(replace(self._data, pools=pools), time_limit_s=self._left_s))


def fast(
    planner: Planner,
    data: ProblemData,
    serving: tuple[int, ...],
    *,
    limit_first: bool = True,
    until_planned: bool = False,
    leaves_w: float = 0.0,
) -> Made:
    """Token rates now over the serving instances: the linear program, else filled greedily.

    Where the instances alone draw more than the limit, or than the ramp up lets them, the plan tells by how much it is
    broken. Where the classes outrank the limit, tokens are then dispatched as if there were none. Where the limit
    outranks them, nobody is served whose tokens draw power: an instance that has nothing to do draws less than it
    counts for here, so that the limit may be kept all the same.

    Where no more is over the limit than draws what is about to go, nobody else waits for it, and what is under way is
    served to its end anyhow: those that may wait are held, and the others served where a token takes the least energy.
    So it is `until_planned`, too, where a class that may not wait would have to be shed.

    Args:
        planner: the solver.
        data: the problem.
        serving: instances that serve now, a pool.
        limit_first: whether limits outrank the classes.
        until_planned: whether the instances are those of a plan that knows nothing of the limit, and another follows.
        leaves_w: power at the meter of instances that are about to go: that drain, or serve beyond the plan.
    """
    now = first_interval(data, serving)
    least = least_power_w(now)
    sites = tuple(_solvable(site, w, limit_first=limit_first) for site, w in zip(now.sites, least, strict=True))
    usual = replace(now, sites=sites)
    if not limit_first:
        return _dispatched(planner, now, serving, usual, usual)
    over_w = _over_w(now, least)
    if over_w > 0.0:
        frugal = replace(_frugal(now), sites=sites)
        return _dispatched(planner, now, serving, frugal if until_planned or over_w <= leaves_w else usual, frugal)
    made = _dispatched(planner, now, serving, usual, usual)
    if until_planned and _sheds_firm(made.plan, now):
        frugal = replace(_frugal(now), sites=sites)
        return _dispatched(planner, now, serving, frugal, frugal)
    return made


def _over_w(now: ProblemData, least: tuple[float, ...]) -> float:
    """By how much the instances alone draw more than the limit of a site, at most; 0 where none does."""
    limits = zip((site.limit_w[0] for site in now.sites), least, strict=True)
    return max(
        (least_w - limit_w for limit_w, least_w in limits if limit_w is not None and least_w > limit_w), default=0.0
    )


def _sheds_firm(plan: Plan, now: ProblemData) -> bool:
    """Whether a class that may not wait is not served."""
    firm = {cls.class_id for cls in now.classes if not cls.may_wait}
    return any(slack.promise == "serve" and slack.subject in firm for slack in plan.slack)


def _dispatched(
    planner: Planner, now: ProblemData, serving: tuple[int, ...], solvable: ProblemData, fillable: ProblemData
) -> Made:
    """The first sound dispatch, told by the problem as it is.

    Args:
        planner: the solver.
        now: the problem as it is.
        serving: instances that serve now, a pool.
        solvable: what is solved in its place.
        fillable: what is filled greedily, which knows no price of a limit.
    """
    rungs = [
        Rung("dispatch", lambda: planner.dispatch(solvable, serving), solvable),
        Rung("greedy", lambda: filled(fillable), fillable),
    ]
    made = _climb_down("dispatch", rungs, _unguarded(now))
    return made if solvable == fillable == now else replace(made, plan=retold(now, made.plan))


def _frugal(now: ProblemData) -> ProblemData:
    """The problem in which classes that may wait ask for nothing, and a joule is dear but no reason to serve less."""
    classes = tuple(
        replace(cls, demand_tokens_per_s=(0.0,), backlog_tokens_per_s=()) if cls.may_wait else cls
        for cls in now.classes
    )
    worth = min((cls.serve_usd_per_token for cls in classes if not cls.may_wait), default=0.0)
    dearest_j = max((now.j_per_token[r][k] * now.sites[now.pools[k].site].pue for r, k in now.pairs), default=1.0)
    return replace(now, classes=classes, limit_usd_per_j=FRUGAL * worth / max(dearest_j, 1e-9))


def _solvable(site: SiteData, least_w: float, *, limit_first: bool) -> SiteData:
    limit_w, most_w = site.limit_w[0], site.most_first_w
    if limit_w is not None and least_w > limit_w and not limit_first:
        site = replace(site, limit_w=(None,))
    return site if most_w is None or least_w <= most_w else replace(site, ramp_w=None)


def _same_pools(plan: Plan, data: ProblemData) -> bool:
    return tuple(pool.pool_id for pool in plan.pools) == tuple(pool.pool_id for pool in data.pools)


@dataclass(frozen=True, slots=True)
class _Guard:
    """What a plan may predict for now at each site.

    Attributes:
        most_w: the limit, or what the serving instances draw where that is more; infinite without a limit.
        most_doubted_w: the same for a plan whose doubt is counted: also what is drawn now, where that is more.
        doubts_w: [k], power at the meter by which an instance that comes may draw more, and one that goes less, than
            predicted; 0 at a site that is within its limit.
        serving: [k], instances that serve now.
    """

    most_w: tuple[float, ...]
    most_doubted_w: tuple[float, ...]
    doubts_w: tuple[float, ...]
    serving: tuple[int, ...]

    def refused(self, plan: Plan, data: ProblemData) -> tuple[str, ...]:
        """Why a plan is refused, a reason for each site whose power it may raise."""
        doubted = [0.0] * len(data.sites)
        for k, pool in enumerate(data.pools):
            doubted[pool.site] += self.doubts_w[k] * abs(plan.pools[k].on[0] - self.serving[k])
        return tuple(
            f"{site.import_w[0] + doubt:.0f} W would raise the power of {site.site_id} during a limit"
            + (f" ({doubt:.0f} W of it are doubt of the curves)" if doubt > 0.0 else "")
            for site, most, at_worst, doubt in zip(plan.sites, self.most_w, self.most_doubted_w, doubted, strict=True)
            if site.import_w[0] > most or site.import_w[0] + doubt > at_worst
        )


def _unguarded(data: ProblemData) -> _Guard:
    anything = (math.inf,) * len(data.sites)
    return _Guard(anything, anything, (0.0,) * len(data.pools), (0,) * len(data.pools))


def _guard(
    data: ProblemData, serving: tuple[int, ...], doubts_w: tuple[float, ...], drawn_w: tuple[float, ...]
) -> _Guard:
    limits = [site.limit_w[0] for site in data.sites]
    if not any(limit is not None for limit in limits):
        return _unguarded(data)
    now = filled(first_interval(data, serving)).sites
    over = [limit is not None and site.import_w[0] > limit for limit, site in zip(limits, now, strict=True)]
    doubts = doubts_w or (0.0,) * len(data.pools)
    most = tuple(
        math.inf if limit is None else max(limit, site.import_w[0]) + POWER_TOLERANCE_W
        for limit, site in zip(limits, now, strict=True)
    )
    return _Guard(
        most_w=most,
        most_doubted_w=tuple(max(pair) for pair in zip(most, drawn_w or most, strict=True)),
        doubts_w=tuple(
            data.sites[pool.site].pue * doubt if over[pool.site] else 0.0
            for pool, doubt in zip(data.pools, doubts, strict=True)
        ),
        serving=serving,
    )


def _climb_down(ladder: str, rungs: list[Rung], guard: _Guard) -> Made:
    """The first sound plan; where none is sound, the last rung's, which needs no solver and draws on what there is."""
    fallbacks: list[Fallback] = []
    for index, rung in enumerate(rungs):
        below = rungs[index + 1].name if index + 1 < len(rungs) else "unchecked"
        try:
            plan = rung.make()
        except SolverError as error:
            fallbacks.append(Fallback(ladder, below, str(error)))
            continue
        except Exception as error:  # a solver that breaks is left like one that finds nothing: a limit waits for none
            fallbacks.append(Fallback(ladder, below, f"{rung.name}: {type(error).__name__}: {error}"[:MAX_REASON]))
            continue
        problems = violations(plan, rung.data)
        problems = (*guard.refused(plan, rung.data), *problems)
        if not problems:
            return Made(plan, tuple(fallbacks))
        fallbacks.append(Fallback(ladder, below, f"{rung.name}: {'; '.join(problems[:3])}"))
    return Made(rungs[-1].make(), tuple(fallbacks))
