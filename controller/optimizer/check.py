"""Whether a plan keeps to the problem, told without a solver."""

from __future__ import annotations

import math

from controller.model.plan import Plan
from controller.optimizer.backlog import ledger
from controller.optimizer.check_sites import assets, site_series
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import Outcome, flows_of, lost_share, most_busy, moves, rates_of, slack
from controller.optimizer.promises import BUSY_TOLERANCE, POWER_TOLERANCE_W, TOKENS_TOLERANCE

BROKEN = {
    "serve": "demand silently unserved",
    "quality": "quality budget silently exceeded",
    "limit": "limit silently exceeded",
    "headroom": "headroom silently used",
    "redundancy": "the loss of an instance silently not survived, for lack of spare capacity",
    "ramp": "ramp silently exceeded",
    "final_soc": "battery silently handed on short of its charge",
}
PROMISES = tuple(BROKEN)
"""Names of all promises that a plan may break, as in `Slack.promise`; metrics and pages take them from here."""
MOST_TOLD = {"serve": 0.0, "quality": 0.0, "limit": POWER_TOLERANCE_W, "headroom": BUSY_TOLERANCE}
"""By how much a promise may be broken beyond what the plan tells, in its unit."""


def violations(plan: Plan, data: ProblemData) -> tuple[str, ...]:
    """Every way in which the plan breaks the problem's rules, each as one line; empty for a sound plan.

    A promise that the plan tells to be broken (`Plan.slack`) is no violation; one that it breaks silently is.
    A plan of fewer intervals than the problem is checked as far as it goes.
    """
    shape = _shape(plan, data)
    if shape:
        return shape
    on, sleeping = tuple(pool.on for pool in plan.pools), tuple(pool.sleeping for pool in plan.pools)
    outcome = Outcome.of(data, on, sleeping, rates_of(plan), flows_of(plan))
    return (
        *_numbers(plan, outcome),
        *_instances(plan, data),
        *_moves(plan, data),
        *_tokens(plan, data, outcome),
        *_powers(plan, data, outcome),
        *assets(plan, data, outcome),
        *_promises(plan, data, outcome),
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
    return site_series(plan, data)


def _numbers(plan: Plan, outcome: Outcome) -> tuple[str, ...]:
    flat = [value for row in outcome.rates for cell in row for value in cell]
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
            if sleeping > pool.sleeping_now and not (pool.may_sleep and not pool.is_held):
                reason = "they are left as they are" if pool.is_held else "its engines cannot sleep"
                out.append(f"{pool.pool_id}[{t}]: {sleeping} asleep, although {reason}")
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
        if any(moved.stops) and not data.stops_in(pool):
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


def _tokens(plan: Plan, data: ProblemData, outcome: Outcome) -> tuple[str, ...]:
    out = []
    rates = outcome.rates
    for k, (pool, planned) in enumerate(zip(data.pools, plan.pools, strict=True)):
        for t, serving in enumerate(outcome.serving[k]):
            busy = sum(data.busy_s_per_token[r][k] * rates[r][k][t] for r in range(len(data.classes)))
            most = most_busy(data, serving, planned.on[t])
            if busy > most + BUSY_TOLERANCE:
                out.append(f"{pool.pool_id}[{t}]: {busy:.4f} instances busy of {most:.4f}")
        for r, cls in enumerate(data.classes):
            if not data.allowed[r][k] and max(rates[r][k]) > TOKENS_TOLERANCE:
                out.append(f"{cls.class_id} is served by {pool.pool_id}, whose precision it does not allow")
    for r, cls in enumerate(data.classes):
        served = [sum(cell) for cell in zip(*rates[r], strict=True)]
        over = ledger(cls, served, until_end=plan.horizon.steps == data.horizon.steps).over
        for t, (rate, excess) in enumerate(zip(served, over, strict=True)):
            if excess > TOKENS_TOLERANCE * max(1.0, rate):
                out.append(f"{cls.class_id}[{t}]: {rate:.3f} tokens/s served of {rate - excess:.3f} asked for")
    return tuple(out)


def _powers(plan: Plan, data: ProblemData, outcome: Outcome) -> tuple[str, ...]:
    out = []
    for site, planned, load_w, drawn_w in zip(data.sites, plan.sites, outcome.powers, outcome.drawn, strict=True):
        for what, told, expected in (("load", planned.power_w, load_w), ("import", planned.import_w, drawn_w)):
            for t, (said, means) in enumerate(zip(told, expected, strict=True)):
                if abs(said - means) > POWER_TOLERANCE_W:
                    out.append(f"{site.site_id}[{t}]: {what} of {said:.1f} W predicted, the model says {means:.1f} W")
    return tuple(out)


def _promises(plan: Plan, data: ProblemData, outcome: Outcome) -> tuple[str, ...]:
    told = {(each.promise, each.subject): each.amount for each in plan.slack}
    out = []
    for each in slack(data, outcome):
        most = told.get((each.promise, each.subject), 0.0) * (1 + 1e-6) + MOST_TOLD.get(each.promise, 0.0)
        if each.amount > most:
            broken = f"{each.subject}: {BROKEN[each.promise]}"
            out.append(f"{broken} by {each.amount:.6g} {each.unit}")
    return tuple(out)
