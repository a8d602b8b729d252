"""Settlement intervals of an event, made of measurements as they come: mean and highest power, coverage, delivery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from controller.model.grid import GridEvent
from controller.model.meter import Mean, least_trusted
from controller.model.observation import Quality
from controller.model.programme import Programme, Rates
from controller.settlement.baseline_profile import Baseline

Measured = Sequence[tuple[float, float] | Mean]
"""Samples as (time in s, W), of which each counts the same, or means of a meter, by what they cover."""

TOLERANCE_W = 1e-3
"""By less than that nothing is over a limit or short: sums of many readings are not exact, and no meter is as fine."""


@dataclass(frozen=True, slots=True)
class Terms:
    """By what an event is settled.

    Attributes:
        interval_s: over which delivery is averaged.
        committed_w: reduction sold; None where it is what was asked for: baseline less limit, also of a call
            that is followed in part.
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
        over_limit: the power that counts exceeds the limit by more than `TOLERANCE_W`.
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

    @property
    def is_short(self) -> bool:
        """Whether less than what was committed was delivered; False where either is not known."""
        if self.delivered_w is None or self.committed_w is None:
            return False
        return self.delivered_w < self.committed_w - TOLERANCE_W


def terms_of(programme: Programme) -> Terms:
    """The terms of settlement of a programme."""
    return Terms(
        interval_s=programme.settlement_interval_s,
        committed_w=programme.committed_w,
        is_instantaneous=programme.settles_instantaneous,
        clips_at_zero=programme.baseline.clips_at_zero,
        is_clock_aligned=programme.settles_on_clock,
        least_covered_frac=programme.baseline.least_covered_frac,
        rates=programme.rates,
    )


class IntervalFold:
    """Makes the settlement intervals from the end of the ramp to the event's end or `until_s`; the last may be shorter.

    Measurements are taken in order of time; no more than those of one interval are held.

    Args:
        event: what was asked for.
        baseline: a profile, or one value for all of the event.
        terms: of settlement.
        until_s: up to where to settle.
    """

    def __init__(self, event: GridEvent, baseline: float | Baseline, terms: Terms, until_s: float) -> None:
        self._event, self._baseline, self._terms = event, baseline, terms
        self._end_s = min(event.end_s, until_s)
        self._first_s = event.start_s + event.ramp_s
        if terms.is_clock_aligned:
            self._first_s = -(-self._first_s // terms.interval_s) * terms.interval_s
        self._within: list[_Part] = []
        self._out: list[Interval] = []

    def take(self, measured: tuple[float, float] | Mean) -> None:
        """Take the next measurement."""
        part = _part(measured)
        while (span := self._span()) is not None and part.start_s >= span[1]:
            self._close(span)
        if span is not None and (part.start_s >= span[0] or part.end_s > span[0]):
            self._within.append(part)

    def intervals(self) -> tuple[Interval, ...]:
        """All of them, once all measurements were taken; those without any are missing."""
        while (span := self._span()) is not None:
            self._close(span)
        return tuple(self._out)

    def _span(self) -> tuple[float, float] | None:
        start_s = self._first_s + len(self._out) * self._terms.interval_s
        return (start_s, min(start_s + self._terms.interval_s, self._end_s)) if start_s < self._end_s else None

    def _close(self, span: tuple[float, float]) -> None:
        within = [cut for part in self._within if (cut := part.cut(*span)) is not None]
        baseline_w = self._baseline.over(*span) if isinstance(self._baseline, Baseline) else self._baseline
        self._out.append(_interval(within, span, self._event, baseline_w, self._terms))
        self._within = [part for part in self._within if part.end_s > span[1]]


def intervals_after_ramp(
    measured: Iterable[tuple[float, float] | Mean],
    event: GridEvent,
    baseline: float | Baseline,
    terms: Terms,
    until_s: float,
) -> tuple[Interval, ...]:
    """The settlement intervals of measurements in order of time; see `IntervalFold`."""
    fold = IntervalFold(event, baseline, terms, until_s)
    for each in measured:
        fold.take(each)
    return fold.intervals()


@dataclass(frozen=True, slots=True)
class _Part:
    """A measurement; its weight is the time that it covers, or 1 of a sample, whose length is not known and 0 here."""

    start_s: float
    length_s: float
    power_w: float
    weight_s: float
    quality: Quality | None

    @property
    def end_s(self) -> float:
        """End of the time that it covers."""
        return self.start_s + self.length_s

    def cut(self, start_s: float, end_s: float) -> _Part | None:
        """What of it lies within [start_s, end_s); None where nothing does."""
        if self.length_s == 0.0:
            return self if start_s <= self.start_s < end_s else None
        overlap_s = min(self.end_s, end_s) - max(self.start_s, start_s)
        if overlap_s <= 0.0:
            return None
        return replace(self, weight_s=self.weight_s * overlap_s / self.length_s)


def _part(measured: tuple[float, float] | Mean) -> _Part:
    if not isinstance(measured, Mean):
        return _Part(measured[0], 0.0, measured[1], 1.0, None)
    length_s, power_w = measured.length_s, measured.mean_w or 0.0
    return _Part(measured.start_s, length_s, power_w, measured.covered_frac * length_s, measured.quality)


def _interval(
    parts: Sequence[_Part], span: tuple[float, float], event: GridEvent, baseline_w: float | None, terms: Terms
) -> Interval:
    start_s, end_s = span
    committed_w = terms.committed_w
    if committed_w is None and baseline_w is not None:
        committed_w = max(0.0, baseline_w - event.due_w)
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
        over_limit=not is_missing and counted_w > event.limit_w + TOLERANCE_W,
        baseline_w=baseline_w,
        committed_w=committed_w,
        highest_w=highest_w,
        quality=least_trusted(qualities),
        covered_frac=covered_frac,
        is_missing=is_missing,
    )
