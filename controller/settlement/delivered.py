"""What an event got, by settlement intervals: delivered and committed reduction, and intervals over the limit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from controller.model.grid import GridEvent
from controller.model.meter import Mean, least_trusted
from controller.model.observation import Quality
from controller.model.programme import Programme, Rates
from controller.settlement.baseline_profile import Baseline
from controller.settlement.response import time_to_share_s

Measured = Sequence[tuple[float, float] | Mean]
"""Samples as (time in s, W), of which each counts the same, or means of a meter, by what they cover."""
_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Terms:
    """By what an event is settled.

    Attributes:
        interval_s: over which delivery is averaged.
        committed_w: reduction sold; None where it is what the limit asks for, baseline less limit.
        is_instantaneous: whether every reading counts: the highest of an interval rather than its mean.
        clips_at_zero: whether a draw above the baseline counts as nothing delivered rather than as negative.
        is_clock_aligned: whether intervals begin at multiples of their length in UTC, as those of meters do, the first
            one at or after the end of the ramp; otherwise the first begins at the end of the ramp.
        least_covered_frac: share of an interval that must be measured for it to be settled.
        rates: what delivery is worth.
    """

    interval_s: float
    committed_w: float | None = None
    is_instantaneous: bool = False
    clips_at_zero: bool = False
    is_clock_aligned: bool = False
    least_covered_frac: float = 0.9
    rates: Rates = field(default_factory=Rates)


@dataclass(frozen=True, slots=True)
class Interval:
    """One settlement interval, [start_s, end_s).

    Attributes:
        mean_w: mean measured power, None without a measurement.
        delivered_w: baseline less power, the highest one where every reading counts; negative where more was drawn,
            unless the terms clip it. None where the interval is missing.
        over_limit: the power that counts exceeds the limit.
        baseline_w: of the interval, None where it is not known.
        committed_w: None where the baseline that it follows from is not known.
        highest_w: highest measurement.
        quality: of the least trusted measurement.
        covered_frac: share that was measured; 1 of plain samples, whose length is not known.
        is_missing: too little was measured to settle it: neither kept nor broken.
    """

    start_s: float
    end_s: float
    mean_w: float | None
    delivered_w: float | None
    over_limit: bool
    baseline_w: float | None = None
    committed_w: float | None = None
    highest_w: float | None = None
    quality: Quality | None = None
    covered_frac: float = 1.0
    is_missing: bool = False

    @property
    def length_s(self) -> float:
        """Length of the interval."""
        return self.end_s - self.start_s

    @property
    def performance_frac(self) -> float | None:
        """Delivered over committed; None where either is not known or nothing was committed."""
        if self.delivered_w is None or not self.committed_w:
            return None
        return self.delivered_w / self.committed_w


@dataclass(frozen=True, slots=True)
class Settlement:
    """An event's account.

    Attributes:
        baseline_w: mean of the profile over the event.
        time_to_90pct_s: from the start until the draw has first fallen by 90 % of baseline less limit; None if never.
        delivered_w: mean over the intervals after the ramp, None where none was measured.
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


def terms_of(programme: Programme, *, is_clock_aligned: bool = False) -> Terms:
    """The terms of settlement of a programme."""
    return Terms(
        interval_s=programme.settlement_interval_s,
        committed_w=programme.committed_w,
        is_instantaneous=programme.settles_instantaneous,
        clips_at_zero=programme.baseline.clips_at_zero,
        is_clock_aligned=is_clock_aligned,
        least_covered_frac=programme.baseline.least_covered_frac,
        rates=programme.rates,
    )


def intervals_after_ramp(
    measured: Measured, event: GridEvent, baseline: float | Baseline, terms: Terms, until_s: float
) -> tuple[Interval, ...]:
    """Settlement intervals from the end of the ramp to the event's end or `until_s`; the last one may be shorter.

    Args:
        measured: in order of time.
        event: what was asked for.
        baseline: a profile, or one value for all of the event.
        terms: of settlement.
        until_s: up to where to settle.
    """
    end_s = min(event.end_s, until_s)
    first_s = event.start_s + event.ramp_s
    if terms.is_clock_aligned:
        first_s = -(-first_s // terms.interval_s) * terms.interval_s
    parts = [_part(each) for each in measured]
    times_s = [part.start_s for part in parts]
    out: list[Interval] = []
    while (start_s := first_s + len(out) * terms.interval_s) < end_s:
        stop_s = min(start_s + terms.interval_s, end_s)
        first = max(0, bisect_left(times_s, start_s) - 1)
        candidates = parts[first : bisect_left(times_s, stop_s)]
        within = [cut for part in candidates if (cut := part.cut(start_s, stop_s)) is not None]
        baseline_w = baseline.over(start_s, stop_s) if isinstance(baseline, Baseline) else baseline
        out.append(_interval(within, (start_s, stop_s), event.limit_w, baseline_w, terms))
    return tuple(out)


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
    delivered = [interval.delivered_w for interval in intervals if interval.delivered_w is not None]
    samples = [(part.start_s, part.power_w) for part in map(_part, ordered) if part.weight_s > 0.0]
    return Settlement(
        event_id=event.event_id,
        baseline_w=value_w,
        limit_w=event.limit_w,
        time_to_90pct_s=time_to_share_s(samples, event, value_w, _SHARE),
        delivered_w=fmean(delivered) if delivered else None,
        intervals_over_limit=sum(interval.over_limit for interval in intervals),
        intervals_missing=sum(interval.is_missing for interval in intervals),
        intervals=intervals,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A measurement; its weight is the time that it covers, or 1 of a sample, whose length is not known and 0 here."""

    start_s: float
    length_s: float
    power_w: float
    weight_s: float
    quality: Quality | None

    def cut(self, start_s: float, end_s: float) -> _Part | None:
        """What of it lies within [start_s, end_s); None where nothing does."""
        if self.length_s == 0.0:
            return self if start_s <= self.start_s < end_s else None
        overlap_s = min(self.start_s + self.length_s, end_s) - max(self.start_s, start_s)
        if overlap_s <= 0.0:
            return None
        return replace(self, weight_s=self.weight_s * overlap_s / self.length_s)


def _part(measured: tuple[float, float] | Mean) -> _Part:
    if not isinstance(measured, Mean):
        return _Part(measured[0], 0.0, measured[1], 1.0, None)
    length_s, power_w = measured.length_s, measured.mean_w or 0.0
    return _Part(measured.start_s, length_s, power_w, measured.covered_frac * length_s, measured.quality)


def _interval(
    parts: Sequence[_Part], span: tuple[float, float], limit_w: float, baseline_w: float | None, terms: Terms
) -> Interval:
    start_s, end_s = span
    committed_w = terms.committed_w
    if committed_w is None and baseline_w is not None:
        committed_w = max(0.0, baseline_w - limit_w)
    known = [part for part in parts if part.weight_s > 0.0]
    if not known:
        return Interval(start_s, end_s, None, None, False, baseline_w, committed_w, covered_frac=0.0, is_missing=True)
    weight_s = sum(part.weight_s for part in known)
    mean_w = sum(part.power_w * part.weight_s for part in known) / weight_s
    highest_w = max(part.power_w for part in known)
    qualities = [part.quality for part in known if part.quality is not None]
    covered_frac = min(1.0, weight_s / (end_s - start_s)) if qualities else 1.0
    is_missing = covered_frac < terms.least_covered_frac
    counted_w = highest_w if terms.is_instantaneous else mean_w
    delivered_w = None if baseline_w is None or is_missing else baseline_w - counted_w
    if delivered_w is not None and terms.clips_at_zero:
        delivered_w = max(0.0, delivered_w)
    return Interval(
        start_s=start_s,
        end_s=end_s,
        mean_w=mean_w,
        delivered_w=delivered_w,
        over_limit=not is_missing and counted_w > limit_w,
        baseline_w=baseline_w,
        committed_w=committed_w,
        highest_w=highest_w,
        quality=least_trusted(qualities),
        covered_frac=covered_frac,
        is_missing=is_missing,
    )
