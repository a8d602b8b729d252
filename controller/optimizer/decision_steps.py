"""At which intervals of the horizon a change of instances can pay."""

from __future__ import annotations

import math

from controller.optimizer.data import ProblemData

NEAR_STEPS = 2
"""The first intervals, at which the present state is left."""
FAR_STRIDE = 4
"""Where demand or price drift all the time, instances follow them at every fourth interval."""
NOTABLE_FRAC = 0.15
"""A change of demand or price that calls for a decision of its own."""


def decision_steps(data: ProblemData) -> tuple[bool, ...]:
    """For each interval, whether instances may change state at its start.

    These are the first ones; those at which a limit, a response, the least instances, a budget or, notably, demand or
    price change; those before a change of limit or response by which a wake or a start must begin; and, where anything
    drifts, every fourth.
    A problem may allow every interval.
    """
    steps = data.horizon.steps
    if data.moves_anywhen:
        return (True,) * steps
    may = [t < NEAR_STEPS for t in range(steps)]
    drifts = False
    for t in range(1, steps):
        if _limit_changes(data, t):
            for lead in _leads(data):
                may[max(0, t - lead)] = True
            may[t] = True
        elif _bounds_change(data, t) or _notable(data, t):
            may[t] = True
        drifts = drifts or _signals(data, t) != _signals(data, t - 1)
    if drifts:
        may = [move or t % FAR_STRIDE == 0 for t, move in enumerate(may)]
    return tuple(may)


def _leads(data: ProblemData) -> set[int]:
    dt_s = data.horizon.dt_s
    return {
        math.ceil(latency_s / dt_s)
        for pool in data.pools
        for latency_s in (pool.wake_s, pool.start_s)
        if 0 < latency_s <= dt_s * data.horizon.steps
    }


def _limit_changes(data: ProblemData, t: int) -> bool:
    return any(
        site.limit_w[t] != site.limit_w[t - 1]
        or (site.response is not None and site.response.most_w[t] != site.response.most_w[t - 1])
        for site in data.sites
    )


def _bounds_change(data: ProblemData, t: int) -> bool:
    return any(
        pool.locked[t] != pool.locked[t - 1] or math.ceil(pool.late[t]) != math.ceil(pool.late[t - 1])
        for pool in data.pools
    ) or any(cls.quality_budget_frac[t] != cls.quality_budget_frac[t - 1] for cls in data.classes)


def _signals(data: ProblemData, t: int) -> tuple[float, ...]:
    return (*(usd[t] for usd in data.energy_usd_per_w), *(cls.demand_tokens_per_s[t] for cls in data.classes))


def _notable(data: ProblemData, t: int) -> bool:
    return any(
        abs(now - then) > NOTABLE_FRAC * max(abs(now), abs(then))
        for now, then in zip(_signals(data, t), _signals(data, t - 1), strict=True)
    )
