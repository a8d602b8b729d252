"""What an event got, by settlement intervals: delivered and committed reduction, and intervals over the limit."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.settlement.baseline_profile import Baseline
from controller.settlement.intervals import Interval, Measured, Terms, intervals_after_ramp, terms_of
from controller.settlement.response import time_to_share_s

__all__ = ["Interval", "Measured", "Settlement", "Terms", "intervals_after_ramp", "settle", "settlement_of", "terms_of"]

_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Settlement:
    """An event's account.

    Attributes:
        baseline_w: mean of the profile over the event.
        time_to_90pct_s: from the start until the draw has first fallen by 90 % of baseline less limit, by single
            measurements where it was settled by `settle`; None if never.
        delivered_w: mean over the intervals after the ramp, by their length; None where none was measured.
        intervals_over_limit: of those after the ramp.
        intervals_missing: of those after the ramp, not measured, or too little of them.
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


def settle(
    measured: Measured,
    event: GridEvent,
    *,
    baseline_w: float | Baseline,
    interval_s: float | None = None,
    until_s: float | None = None,
    terms: Terms | None = None,
) -> Settlement:
    """Settle an event, or what has passed of it until `until_s`.

    Missing is not zero: an interval that was not measured is counted as missing, neither as kept nor as broken.

    Args:
        measured: in any order.
        event: what was asked for.
        baseline_w: a profile, or one value for all of the event.
        interval_s: of settlement, where no terms are given.
        until_s: up to where to settle.
        terms: of settlement.

    Raises:
        ValueError: neither terms nor an interval are given, or nothing of the profile is known.
    """
    if terms is None:
        if interval_s is None:
            raise ValueError("an event is settled by terms, or at least by the length of an interval")
        terms = Terms(interval_s)
    value_w = baseline_w.mean_w if isinstance(baseline_w, Baseline) else baseline_w
    if value_w is None:
        raise ValueError(f"event {event.event_id} has no baseline; settle it by a value, or by another rule")
    ordered = sorted(measured, key=lambda each: each.start_s if isinstance(each, Mean) else each[0])
    intervals = intervals_after_ramp(ordered, event, baseline_w, terms, event.end_s if until_s is None else until_s)
    samples = [known for each in ordered if (known := _known(each)) is not None]
    return settlement_of(event, value_w, intervals, time_to_share_s(samples, event, value_w, _SHARE))


def settlement_of(
    event: GridEvent, baseline_w: float, intervals: tuple[Interval, ...], time_to_90pct_s: float | None
) -> Settlement:
    """The account of intervals that are settled."""
    delivered = [(each.delivered_w, each.length_s) for each in intervals if each.delivered_w is not None]
    delivered_s = sum(length_s for _, length_s in delivered)
    return Settlement(
        event_id=event.event_id,
        baseline_w=baseline_w,
        limit_w=event.limit_w,
        time_to_90pct_s=time_to_90pct_s,
        delivered_w=sum(watts * each_s for watts, each_s in delivered) / delivered_s if delivered else None,
        intervals_over_limit=sum(interval.over_limit for interval in intervals),
        intervals_missing=sum(interval.is_missing for interval in intervals),
        intervals=intervals,
    )


def _known(measured: tuple[float, float] | Mean) -> tuple[float, float] | None:
    """Time and power of a measurement; None of a gap."""
    if not isinstance(measured, Mean):
        return measured
    return None if measured.mean_w is None or measured.covered_frac <= 0.0 else (measured.start_s, measured.mean_w)
