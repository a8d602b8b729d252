"""What an event got: delivered reduction, time to reach it, and intervals over the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.grid import GridEvent

Samples = Sequence[tuple[float, float]]
"""Measured power as (time in s, W), in order of time."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One settlement interval, [start_s, end_s).

    Attributes:
        mean_w: mean measured power, None without a sample.
        delivered_w: baseline less mean power; negative where more was drawn.
        over_limit: the mean exceeds the limit.
    """

    start_s: float
    end_s: float
    mean_w: float | None
    delivered_w: float | None
    over_limit: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """An event's account.

    Attributes:
        time_to_90pct_s: from the start until the draw has first fallen by 90 % of baseline less limit; None if never.
        delivered_w: mean over the intervals after the ramp, None without a sample.
        intervals_over_limit: of those after the ramp.
        intervals_missing: of those after the ramp, without a sample.
        intervals: those after the ramp.
    """

    event_id: str
    baseline_w: float
    limit_w: float
    time_to_90pct_s: float | None
    delivered_w: float | None
    intervals_over_limit: int
    intervals_missing: int
    intervals: tuple[Interval, ...]


def time_to_share_s(samples: Samples, event: GridEvent, baseline_w: float, share_frac: float) -> float | None:
    """Time from the event's start until the draw is at most baseline - share·(baseline - limit); None if never."""
    goal_w = baseline_w - share_frac * max(0.0, baseline_w - event.limit_w)
    for time_s, power_w in samples:
        if event.start_s <= time_s < event.end_s and power_w <= goal_w:
            return time_s - event.start_s
    return None


def intervals_after_ramp(
    samples: Samples, event: GridEvent, baseline_w: float, interval_s: float, until_s: float
) -> tuple[Interval, ...]:
    """Settlement intervals from the end of the ramp to the event's end or `until_s`; the last one may be shorter."""
    end_s = min(event.end_s, until_s)
    starts_s: list[float] = []
    time_s = event.start_s + event.ramp_s
    while time_s < end_s:
        starts_s.append(time_s)
        time_s = event.start_s + event.ramp_s + len(starts_s) * interval_s
    out = []
    for start_s in starts_s:
        stop_s = min(start_s + interval_s, end_s)
        within = [power_w for at_s, power_w in samples if start_s <= at_s < stop_s]
        if not within:
            out.append(Interval(start_s, stop_s, None, None, over_limit=False))
            continue
        mean_w = sum(within) / len(within)
        out.append(Interval(start_s, stop_s, mean_w, baseline_w - mean_w, over_limit=mean_w > event.limit_w))
    return tuple(out)


def settle(
    samples: Samples, event: GridEvent, *, baseline_w: float, interval_s: float, until_s: float | None = None
) -> Settlement:
    """Settle an event, or what has passed of it until `until_s`.

    Missing is not zero: an interval without a sample is counted as missing, neither as kept nor as broken.
    """
    ordered = sorted(samples)
    intervals = intervals_after_ramp(
        ordered, event, baseline_w, interval_s, event.end_s if until_s is None else until_s
    )
    delivered = [interval.delivered_w for interval in intervals if interval.delivered_w is not None]
    return Settlement(
        event_id=event.event_id,
        baseline_w=baseline_w,
        limit_w=event.limit_w,
        time_to_90pct_s=time_to_share_s(ordered, event, baseline_w, 0.9),
        delivered_w=sum(delivered) / len(delivered) if delivered else None,
        intervals_over_limit=sum(interval.over_limit for interval in intervals),
        intervals_missing=sum(interval.mean_w is None for interval in intervals),
        intervals=intervals,
    )
