"""The allocation table: weights from token rates, in-flight caps from latency, and who gets nothing new."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.lifecycle.memory import Phase
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.views import View, serving_by_pool
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.dispatch import first_interval
from controller.optimizer.outcome import least_power_w, rates_of
from controller.optimizer.promises import POWER_TOLERANCE_W
from controller.optimizer.workload import Lengths, batch_at_rate, slo_batch
from router.contract import (
    AllocationTable,
    ClassWeights,
    EventNotice,
    EventState,
    InstanceCap,
    InstanceId,
    PoolWeight,
)

WEIGHT_DECIMALS = 4
LEAST_WEIGHT = 0.001
"""A smaller share is left out: it is less than one request in a thousand."""
SETTLED_WEIGHT = 0.01
"""Weights that differ by less stay as they are, so that sessions are not moved for nothing."""
SHED_HEADROOM = 1.15
"""Room above the planned batch where load must be shed, so that the planned rate itself is reached."""


@dataclass(frozen=True, slots=True)
class Body:
    """A table without its sequence and times."""

    weights: tuple[ClassWeights, ...]
    caps: tuple[InstanceCap, ...]
    draining: tuple[InstanceId, ...]
    event: EventNotice | None


def body(site: Site, data: ProblemData, dispatch: Plan, views: tuple[View, ...], lengths: tuple[Lengths, ...]) -> Body:
    """What the routers are to do, for the dispatched token rates; the event is added by `with_event`."""
    spared = _spared(dispatch, views)
    return Body(
        weights=_weights(site, data, dispatch, views),
        caps=_caps(site, data, dispatch, views, lengths, spared),
        draining=tuple(
            view.instance.instance_id
            for view in views
            if view.is_barred
            or view.instance.instance_id in spared
            or (view.intent.phase is not Phase.SERVE and not _is_engine_lost(view))
        ),
        event=None,
    )


def _sheds(dispatch: Plan) -> bool:
    """Whether a limit leaves somebody unserved."""
    return dispatch.is_limited(0) and any(slack.promise == "serve" for slack in dispatch.slack)


def _spared(dispatch: Plan, views: tuple[View, ...]) -> frozenset[InstanceId]:
    """Instances that serve and are to have no work: where these alone exceed a limit, all but one of an unused pool.

    What trickles through to those that are held goes to that one: an engine with a single request draws P0 as well.
    """
    if not _sheds(dispatch) or not any(slack.promise == "limit" for slack in dispatch.slack):
        return frozenset()
    spared = []
    for k, pool in enumerate(dispatch.pools):
        if not any(rates[0] > 0 for _, rates in pool.output_tokens_per_s):
            spared += [view.instance.instance_id for view in views if view.serves and view.pool_index == k][1:]
    return frozenset(spared)


def with_event(content: Body, events: tuple[GridEvent, ...], now_s: float) -> Body:
    """The body with the event in force of the lowest limit, or else the next one known."""
    active = [event for event in events if event.state(now_s) is EventState.ACTIVE]
    pending = [event for event in events if event.state(now_s) is EventState.PENDING]
    if active:
        event = min(active, key=lambda e: (e.limit_w, e.event_id))
    elif pending:
        event = min(pending, key=lambda e: (e.start_s, e.event_id))
    else:
        return content
    state = EventState.ACTIVE if active else EventState.PENDING
    return replace(content, event=EventNotice(event.event_id, state, event.end_s))


def issue(
    content: Body, last: AllocationTable | None, policy: TickPolicy, *, sequence: int, now_s: float
) -> AllocationTable:
    """The last table while it says the same and half of its validity is left, otherwise a new one.

    Args:
        content: what it must say.
        last: the table before.
        policy: issuer and validity.
        sequence: of the last table issued.
        now_s: wall clock.
    """
    if last is not None:
        content = replace(content, weights=_settled(content.weights, last.weights))
        same = Body(last.weights, last.caps, last.draining, last.event) == content
        age_s = now_s - last.issued_at_s  # below zero where the clock was set back: no time of it can be gone by then
        if same and 0.0 <= age_s < policy.table_ttl_s / 2 and last.issuer == policy.issuer:
            return last
    return AllocationTable(
        sequence=sequence + 1,
        issued_at_s=now_s,
        expires_at_s=now_s + policy.table_ttl_s,
        issuer=policy.issuer,
        weights=content.weights,
        caps=content.caps,
        draining=content.draining,
        event=content.event,
    )


def _is_engine_lost(view: View) -> bool:
    """An instance that does not answer and was not asked to leave is the routers' own health check's to judge."""
    return view.seen is None and view.intent.phase is Phase.SERVE


def _weights(site: Site, data: ProblemData, dispatch: Plan, views: tuple[View, ...]) -> tuple[ClassWeights, ...]:
    rates = rates_of(dispatch)
    serving = serving_by_pool(views, len(site.pools))
    out = []
    for r, cls in enumerate(site.classes):
        shares = [cell[0] if serving[k] else 0.0 for k, cell in enumerate(rates[r])]
        if sum(shares) <= 0:
            # Nothing is planned for the class: what capacity it may use decides, or else the pools it may use at all.
            open_to = [serving[k] if data.allowed[r][k] else 0 for k in range(len(site.pools))]
            if dispatch.is_limited(0) and any(open_to):
                # It is held: what trickles through goes where others are served, and wakes no idle engine for it.
                at_work = [k for k, count in enumerate(open_to) if count and any(row[k][0] > 0 for row in rates)]
                choice = at_work or [k for k, count in enumerate(open_to) if count]
                least = min(choice, key=lambda k: _full_j(data, r, k))
                open_to = [count if k == least else 0 for k, count in enumerate(open_to)]
            may = [sum(v.pool_index == k and not v.is_barred for v in views) for k in range(len(site.pools))]
            may = [count if cls.may_use(pool) else 0 for count, pool in zip(may, site.pools, strict=True)]
            shares = [float(share) for share in (open_to if any(open_to) else may)]
        weights = _rounded(shares)
        pools = tuple(
            PoolWeight(pool.pool_id, weight) for pool, weight in zip(site.pools, weights, strict=True) if weight > 0
        )
        if pools:
            out.append(ClassWeights(cls.class_id, pools))
    return tuple(out)


def _full_j(data: ProblemData, r: int, k: int) -> float:
    """Energy of an output token of class r at pool k where an instance is used to the full, J."""
    return data.pools[k].p0_w * data.busy_s_per_token[r][k] + data.j_per_token[r][k]


def _rounded(shares: list[float]) -> list[float]:
    total = sum(shares)
    if total <= 0:
        return [0.0 for _ in shares]
    parts = [share / total for share in shares]
    return [round(part, WEIGHT_DECIMALS) if part >= LEAST_WEIGHT else 0.0 for part in parts]


def _settled(new: tuple[ClassWeights, ...], old: tuple[ClassWeights, ...]) -> tuple[ClassWeights, ...]:
    before = {entry.class_id: entry for entry in old}
    return tuple(
        before[entry.class_id] if entry.class_id in before and _is_close(entry, before[entry.class_id]) else entry
        for entry in new
    )


def _is_close(new: ClassWeights, old: ClassWeights) -> bool:
    if [pool.pool_id for pool in new.pools] != [pool.pool_id for pool in old.pools]:
        return False
    return all(abs(a.weight - b.weight) < SETTLED_WEIGHT for a, b in zip(new.pools, old.pools, strict=True))


def _caps(
    site: Site,
    data: ProblemData,
    dispatch: Plan,
    views: tuple[View, ...],
    lengths: tuple[Lengths, ...],
    spared: frozenset[InstanceId],
) -> tuple[InstanceCap, ...]:
    """Largest batch within the latency of the classes served; under a limit, that of the rate that it leaves room for.

    A burst, or what has waited, then cannot draw more than the limit allows before the next tick sees it.
    """
    rates = rates_of(dispatch)
    sheds = _sheds(dispatch)
    room = 1.0 if sheds else _room(data, dispatch)
    out = []
    for k, pool in enumerate(site.pools):
        planned = [rates[r][k][0] for r in range(len(site.classes))]
        users = [r for r in range(len(site.classes)) if planned[r] > 0]
        users = users or [r for r in range(len(site.classes)) if data.allowed[r][k]]
        serving = [view for view in views if view.pool_index == k and view.serves]
        if not users or not serving:
            continue
        # All share the batch, whose steps take what the mix of their prompts takes.
        mixed = _mean(lengths, planned) if sum(planned) > 0 else None
        most = min(slo_batch(pool.curves, site.classes[r], mixed or lengths[r]) for r in users)
        if sheds and sum(planned) <= 0:
            most = min(most, 1.0 + sum(view.instance.instance_id in spared for view in serving))
        elif sum(planned) > 0 and math.isfinite(room):
            rate = sum(planned) / len(serving)
            most = min(most, SHED_HEADROOM * batch_at_rate(pool.curves, room * rate, _mean(lengths, planned)))
        cap = max(1, math.ceil(most) if sheds else math.floor(most))
        out += [InstanceCap(view.instance.instance_id, cap) for view in serving]
    return tuple(out)


def _room(data: ProblemData, dispatch: Plan) -> float:
    """How many times the dispatched token rates the limits leave room for; infinite where none binds or it yields."""
    rooms = [math.inf]
    idle_w = least_power_w(first_interval(data, tuple(pool.on[0] for pool in dispatch.pools)))
    for planned, least_w in zip(dispatch.sites, idle_w, strict=True):
        limit_w = planned.limit_w[0]
        tokens_w = planned.import_w[0] - least_w
        if limit_w is not None and tokens_w > 0 and planned.import_w[0] <= limit_w + POWER_TOLERANCE_W:
            rooms.append(max(1.0, (limit_w - least_w) / tokens_w))
    return min(rooms)


def _mean(lengths: tuple[Lengths, ...], rates: list[float]) -> Lengths:
    """Lengths that give the mix's prompt tokens an output token."""
    total = sum(rates)
    ratio = sum(rate * length.input_per_output for rate, length in zip(rates, lengths, strict=True)) / total
    output = sum(rate * length.output_tokens for rate, length in zip(rates, lengths, strict=True)) / total
    return Lengths(ratio * output, output)
