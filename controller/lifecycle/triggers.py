"""When the instances are planned anew, and when they are left as they are."""

from __future__ import annotations

from controller.lifecycle.memory import Memory, Phase
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.views import View
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.model.observation import InstanceState, Missing, Observation

EventsKey = tuple[tuple[str, str, float], ...]


def events_key(events: tuple[GridEvent, ...], now_s: float) -> EventsKey:
    """Identity, state and limit of the events that are not over."""
    return tuple(
        sorted((event.event_id, str(state), event.limit_w) for event in events if (state := event.state(now_s)))
    )


def is_near(events: tuple[GridEvent, ...], now_s: float, prepare_s: float) -> bool:
    """Whether the preparation for an event is under way: for as long as its programme allows, else `prepare_s`."""
    return any(
        event.start_s - (prepare_s if event.prepare_s is None else event.prepare_s) <= now_s < event.start_s
        for event in events
    )


def fleet_key(site: Site, views: tuple[View, ...]) -> tuple[int, ...]:
    """Reachable instances of each pool, then those on and asleep of each that is held: others move them."""
    there = [view for view in views if view.state is not InstanceState.UNREACHABLE]
    held = [k for k, pool in enumerate(site.pools) if pool.is_held]
    return (
        *(sum(view.pool_index == k for view in there) for k in range(len(site.pools))),
        *(sum(view.pool_index == k and view.is_on for view in there) for k in held),
        *(sum(view.pool_index == k and view.intent.phase is Phase.SLEEP for view in there) for k in held),
    )


def unforeseen(planned: tuple[int, ...], fleet: tuple[int, ...], pools: int) -> frozenset[int]:
    """Pools that have instances now, and had none that was known when the plan was made, which says nothing of them.

    Args:
        planned: `fleet_key` when the plan was made.
        fleet: the same now.
        pools: how many there are.
    """
    pairs = zip(planned[:pools], fleet[:pools], strict=False)
    return frozenset(k for k, (then, now) in enumerate(pairs) if now and not then)


def slow_reasons(
    policy: TickPolicy,
    memory: Memory,
    now_s: float,
    *,
    events: EventsKey,
    fleet: tuple[int, ...],
    held: str | None,
    rising: bool = False,
) -> tuple[str, ...]:
    """Why the mixed-integer plan is solved now; empty when it is not.

    Args:
        policy: intervals.
        memory: the plan in force and what it was made for.
        now_s: wall clock.
        events: the events that a plan would be made for now.
        fleet: the instances that a plan would be made for now.
        held: why instances are left as they are, None where they are not.
        rising: a limit rises, on the way back from an event.
    """
    if memory.plan is None or memory.planned_at_s is None:
        return ("first plan",)
    age_s = now_s - memory.planned_at_s
    reasons = []
    if events != memory.events_key:
        reasons.append("an event began, ended or changed")
    if fleet != memory.fleet_key:
        reasons.append("the fleet changed")
    if memory.blind and held is None:
        reasons.append("the demand is known now")
    if age_s >= policy.slow_interval_s:
        reasons.append("interval")
    if rising and age_s >= policy.slow_min_gap_s:
        reasons.append("the way back from an event leaves room for more")
    if memory.lacking and age_s >= policy.slow_min_gap_s:
        reasons.append("a promise cannot be kept with the instances that serve")
    return tuple(reasons)


def router_age_s(observation: Observation) -> float | None:
    """Age of the routers' report, None where it is missing."""
    router = observation.router
    return None if isinstance(router, Missing) else max(0.0, observation.now_s - router.observed_at_s)


def holding(policy: TickPolicy, observed_s: float, age_s: float | None, *, urgent: bool) -> str | None:
    """Why no instance may be drained: the demand is not known well enough. None where it is.

    An event, and power over a limit, do not wait for the warm-up, only for some observation of the demand.

    Args:
        policy: the warm-up and the age at which a report is stale.
        observed_s: time over which the demand has been observed.
        age_s: age of the routers' report, None where it is missing.
        urgent: an event is in force, or more is drawn than a limit allows.
    """
    if observed_s <= 0.0:
        return "the demand has not been observed yet"
    if urgent:
        return None
    if age_s is None or age_s > policy.reading_stale_s:
        return "the routers do not report"
    if observed_s < policy.warmup_s:
        return f"the demand has been observed for {observed_s:.0f} s of {policy.warmup_s:.0f} s"
    return None
