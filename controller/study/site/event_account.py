"""What an event got and what it left behind, as figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.model.grid import GridEvent, limit_at
from controller.settlement.delivered import settle
from controller.settlement.response import time_to_share_s
from controller.study.site.make_site import SiteCase
from controller.study.site.play import Played

BEFORE_S = 900.0
"""The baseline of an event is the mean power of this time before its notice."""
AFTER_S = 3600.0
"""What an event leaves behind is looked for within this time after it."""
_SHARE = 0.9
_WAITING_S = 1.0
"""Nothing waits where less waits at the router than is asked for in this time, on average."""


@dataclass(frozen=True, slots=True)
class EventResult:
    """What an event got.

    Attributes:
        baseline_kw: mean power of the same fleet before the event's notice; None where the run begins later.
        time_to_90pct_s: from the start to the end of the first interval in which 90 % of the way from the baseline to
            the limit was gone; None if never, without a baseline, or where the limit is not below it.
        intervals, intervals_over: of the power series, after the ramp; over: above the event's own limit.
        delivered_kw: mean reduction after the ramp.
        rebound_peak_kw: highest interval in the hour after the end, None where another limit is then in force.
        rebound_kw: by how much that is above the baseline; None without either.
        backlog_tokens: most output tokens that waited at the router from the start to an hour after the end.
        backlog_cleared_s: from the end until nothing waited any more, 0 where nothing did; None if not within the hour.
        late_tokens: output tokens that became late from the start to an hour after the end.
    """

    name: str
    limit_kw: float
    baseline_kw: float | None
    time_to_90pct_s: float | None
    intervals: int
    intervals_over: int
    delivered_kw: float | None
    rebound_peak_kw: float | None
    rebound_kw: float | None
    backlog_tokens: float
    backlog_cleared_s: float | None
    late_tokens: float


@dataclass(frozen=True, slots=True)
class _Backlog:
    """What waited from an event's start to an hour after its end; see `EventResult`."""

    most_tokens: float
    cleared_s: float | None
    late_tokens: float


def event_result(case: SiteCase, played: Played, event: GridEvent, events: tuple[GridEvent, ...]) -> EventResult:
    """An event's account, from the series of the fleet that obeyed it."""
    times_s, power_w = case.times_s, played.power_w
    before = (times_s >= event.notice_s - BEFORE_S) & (times_s < event.notice_s)
    after = (times_s >= event.end_s) & (times_s < event.end_s + AFTER_S)
    baseline_w = float(power_w[before].mean()) if before.any() else None
    others = tuple(other for other in events if other is not event)
    is_free = after.any() and all(limit_at(others, None, time_s) is None for time_s in times_s[after])
    rebound_w = float(power_w[after].max()) if is_free else None
    within = (times_s >= event.start_s) & (times_s < event.end_s)
    samples = tuple(zip(times_s[within].tolist(), power_w[within].tolist(), strict=True))
    # That a mean was reached is known when its interval ends.
    ended = tuple((time_s + case.interval_s, watts) for time_s, watts in samples)
    settled = settle(samples, event, baseline_w=baseline_w or 0.0, interval_s=case.interval_s)
    reached_s = None
    if baseline_w is not None and baseline_w > event.limit_w:
        reached_s = time_to_share_s(ended, event, baseline_w, _SHARE)
    delivered_w = settled.delivered_w if baseline_w is not None else None
    backlog = _backlog(case, played, event)
    return EventResult(
        name=event.event_id,
        limit_kw=event.limit_w / 1000.0,
        baseline_kw=_kw(baseline_w),
        time_to_90pct_s=reached_s,
        intervals=len(settled.intervals),
        intervals_over=settled.intervals_over_limit,
        delivered_kw=_kw(delivered_w),
        rebound_peak_kw=_kw(rebound_w),
        rebound_kw=None if rebound_w is None or baseline_w is None else _kw(rebound_w - baseline_w),
        backlog_tokens=backlog.most_tokens,
        backlog_cleared_s=backlog.cleared_s,
        late_tokens=backlog.late_tokens,
    )


def _backlog(case: SiteCase, played: Played, event: GridEvent) -> _Backlog:
    """What waited at the router because of an event, as far as the run goes."""
    ends_s = case.times_s + case.interval_s
    queued = played.queued.sum(axis=1)
    seen = (ends_s > event.start_s) & (ends_s <= event.end_s + AFTER_S)
    least = _WAITING_S * float(case.asked_per_s[:, :, 2].sum(axis=1).mean())
    after = (ends_s >= event.end_s) & (ends_s <= event.end_s + AFTER_S)
    clear = ends_s[after & (queued <= least)]
    cleared_s: float | None = None
    if not (queued[seen] > least).any():
        cleared_s = 0.0
    elif len(clear):
        cleared_s = float(clear[0]) - event.end_s
    late = np.concatenate([[0.0], played.late_by.sum(axis=1)])
    first, last = np.flatnonzero(seen)[[0, -1]]
    return _Backlog(float(queued[seen].max()), cleared_s, float(late[last + 1] - late[first]))


def _kw(watts: float | None) -> float | None:
    return None if watts is None else watts / 1000.0
