"""Whether a plan keeps to the problem, told without a solver."""

from __future__ import annotations

import math

from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import (
    BUSY_TOLERANCE,
    POWER_TOLERANCE_W,
    TOKENS_TOLERANCE,
    Rates,
    headroom_used,
    lost_share,
    most_busy,
    moves,
    over_limit_w,
    over_quality,
    power_w,
    rates_of,
    unserved,
    usable,
)


def violations(plan: Plan, data: ProblemData) -> tuple[str, ...]:
    """Every way in which the plan breaks the problem's rules, each as one line; empty for a sound plan.

    A promise that the plan tells to be broken (`Plan.slack`) is no violation; one that it breaks silently is.
    A plan of fewer intervals than the problem is checked as far as it goes.
    """
    shape = _shape(plan, data)
    if shape:
        return shape
    rates = rates_of(plan)
    return (
        *_numbers(plan, rates),
        *_instances(plan, data),
        *_moves(plan, data),
        *_tokens(plan, data, rates),
        *_promises(plan, data, rates),
    )


def _shape(plan: Plan, data: ProblemData) -> tuple[str, ...]:
    steps = plan.horizon.steps
    if not 1 <= steps <= data.horizon.steps:
        return (f"{steps} intervals, the problem has {data.horizon.steps}",)
    if tuple(pool.pool_id for pool in plan.pools) != tuple(pool.pool_id for pool in data.pools):
        return ("the plan's pools are not those of the problem",)
    classes = tuple(cls.class_id for cls in data.classes)
    for pool in plan.pools:
        if tuple(class_id for class_id, _ in pool.output_tokens_per_s) != classes:
            return (f"{pool.pool_id}: the plan's classes are not those of the problem",)
        lengths = {len(pool.on), len(pool.sleeping), *(len(rates) for _, rates in pool.output_tokens_per_s)}
        if lengths != {steps}:
            return (f"{pool.pool_id}: series of {sorted(lengths)} intervals, {steps} expected",)
    if tuple(site.site_id for site in plan.sites) != tuple(site.site_id for site in data.sites):
        return ("the plan's sites are not those of the problem",)
    for site in plan.sites:
        if len(site.power_w) != steps:
            return (f"{site.site_id}: power of {len(site.power_w)} intervals, {steps} expected",)
    return ()


def _numbers(plan: Plan, rates: Rates) -> tuple[str, ...]:
    flat = [value for row in rates for cell in row for value in cell]
    if not all(math.isfinite(value) and value >= 0 for value in flat):
        return ("a token rate is negative or not finite",)
    if not all(math.isfinite(value) for site in plan.sites for value in site.power_w):
        return ("a predicted power is not finite",)
    return ()


def _instances(plan: Plan, data: ProblemData) -> tuple[str, ...]:
    out = []
    for pool, planned in zip(data.pools, plan.pools, strict=True):
        for t, (on, sleeping) in enumerate(zip(planned.on, planned.sleeping, strict=True)):
            if min(on, sleeping) < 0 or on + sleeping > pool.instances:
                out.append(f"{pool.pool_id}[{t}]: {on} on and {sleeping} asleep of {pool.instances} instances")
            if not max(pool.min_on, pool.locked[t]) <= on <= pool.max_on:
                bounds = f"{max(pool.min_on, pool.locked[t])}..{pool.max_on}"
                out.append(f"{pool.pool_id}[{t}]: {on} on, outside {bounds}")
    for c, site in enumerate(data.sites):
        pools = [(data.pools[k].gpus_per_instance, plan.pools[k]) for k in data.pools_at(c)]
        for t in range(plan.horizon.steps):
            held = sum(gpus * (planned.on[t] + planned.sleeping[t]) for gpus, planned in pools)
            if held > site.gpus:
                out.append(f"{site.site_id}[{t}]: {held} GPUs held of {site.gpus}")
    return tuple(out)


def _moves(plan: Plan, data: ProblemData) -> tuple[str, ...]:
    out = []
    for pool, planned in zip(data.pools, plan.pools, strict=True):
        moved = moves(pool, planned.on, planned.sleeping)
        if not data.may_stop and any(moved.stops):
            out.append(f"{pool.pool_id}: {sum(moved.stops)} stops, although instances must not be stopped")
        for t, on in enumerate(planned.on):
            held = 0
            for lag in range(t + (not data.from_scratch)):
                hold_start = lag < pool.min_up_steps or lost_share(pool.start_s, data.horizon.dt_s, lag) > 0
                hold_wake = lag < pool.min_up_steps or lost_share(pool.wake_s, data.horizon.dt_s, lag) > 0
                held += moved.wakes[t - lag] * hold_wake + moved.starts[t - lag] * hold_start
            if held > on:
                out.append(f"{pool.pool_id}[{t}]: {on} on, although {held} must stay up")
    return tuple(out)


def _tokens(plan: Plan, data: ProblemData, rates: Rates) -> tuple[str, ...]:
    out = []
    for k, (pool, planned) in enumerate(zip(data.pools, plan.pools, strict=True)):
        moved = moves(pool, planned.on, planned.sleeping)
        for t, serving in enumerate(usable(data, k, planned.on, moved)):
            busy = sum(data.busy_s_per_token[r][k] * rates[r][k][t] for r in range(len(data.classes)))
            most = most_busy(data, serving, planned.on[t])
            if busy > most + BUSY_TOLERANCE:
                out.append(f"{pool.pool_id}[{t}]: {busy:.4f} instances busy of {most:.4f}")
        for r, cls in enumerate(data.classes):
            if not data.allowed[r][k] and max(rates[r][k]) > TOKENS_TOLERANCE:
                out.append(f"{cls.class_id} is served by {pool.pool_id}, whose precision it does not allow")
    for r, cls in enumerate(data.classes):
        for t in range(plan.horizon.steps):
            served, demand = sum(row[t] for row in rates[r]), cls.demand_tokens_per_s[t]
            if served > demand + TOKENS_TOLERANCE * max(1.0, demand):
                out.append(f"{cls.class_id}[{t}]: {served:.3f} tokens/s served of {demand:.3f} asked for")
    return tuple(out)


def _promises(plan: Plan, data: ProblemData, rates: Rates) -> tuple[str, ...]:
    told = {(slack.promise, slack.subject): slack.amount for slack in plan.slack}
    out = []
    steps = range(plan.horizon.steps)
    for r, cls in enumerate(data.classes):
        missing = max(unserved(data, rates, r, t) for t in steps)
        if missing > told.get(("serve", cls.class_id), 0.0) * (1 + 1e-6):
            out.append(f"{cls.class_id}: {missing:.3f} tokens/s silently unserved")
        excess = max(over_quality(data, rates, r, t) for t in steps)
        if excess > told.get(("quality", cls.class_id), 0.0) * (1 + 1e-6):
            out.append(f"{cls.class_id}: quality budget silently exceeded by {excess:.6f} loss·tokens/s")
    for pool, amount in headroom_used(data, plan):
        if amount > told.get(("headroom", pool), 0.0) * (1 + 1e-6) + BUSY_TOLERANCE:
            out.append(f"{pool}: headroom silently used, {amount:.4f} instances")
    on = tuple(pool.on for pool in plan.pools)
    sleeping = tuple(pool.sleeping for pool in plan.pools)
    for site, planned, expected in zip(data.sites, plan.sites, power_w(data, on, sleeping, rates), strict=True):
        for t, (said, means) in enumerate(zip(planned.power_w, expected, strict=True)):
            if abs(said - means) > POWER_TOLERANCE_W:
                out.append(f"{site.site_id}[{t}]: {said:.1f} W predicted, the model says {means:.1f} W")
        over = max(over_limit_w(site, expected[t], t) for t in steps)
        if over > told.get(("limit", site.site_id), 0.0) + POWER_TOLERANCE_W:
            out.append(f"{site.site_id}: limit silently exceeded by {over:.1f} W")
    return tuple(out)
