"""Baselines from like days: so many of the most recent ones, with a same-day adjustment.

    profile_w[i] = factor · mean over the days used of their mean power in the same interval on the clock
    factor = clip(actual / profile, 1 - adjust_frac, 1 + adjust_frac), both means over the adjustment window

Days are looked at from the most recent one back. A day with an event, or of which too little was measured, is passed
over. Of the days taken, `10_of_10` uses all, `5_of_10` the half with the highest draw in the event's hours, rounded up,
and `middle_8_of_10` all but the highest and the lowest. Sources: docs/reference/settlement.md.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.meter import Mean, MeterReader, least_trusted
from controller.model.programme import BaselineMethod
from controller.settlement.baseline_profile import (
    Adjustment,
    Baseline,
    BaselineInterval,
    BaselineQuestion,
    DayTaken,
    flat,
    grid_of,
    mean_of,
)
from controller.settlement.like_days import DayKind, LocalDay

ADJUSTED_S = 86_400.0
"""The adjustment is a same-day one: what comes later after the start than this is not adjusted."""


@dataclass(frozen=True, slots=True)
class _Day:
    """A like day: means of the intervals asked for, in their order, and their mean."""

    day: LocalDay
    means: tuple[Mean | None, ...]
    mean_w: float


@dataclass(frozen=True, slots=True)
class _Segment:
    """A local day of the event, its intervals, and the like days used for them."""

    grid: tuple[tuple[float, float], ...]
    used: tuple[_Day, ...]


def from_like_days(question: BaselineQuestion, read: MeterReader) -> Baseline:
    """The baseline by the rule's method; its `mean_w` is None, with the reason, where there are too few like days.

    An event that goes past midnight has like days of each of its days, all of them before its first one.
    """
    taken: list[DayTaken] = []
    segments: list[_Segment] = []
    first_day = question.calendar.day_of(question.start_s)
    for day, from_s, until_s in question.calendar.segments(question.start_s, _last_s(question)):
        grid = grid_of(from_s, until_s, question.interval_s)
        found, seen = _like_days(question, read, LocalDay(first_day.date, 0.0, 0.0, day.kind), grid)
        needed = _needed(question, day.kind)
        used = _selected(question.rule.method, found)
        taken += [entry for entry in _told(found, used, seen) if entry not in taken]
        if len(found) < needed:
            reason = (
                f"{len(found)} like days ({day.kind.value}) of {needed} within {question.rule.reach_days} days before "
                f"{first_day.date.isoformat()}"
            )
            return Baseline(question.rule.method, None, reason, flat(question, None), None, None, tuple(taken))
        segments.append(_Segment(grid, used))
    intervals = [interval for segment in segments for interval in _profile(segment)]
    adjustment = _adjustment(question, read, segments[0].used)
    adjusted = tuple(_adjusted(interval, adjustment, question.start_s) for interval in intervals)
    qualities = [mean.quality for s in segments for day in s.used for mean in day.means if mean and mean.quality]
    method = question.rule.method
    return Baseline(method, method, "", adjusted, mean_of(adjusted), least_trusted(qualities), tuple(taken), adjustment)


def _last_s(question: BaselineQuestion) -> float:
    grid = grid_of(question.start_s, question.end_s, question.interval_s)
    return grid[-1][1]


def _needed(question: BaselineQuestion, kind: DayKind) -> int:
    asked = _asked(question, kind)
    return asked if question.rule.least_days is None else min(asked, question.rule.least_days)


def _asked(question: BaselineQuestion, kind: DayKind) -> int:
    rule = question.rule
    return rule.of_days if kind is DayKind.WORKING or rule.of_off_days is None else rule.of_off_days


def _like_days(
    question: BaselineQuestion, read: MeterReader, day: LocalDay, grid: Sequence[tuple[float, float]]
) -> tuple[list[_Day], list[DayTaken]]:
    """The like days, most recent first, and those that were passed over with the reason."""
    found: list[_Day] = []
    passed: list[DayTaken] = []
    for candidate in question.calendar.like_days(day, question.rule.reach_days):
        if len(found) == _asked(question, day.kind):
            break
        matched = _matched(question, read, candidate, grid)
        if isinstance(matched, str):
            passed.append(DayTaken(candidate.date.isoformat(), None, is_used=False, reason=matched))
        else:
            found.append(matched)
    return found, passed


def _matched(
    question: BaselineQuestion, read: MeterReader, day: LocalDay, grid: Sequence[tuple[float, float]]
) -> _Day | str:
    """The day's means of the intervals, or why it is no like day."""
    if any(start_s < day.end_s and end_s > day.start_s for start_s, end_s in question.event_spans):
        return "an event"
    least_frac = question.rule.least_covered_frac
    (whole,) = read(day.start_s, day.end_s, day.length_s)
    if whole.covered_frac < least_frac:
        return f"{whole.covered_frac:.0%} of the day measured, {least_frac:.0%} needed"
    means = _same_clock(question, read, day, grid)
    asked_s = sum(end_s - start_s for start_s, end_s in grid)
    known = [mean for mean in means if mean is not None and mean.mean_w is not None]
    covered_s = sum(mean.covered_frac * mean.length_s for mean in known)
    # An hour that the clock skipped on that day is not measured, and not missing either.
    skipped_s = sum(end_s - start_s for (start_s, end_s), mean in zip(grid, means, strict=True) if mean is None)
    if not known or covered_s < least_frac * (asked_s - skipped_s):
        return f"{covered_s / asked_s:.0%} of the event's hours measured, {least_frac:.0%} needed"
    return _Day(day, means, _mean_w(known))


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


def _selected(method: BaselineMethod, found: Sequence[_Day]) -> tuple[_Day, ...]:
    """The days that the mean is made of; among equal ones the more recent counts as the higher."""
    ranked = sorted(found, key=lambda day: (day.mean_w, day.day.start_s), reverse=True)
    if method is BaselineMethod.FIVE_OF_TEN:
        return tuple(ranked[: math.ceil(len(ranked) / 2)])
    if method is BaselineMethod.MIDDLE_EIGHT_OF_TEN and len(ranked) > 2:
        return tuple(ranked[1:-1])
    return tuple(ranked)


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
        means = [mean for day in segment.used if (mean := day.means[number]) is not None]
        known = [mean.mean_w for mean in means if mean.mean_w is not None]
        profile.append(BaselineInterval(start_s, end_s, sum(known) / len(known) if known else None))
    return profile


def _adjustment(question: BaselineQuestion, read: MeterReader, days: Sequence[_Day]) -> Adjustment | None:
    """The same-day adjustment; None where the rule has none."""
    rule = question.rule
    if rule.adjust_frac <= 0.0:
        return None
    from_s = question.start_s - rule.adjust_from_s
    until_s = min(question.start_s - rule.adjust_until_s, question.prepared_s)
    if until_s <= from_s:
        return Adjustment(1.0, None, from_s, until_s, "what is done for the event began before the window")
    (actual,) = read(from_s, until_s, until_s - from_s)
    if actual.mean_w is None or actual.covered_frac < rule.least_covered_frac:
        return Adjustment(1.0, None, from_s, until_s, f"{actual.covered_frac:.0%} of the window measured")
    expected = []
    for day in days:
        begin_s = question.calendar.same_clock_s(from_s, _shifted(question, day.day, from_s))
        if begin_s is not None:
            (mean,) = read(begin_s, begin_s + until_s - from_s, until_s - from_s)
            if mean.mean_w is not None and mean.covered_frac >= rule.least_covered_frac:
                expected.append(mean.mean_w)
    if not expected or sum(expected) <= 0.0:
        return Adjustment(1.0, None, from_s, until_s, "the like days draw nothing in the window, or were not measured")
    uncapped = actual.mean_w * len(expected) / sum(expected)
    factor = min(1.0 + rule.adjust_frac, max(1.0 - rule.adjust_frac, uncapped))
    return Adjustment(factor, uncapped, from_s, until_s)


def _shifted(question: BaselineQuestion, day: LocalDay, time_s: float) -> datetime.date:
    """The date that lies to `day` as that of `time_s` lies to the event's own."""
    first = question.calendar.day_of(question.start_s).date
    return day.date + (question.calendar.local(time_s).date() - first)


def _adjusted(interval: BaselineInterval, adjustment: Adjustment | None, start_s: float) -> BaselineInterval:
    if adjustment is None or interval.baseline_w is None or interval.start_s >= start_s + ADJUSTED_S:
        return interval
    return BaselineInterval(interval.start_s, interval.end_s, interval.baseline_w * adjustment.factor)
