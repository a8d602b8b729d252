"""What a baseline is: a profile over settlement intervals, with how it came about."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

from controller.model.observation import Quality
from controller.model.programme import BaselineMethod, BaselineRule, RegressionTerm
from controller.settlement.like_days import Calendar

MAX_INTERVALS = 4096
"""Most intervals of a profile; a longer event has a baseline for as many from its start."""


MAX_READINGS = 10_000
"""Most readings that are kept with a baseline."""


@dataclass(frozen=True, slots=True)
class BaselineInterval:
    """One interval of a profile, [start_s, end_s); `baseline_w` is None where it is not known."""

    start_s: float
    end_s: float
    baseline_w: float | None


@dataclass(frozen=True, slots=True)
class DayTaken:
    """A day that was looked at.

    Attributes:
        date: ISO, local.
        mean_w: over the event's hours on that day, None where it was left out before that was asked.
        is_used: whether it is in the mean.
        reason: why not; empty where it is.
    """

    date: str
    mean_w: float | None
    is_used: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The same-day adjustment.

    Attributes:
        factor: by which the profile was multiplied.
        uncapped: what it would be without the cap; None where it could not be told, or the adjustment is additive.
        from_s, until_s: window on the event's day.
        reason: why there is none; empty where there is one.
        added_w: what was added to the profile.
        uncapped_w: what that would be without the cap; None where it could not be told, or the adjustment is a ratio.
        actual_w, expected_w: means over the window, measured and by the baseline; None where they are not known.
    """

    factor: float
    uncapped: float | None
    from_s: float
    until_s: float
    reason: str = ""
    added_w: float = 0.0
    uncapped_w: float | None = None
    actual_w: float | None = None
    expected_w: float | None = None


class ReadFor(StrEnum):
    """What a reading is in a baseline for."""

    EVENT = "event"
    """Of a day that was looked at, for an interval of the event."""
    WINDOW = "window"
    """Of such a day, for the window of the same-day adjustment."""
    SAME_DAY = "same_day"
    """That window on the event's own day."""
    BEFORE = "before"
    """The window of `hour_before`."""
    FIT = "fit"
    """An hour that a regression was fitted to."""
    PREDICTION = "prediction"
    """An hour that a regression was asked for; what was measured in it is in no baseline."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What a baseline was computed of, on one day; all tuples are of one length.

    Attributes:
        date: ISO, local.
        stands_for_s: start of the interval or of the window of the event that each stands for, or of its own hour.
        starts_s, ends_s: what was read.
        means_w: None where nothing was measured; rounded to 1 mW.
        covered_fracs: how much of each was measured.
        hours, weekday: the levels of a regression's terms; empty of other methods.
        column: values of a regression's column; None where there is none.
        is_used: whether they are in the baseline, or only decided which days are.
    """

    read_for: ReadFor
    date: str
    stands_for_s: tuple[float, ...]
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]
    means_w: tuple[float | None, ...]
    covered_fracs: tuple[float, ...]
    hours: tuple[int, ...] = ()
    weekday: str = ""
    column: tuple[float | None, ...] = ()
    is_used: bool = True


@dataclass(frozen=True, slots=True)
class Coefficient:
    """What one level of a term adds; 0 of the level that the others are counted from.

    Attributes:
        level: an hour 0 to 23, a day of the week, or empty of a column, whose `value` is W for each unit.
    """

    term: RegressionTerm
    level: str
    value: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted regression: the draw in an hour is `constant_w` and what its levels add, at least 0.

    Attributes:
        hours: that it was fitted to.
        rrmse_frac: root mean squared error over those, by hours less coefficients, relative to their mean.
    """

    constant_w: float
    coefficients: tuple[Coefficient, ...]
    hours: int
    rrmse_frac: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """The draw that would have been.

    Attributes:
        asked: by the programme.
        method: by which it was made; None where there is no baseline.
        reason: why another method than the one asked for, or none at all, or what to know of it; empty where all is
            well.
        intervals: the profile.
        mean_w: over the intervals that are known; None where none is.
        quality: of the least trusted measurement in it; None where nothing measured is in it.
        readings: what it was computed of, so that anybody can compute it again; empty where there are more than
            `MAX_READINGS`, which the reason tells.
        fit: of a regression.
    """

    asked: BaselineMethod
    method: BaselineMethod | None
    reason: str
    intervals: tuple[BaselineInterval, ...]
    mean_w: float | None
    quality: Quality | None
    days: tuple[DayTaken, ...] = ()
    adjustment: Adjustment | None = None
    readings: tuple[Readings, ...] = ()
    fit: Fit | None = None

    def at(self, time_s: float) -> float | None:
        """The baseline at a time; None outside of the profile or where it is not known."""
        index = bisect_right(self.intervals, time_s, key=lambda interval: interval.start_s) - 1
        if index < 0 or time_s >= self.intervals[index].end_s:
            return None
        return self.intervals[index].baseline_w

    def over(self, start_s: float, end_s: float) -> float | None:
        """Mean over [start_s, end_s); None unless all of it is known."""
        energy_j, known_s = 0.0, 0.0
        for interval in self.intervals:
            overlap_s = min(interval.end_s, end_s) - max(interval.start_s, start_s)
            if overlap_s > 0.0 and interval.baseline_w is not None:
                energy_j += interval.baseline_w * overlap_s
                known_s += overlap_s
        return energy_j / known_s if known_s >= (end_s - start_s) * (1.0 - 1e-9) else None


@dataclass(frozen=True, slots=True)
class BaselineQuestion:
    """Of what a baseline is asked.

    Attributes:
        start_s, end_s: of the event.
        interval_s: of settlement.
        prepared_s: when what is done for the event could first show in the power, at most `start_s`: measurements from
            then on are not used.
        event_spans: (start, end) of all events, this one and others; a day with one is no like day.
        column: (time, value) of the regression's column, in order of time.
        column_fault: why there is no column; empty where there is one, or none is asked for.
    """

    start_s: float
    end_s: float
    interval_s: float
    rule: BaselineRule
    calendar: Calendar
    prepared_s: float
    event_spans: tuple[tuple[float, float], ...] = ()
    column: tuple[tuple[float, float], ...] = ()
    column_fault: str = ""

    def has_event(self, start_s: float, end_s: float) -> bool:
        """Whether an event was in force at any time of [start_s, end_s)."""
        return any(from_s < end_s and until_s > start_s for from_s, until_s in self.event_spans)


def grid_of(start_s: float, end_s: float, interval_s: float) -> tuple[tuple[float, float], ...]:
    """Settlement intervals from a start to an end; the last one may be shorter, at most `MAX_INTERVALS`."""
    starts = itertools.takewhile(
        lambda begin_s: begin_s < end_s, (start_s + n * interval_s for n in range(MAX_INTERVALS))
    )
    return tuple((begin_s, min(begin_s + interval_s, end_s)) for begin_s in starts)


def flat(question: BaselineQuestion, value_w: float | None) -> tuple[BaselineInterval, ...]:
    """A profile of one value."""
    grid = grid_of(question.start_s, question.end_s, question.interval_s)
    return tuple(BaselineInterval(begin_s, end_s, value_w) for begin_s, end_s in grid)


def mean_of(intervals: tuple[BaselineInterval, ...]) -> float | None:
    """Time-weighted mean of the intervals that are known; None where none is."""
    known = [(each.baseline_w, each.end_s - each.start_s) for each in intervals if each.baseline_w is not None]
    length_s = sum(each_s for _, each_s in known)
    return sum(watts * each_s for watts, each_s in known) / length_s if length_s > 0.0 else None
