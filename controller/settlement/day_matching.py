"""Baselines from like days: so many of the most recent ones, with a same-day adjustment.

    profile_w[i] = mean over the days used of their mean power in the same interval on the clock, adjusted

Days are looked at from the most recent one back. A day with an event, or of which too little was measured, is passed
over. Which of those that were found are used says `controller.settlement.day_selection`, how the profile is adjusted
`controller.settlement.same_day`. Sources: docs/reference/settlement.md.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.meter import Mean, MeterReader, least_trusted
from controller.model.programme import BaselineMethod
from controller.settlement.baseline_profile import (
    Baseline,
    BaselineInterval,
    BaselineQuestion,
    DayTaken,
    ReadFor,
    Readings,
    flat,
    grid_of,
    mean_of,
)
from controller.settlement.computed_of import readings_of, with_readings
from controller.settlement.day_selection import LOW_USE_FRAC, asked_days, low_use_days, needed_days, selected_days
from controller.settlement.like_days import LocalDay
from controller.settlement.same_day import adjusted, adjustment, same_day_readings


@dataclass(frozen=True, slots=True)
class _Day:
    """A like day: what was read of the intervals asked for, in their order, and the mean of what can be used of it.

    Attributes:
        read: None of an interval that its clock skipped.
    """

    day: LocalDay
    read: tuple[Mean | None, ...]
    least_covered_frac: float
    mean_w: float

    def mean(self, number: int) -> Mean | None:
        """Of an interval; None where too little of it was measured."""
        mean = self.read[number]
        return None if mean is None or not _is_measured(mean, self.least_covered_frac) else mean


@dataclass(frozen=True, slots=True)
class _Segment:
    """A local day of the event, its intervals, and the like days found and used for them."""

    grid: tuple[tuple[float, float], ...]
    found: tuple[_Day, ...]
    used: tuple[_Day, ...]


class _Window:
    """What the like days drew in the window of the adjustment."""

    def __init__(self, question: BaselineQuestion, read: MeterReader, days: Sequence[_Day]) -> None:
        self._question, self._read, self._days = question, read, days
        self.means: list[tuple[LocalDay, float, Mean]] = []

    def expected_w(self, from_s: float, until_s: float) -> float | None:
        """Mean of the days of which enough was measured; None of none.

        The window may lie on the day before: one in which an event was in force there tells nothing.
        """
        length_s = until_s - from_s
        for day in self._days:
            begin_s = self._question.calendar.same_clock_s(from_s, _shifted(self._question, day.day, from_s))
            if begin_s is not None and not self._question.has_event(begin_s, begin_s + length_s):
                (mean,) = self._read(begin_s, begin_s + length_s, length_s)
                self.means.append((day.day, from_s, mean))
        least_frac = self._question.rule.least_covered_frac
        known = [mean.mean_w or 0.0 for _, _, mean in self.means if _is_measured(mean, least_frac)]
        return sum(known) / len(known) if known else None

    def readings(self) -> list[Readings]:
        """The same as it is kept with the baseline."""
        return [
            readings_of(ReadFor.WINDOW, day.date.isoformat(), ((from_s, mean),)) for day, from_s, mean in self.means
        ]


def from_like_days(question: BaselineQuestion, read: MeterReader) -> Baseline:
    """The baseline by the rule's method; its `mean_w` is None, with the reason, where there are too few like days.

    An event that goes past midnight has like days of each of its days, all of them before its first one.
    """
    rule = question.rule
    if rule.method is BaselineMethod.HIGH_FOUR_OF_FIVE:
        question = dataclasses.replace(question, calendar=dataclasses.replace(question.calendar, splits_weekend=True))
    taken: list[DayTaken] = []
    segments: list[_Segment] = []
    first_day = question.calendar.day_of(question.start_s)
    for day, from_s, until_s in question.calendar.segments(question.start_s, _last_s(question)):
        grid = grid_of(from_s, until_s, question.interval_s)
        found, seen = _like_days(question, read, LocalDay(first_day.date, 0.0, 0.0, day.kind), grid)
        used = selected_days(rule, day.kind, found, lambda each: (each.mean_w, each.day.start_s))
        taken += [entry for entry in _told(found, used, seen) if entry not in taken]
        if len(found) < needed_days(rule, day.kind):
            reason = (
                f"{len(found)} like days ({day.kind.value}) of {needed_days(rule, day.kind)} within {rule.reach_days} "
                f"days before {first_day.date.isoformat()}"
            )
            return Baseline(rule.method, None, reason, flat(question, None), None, None, tuple(taken))
        segments.append(_Segment(grid, tuple(found), used))
    return _made(question, read, segments, tuple(taken))


def _made(
    question: BaselineQuestion, read: MeterReader, segments: Sequence[_Segment], taken: tuple[DayTaken, ...]
) -> Baseline:
    window = _Window(question, read, segments[0].used)
    change, actual = adjustment(question, read, window.expected_w)
    intervals = [interval for segment in segments for interval in _profile(segment)]
    profile = tuple(adjusted(interval, change, question.start_s) for interval in intervals)
    means = [day.mean(number) for s in segments for day in s.used for number in range(len(s.grid))]
    means += [mean for _, _, mean in window.means] + [actual]
    quality = least_trusted(mean.quality for mean in means if mean is not None and mean.quality is not None)
    method = question.rule.method
    made = Baseline(method, method, "", profile, mean_of(profile), quality, taken, change)
    days = [_readings(segment, day) for segment in segments for day in segment.found]
    return with_readings(made, [*days, *window.readings(), *same_day_readings(question, actual)])


def _last_s(question: BaselineQuestion) -> float:
    grid = grid_of(question.start_s, question.end_s, question.interval_s)
    return grid[-1][1]


def _like_days(
    question: BaselineQuestion, read: MeterReader, day: LocalDay, grid: Sequence[tuple[float, float]]
) -> tuple[list[_Day], list[DayTaken]]:
    """The like days, most recent first, and those that were passed over with the reason."""
    asked = asked_days(question.rule, day.kind)
    found: list[_Day] = []
    passed: list[DayTaken] = []
    for candidate in question.calendar.like_days(day, question.rule.reach_days):
        if len(found) == asked:
            passed += _without_low_use(question, found)
            if len(found) == asked:
                break
        matched = _matched(question, read, candidate, grid)
        if isinstance(matched, str):
            passed.append(DayTaken(candidate.date.isoformat(), None, is_used=False, reason=matched))
        else:
            found.append(matched)
    return found, passed + _without_low_use(question, found)


def _without_low_use(question: BaselineQuestion, found: list[_Day]) -> list[DayTaken]:
    """Takes the days of low use out of those that were found, and tells them."""
    low = low_use_days(question.rule, found, lambda day: day.mean_w)
    found[:] = [day for day in found if day not in low]
    reason = f"drew less than {LOW_USE_FRAC:.0%} of the mean of the days"
    return [DayTaken(day.day.date.isoformat(), day.mean_w, is_used=False, reason=reason) for day in low]


def _matched(
    question: BaselineQuestion, read: MeterReader, day: LocalDay, grid: Sequence[tuple[float, float]]
) -> _Day | str:
    """The day's means of the intervals, or why it is no like day."""
    if question.has_event(day.start_s, day.end_s):
        return "an event"
    least_frac = question.rule.least_covered_frac
    (whole,) = read(day.start_s, day.end_s, day.length_s)
    if whole.covered_frac < least_frac:
        return f"{whole.covered_frac:.0%} of the day measured, {least_frac:.0%} needed"
    means = _same_clock(question, read, day, grid)
    asked_s = sum(end_s - start_s for start_s, end_s in grid)
    known = [mean for mean in means if mean is not None and _is_measured(mean, least_frac)]
    covered_s = sum(mean.covered_frac * mean.length_s for mean in means if mean is not None)
    # An hour that the clock skipped on that day is not measured, and not missing either.
    skipped_s = sum(end_s - start_s for (start_s, end_s), mean in zip(grid, means, strict=True) if mean is None)
    if not known or covered_s < least_frac * (asked_s - skipped_s):
        return f"{covered_s / asked_s:.0%} of the event's hours measured, {least_frac:.0%} needed"
    return _Day(day, means, least_frac, _mean_w(known))


def _is_measured(mean: Mean, least_covered_frac: float) -> bool:
    return mean.mean_w is not None and mean.covered_frac >= least_covered_frac


def _same_clock(
    question: BaselineQuestion, read: MeterReader, day: LocalDay, grid: Sequence[tuple[float, float]]
) -> tuple[Mean | None, ...]:
    """Means of the intervals at the same time on that day's clock; None of one that its clock skipped."""
    begins = [question.calendar.same_clock_s(start_s, day.date) for start_s, _ in grid]
    shift_s = None if begins[0] is None else begins[0] - grid[0][0]
    if shift_s is not None and all(
        begin_s is not None and begin_s - start_s == shift_s for begin_s, (start_s, _) in zip(begins, grid, strict=True)
    ):
        return read(grid[0][0] + shift_s, grid[-1][1] + shift_s, question.interval_s)
    return tuple(
        None if begin_s is None else read(begin_s, begin_s + end_s - start_s, end_s - start_s)[0]
        for begin_s, (start_s, end_s) in zip(begins, grid, strict=True)
    )


def _mean_w(means: Sequence[Mean]) -> float:
    weights = [(mean.mean_w or 0.0, mean.covered_frac * mean.length_s) for mean in means]
    return sum(watts * each_s for watts, each_s in weights) / sum(each_s for _, each_s in weights)


def _told(found: Sequence[_Day], used: Sequence[_Day], passed: Sequence[DayTaken]) -> list[DayTaken]:
    told = [
        DayTaken(
            day.day.date.isoformat(), day.mean_w, is_used=day in used, reason="" if day in used else "not selected"
        )
        for day in found
    ]
    return sorted([*told, *passed], key=lambda day: day.date, reverse=True)


def _profile(segment: _Segment) -> list[BaselineInterval]:
    profile = []
    for number, (start_s, end_s) in enumerate(segment.grid):
        known = [mean.mean_w or 0.0 for day in segment.used if (mean := day.mean(number)) is not None]
        profile.append(BaselineInterval(start_s, end_s, sum(known) / len(known) if known else None))
    return profile


def _readings(segment: _Segment, day: _Day) -> Readings:
    read = [(start_s, mean) for (start_s, _), mean in zip(segment.grid, day.read, strict=True) if mean is not None]
    readings = readings_of(ReadFor.EVENT, day.day.date.isoformat(), read)
    return dataclasses.replace(readings, is_used=day in segment.used)


def _shifted(question: BaselineQuestion, day: LocalDay, time_s: float) -> datetime.date:
    """The date that lies to `day` as that of `time_s` lies to the event's own."""
    first = question.calendar.day_of(question.start_s).date
    return day.date + (question.calendar.local(time_s).date() - first)
