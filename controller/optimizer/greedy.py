"""A plan without a solver: hill climbing on instances, greedy filling of token rates, present interval only.

It is the last rung of the ladder and needs nothing but this module; it aims at a sound plan, not at the best one.
"""

from __future__ import annotations

from controller.model.plan import Plan, PlanOrigin
from controller.optimizer.backlog import still_waiting
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import (
    Outcome,
    assemble,
    moves,
    running_cost_usd,
    serving_of,
    usable,
)
from controller.optimizer.promises import over_limit_w, over_quality, over_ramp_w
from controller.optimizer.spare import Rates, missing_spare, spare_usd_per_token

MAX_ROUNDS = 200
"""Bound on the climb; each round moves one instance, or swaps two."""


def greedy(data: ProblemData) -> Plan:
    """A plan of one interval.

    Instances are chosen for the steady state that follows the interval; token rates are filled into what really serves
    during it.
    """
    on = tuple(min(max(pool.on_now, _least(data, k)), pool.max_on) for k, pool in enumerate(data.pools))
    best = _objective(data, on)
    for _ in range(MAX_ROUNDS):
        scored = [(_objective(data, near), near) for near in _neighbours(data, on)]
        if not scored:
            break
        value, near = min(scored)
        if value >= best * (1 - 1e-9):
            break
        best, on = value, near
    sleeping = _sleeping(data, on)
    counts = tuple((count,) for count in on)
    asleep = tuple((count,) for count in sleeping)
    serving = tuple(
        usable(data, k, counts[k], moves(pool, counts[k], asleep[k]))[0] for k, pool in enumerate(data.pools)
    )
    return assemble(data, PlanOrigin.GREEDY, counts, asleep, fill(data, (serving,)))


def shifted(data: ProblemData, last: Plan, step: int) -> Plan:
    """The last plan from its interval `step` on, its last interval repeated, with token rates filled anew.

    Instances that are no longer there are left out.
    """
    steps = range(data.horizon.steps)
    on, sleeping = [], []
    for pool, planned in zip(data.pools, last.pools, strict=True):
        indices = [min(step + t, last.horizon.steps - 1) for t in steps]
        kept = [max(min(planned.on[i], pool.max_on), pool.min_on, pool.locked[t]) for t, i in enumerate(indices)]
        on.append(tuple(kept))
        asleep = [pool.sleeping_now if pool.is_held else planned.sleeping[i] for i in indices]
        sleeping.append(tuple(min(count, pool.instances - kept[t]) for t, count in enumerate(asleep)))
    serving = serving_of(data, tuple(on), tuple(sleeping))
    by_step = tuple(tuple(serving[k][t] for k in range(len(data.pools))) for t in steps)
    return assemble(data, PlanOrigin.LAST_PLAN, tuple(on), tuple(sleeping), fill(data, by_step))


def filled(data: ProblemData) -> Plan:
    """Token rates filled greedily into the instances that are on now, for a problem of one interval."""
    on = tuple((pool.on_now,) for pool in data.pools)
    sleeping = tuple((pool.sleeping_now,) for pool in data.pools)
    serving = (tuple(float(pool.on_now) for pool in data.pools),)
    return assemble(data, PlanOrigin.GREEDY, on, sleeping, fill(data, serving))


def fill(data: ProblemData, serving: tuple[tuple[float, ...], ...]) -> Rates:
    """Token rates for `serving[t][k]` instances: dearest promise first, then the pool of least energy a token.

    Nobody waits for whom there is room; who finds none waits as long as it may. A class goes to lossy pools as far as
    its quality budget carries; then headroom is used; what is still left goes where there is any room.
    """
    steps = len(serving)
    rates = [[[0.0] * steps for _ in data.pools] for _ in data.classes]
    order = sorted(range(len(data.classes)), key=lambda r: (-data.classes[r].serve_usd_per_token, r))
    for t in range(steps):
        room = [data.utilisation_frac * count for count in serving[t]]
        extra = [max(0.0, data.peak_frac - data.utilisation_frac) * int(count) for count in serving[t]]
        for r in order:
            _fill_class(data, r, t, (room, extra), rates[r])
    return tuple(tuple(tuple(cell) for cell in row) for row in rates)


def _fill_class(
    data: ProblemData, r: int, t: int, rooms: tuple[list[float], list[float]], rates: list[list[float]]
) -> None:
    cls = data.classes[r]
    left = cls.demand_tokens_per_s[t] + still_waiting(cls, [sum(cell[s] for cell in rates) for s in range(t)])
    loss_left, losses = cls.quality_budget_frac[t] * left, data.losses(r)
    pools = sorted((k for k in range(len(data.pools)) if data.allowed[r][k]), key=lambda k: (data.j_per_token[r][k], k))
    for within_budget, room in ((True, rooms[0]), (True, rooms[1]), (False, rooms[0]), (False, rooms[1])):
        for k in pools:
            loss = losses[k]
            most = loss_left / loss if within_budget and loss > 0 else left
            amount = max(0.0, min(left, most, room[k] / data.busy_s_per_token[r][k]))
            rates[k][t] += amount
            room[k] -= amount * data.busy_s_per_token[r][k]
            loss_left -= amount * loss
            left -= amount


def _least(data: ProblemData, k: int) -> int:
    pool = data.pools[k]
    stays = 0 if pool.may_sleep or data.stops_in(pool) else min(pool.on_now, pool.max_on)
    return max(pool.min_on, pool.locked[0], stays)


def _sleeping(data: ProblemData, on: tuple[int, ...]) -> tuple[int, ...]:
    """Those not needed go to sleep, those off are started last; sleepers are stopped where GPUs run short."""
    free = [site.gpus - _gpus(data, c, on) for c, site in enumerate(data.sites)]
    out = []
    for pool, count in zip(data.pools, on, strict=True):
        if pool.is_held:
            out.append(pool.sleeping_now)
            continue
        loaded = max((pool.on_now if pool.may_sleep else 0) + pool.sleeping_now - count, 0)
        room = free[pool.site] // pool.gpus_per_instance if pool.gpus_per_instance else loaded
        kept = max(0, min(loaded, room))
        free[pool.site] -= kept * pool.gpus_per_instance
        out.append(kept)
    return tuple(out)


def _gpus(data: ProblemData, c: int, on: tuple[int, ...]) -> int:
    """GPUs of a site that are not free: those of instances that are on, and of sleepers that are left as they are."""
    pools = ((data.pools[k], on[k]) for k in data.pools_at(c))
    return sum(pool.gpus_per_instance * (count + pool.is_held * pool.sleeping_now) for pool, count in pools)


def _neighbours(data: ProblemData, on: tuple[int, ...]) -> list[tuple[int, ...]]:
    pools = range(len(on))
    steps = [{k: change} for k in pools for change in (-1, 1)]
    swaps = [{k: -1, j: 1} for k in pools for j in pools if k != j]
    near = [tuple(count + step.get(k, 0) for k, count in enumerate(on)) for step in (*steps, *swaps)]
    return [
        counts
        for counts in near
        if all(_least(data, k) <= counts[k] <= data.pools[k].max_on for k in pools)
        and all(_gpus(data, c, counts) <= site.gpus for c, site in enumerate(data.sites))
    ]


def _objective(data: ProblemData, on: tuple[int, ...]) -> float:
    """The plan's objective in USD in the steady state, broken promises at their prices."""
    rates = fill(data, (tuple(float(count) for count in on),))
    counts = tuple((count,) for count in on)
    asleep = tuple((count,) for count in _sleeping(data, on))
    outcome = Outcome.of(data, counts, asleep, rates)
    dt_s = data.horizon.dt_s
    cost = running_cost_usd(data, outcome)
    for site, (drawn_w,) in zip(data.sites, outcome.drawn, strict=True):
        cost += over_limit_w(site, drawn_w, 0) * dt_s * data.limit_usd_per_j
        cost += over_ramp_w(site, (drawn_w,)) * data.ramp_usd_per_w
    serving = tuple((float(count),) for count in on)
    for r, cls in enumerate(data.classes):
        # Rates that leave nothing unserved leave nobody waiting either: greedy defers nothing.
        missing = cls.asked_tokens_per_s - sum(row[0] for row in rates[r])
        cost += max(0.0, missing) * dt_s * cls.serve_usd_per_token
        cost += over_quality(data, rates, r)[0] * dt_s * data.quality_usd_per_token
        cost += missing_spare(data, r, serving, rates) * dt_s * spare_usd_per_token(data, r)
    for k, count in enumerate(on):
        busy = sum(data.busy_s_per_token[r][k] * rates[r][k][0] for r in range(len(data.classes)))
        cost += max(0.0, busy - data.utilisation_frac * count) * dt_s * data.headroom_usd_per_s
    return cost
