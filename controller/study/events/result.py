"""What many events came to, together and by what the fleet could do. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.study.events.account import EventFigures
from controller.study.events.floor import Verdict


@dataclass(frozen=True, slots=True)
class Group:
    """The events of one verdict, or all.

    Attributes:
        intervals, over: settlement intervals after the ramp, those above the limit.
        events_over: events with at least one.
        worst_over_frac: highest over its limit.
        instants_over_frac: share of the ticks after the ramp that are above the limit.
        tracking_frac: mean over the events in which work waited, None without any.
        control_frac: mean over the events.
        over_frac: mean of what is above the limit.
        performance_min, performance_mean: of settlement intervals, of events' means; None without any.
        below_commitment, events_below: settlement intervals with less than was committed; events with at least one.
        missing_frac: energy not delivered over the energy committed.
        to_90_median_s, to_90_most_s, never_90: of events that reached 90 % of their cut; events that never did.
        thirty_median_s, thirty_most_s, thirty: time to 90 % of cuts of 25 to 35 %, and how many.
        raises_in_ramp, raises_after, actions: actions that raised the power above the limit; actions in force.
        lost_tokens: cut off above `flex`.
        dropped_frac: waited longer than the router lets them, as a share of what was asked for above `flex`.
        events_dropped: events with any.
        dropped_before_frac: the same before the notice.
        overdrawn, undeclared: events in which a quality budget was exceeded; in which a broken promise had not been
            foreseen by a plan.
        rebound_median_frac, rebound_most_frac: highest tick after the end over the baseline, less 1.
    """

    name: str
    events: int
    intervals: int
    over: int
    events_over: int
    worst_over_frac: float
    instants_over_frac: float
    tracking_frac: float | None
    control_frac: float
    over_frac: float
    performance_min: float | None
    performance_mean: float | None
    below_commitment: int
    events_below: int
    missing_frac: float
    to_90_median_s: float | None
    to_90_most_s: float | None
    never_90: int
    thirty: int
    thirty_median_s: float | None
    thirty_most_s: float | None
    raises_in_ramp: int
    raises_after: int
    actions: int
    lost_tokens: float
    dropped_frac: float
    events_dropped: int
    dropped_before_frac: float
    overdrawn: int
    undeclared: int
    rebound_median_frac: float
    rebound_most_frac: float


@dataclass(frozen=True, slots=True)
class EventsResult:
    """All events, and the groups."""

    everything: Group
    groups: tuple[Group, ...]
    late_plans: int
    events: tuple[EventFigures, ...]


def result(events: tuple[EventFigures, ...]) -> EventsResult:
    """Put the events together.

    Raises:
        ValueError: there is none.
    """
    if not events:
        raise ValueError("no event was played")
    by_verdict = {verdict: tuple(each for each in events if each.verdict == verdict.value) for verdict in Verdict}
    return EventsResult(
        everything=_group("all", events),
        groups=tuple(_group(verdict.value, held) for verdict, held in by_verdict.items() if held),
        late_plans=sum(each.late_plans for each in events),
        events=events,
    )


def _group(name: str, events: tuple[EventFigures, ...]) -> Group:
    reached = [each.to_90_s for each in events if each.to_90_s is not None]
    thirty = [each.to_90_s for each in events if each.to_90_s is not None and 0.25 <= each.cut_frac <= 0.35]
    tracked = [each.tracking_frac for each in events if each.tracking_frac is not None]
    lowest = [each.performance_min for each in events if each.performance_min is not None]
    means = [each.performance_mean for each in events if each.performance_mean is not None]
    asked, before = (sum(getattr(each, name) for each in events) for name in ("asked_tokens", "asked_before_tokens"))
    rebounds = [each.rebound_frac for each in events]
    return Group(
        name=name,
        events=len(events),
        intervals=sum(each.intervals for each in events),
        over=sum(each.over for each in events),
        events_over=sum(each.over > 0 for each in events),
        worst_over_frac=max(each.worst_over_frac for each in events),
        instants_over_frac=sum(each.instants_over for each in events) / max(1, sum(each.instants for each in events)),
        tracking_frac=float(np.mean(tracked)) if tracked else None,
        control_frac=float(np.mean([each.control_frac for each in events])),
        over_frac=float(np.mean([each.over_frac for each in events])),
        performance_min=min(lowest, default=None),
        performance_mean=float(np.mean(means)) if means else None,
        below_commitment=sum(each.below_commitment for each in events),
        events_below=sum(each.below_commitment > 0 for each in events),
        missing_frac=sum(each.missing_kwh for each in events) / max(1e-9, sum(each.committed_kwh for each in events)),
        to_90_median_s=float(np.median(reached)) if reached else None,
        to_90_most_s=max(reached, default=None),
        never_90=sum(each.to_90_s is None and each.baseline_kw > each.limit_kw for each in events),
        thirty=len(thirty),
        thirty_median_s=float(np.median(thirty)) if thirty else None,
        thirty_most_s=max(thirty, default=None),
        raises_in_ramp=sum(each.raises_in_ramp for each in events),
        raises_after=sum(each.raises_after for each in events),
        actions=sum(each.actions for each in events),
        lost_tokens=sum(each.lost_tokens for each in events),
        dropped_frac=sum(each.dropped_tokens for each in events) / max(1.0, asked),
        events_dropped=sum(each.dropped_tokens > 0 for each in events),
        dropped_before_frac=sum(each.dropped_before_tokens for each in events) / max(1.0, before),
        overdrawn=sum(bool(each.overdrawn) for each in events),
        undeclared=sum(bool(each.undeclared) for each in events),
        rebound_median_frac=float(np.median(rebounds)),
        rebound_most_frac=max(rebounds),
    )
