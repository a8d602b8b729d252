"""Baselines by regression: the draw in an hour as a sum of what the calendar, and a column of the operator's, tell.

    P[d, h] = constant + hour[h] + weekday[d] + slope · column[d, h]

Least squares over the hours of the days before the event. Days with an event and hours of which too little was measured
are left out. It has the form of ERCOT's default regression (Demand Response Baseline Methodologies, V19.0, section 2.1:
load by weather, calendar and daylight), but none of its tables: of the weather it knows what the column says, and it
fits hours at once where ERCOT fits the day's energy, the hour's share and the interval's. Terms that cannot be told
apart, levels without an hour and a poor fit are no baseline, with the reason.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.model.meter import Mean, MeterReader, least_trusted
from controller.model.programme import RegressionTerm
from controller.settlement.baseline_profile import (
    Baseline,
    BaselineInterval,
    BaselineQuestion,
    Coefficient,
    DayTaken,
    Fit,
    ReadFor,
    Readings,
    flat,
    grid_of,
    mean_of,
)
from controller.settlement.computed_of import readings_of, with_readings
from controller.settlement.like_days import LocalDay
from controller.settlement.same_day import adjusted, adjustment, same_day_readings

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Hour:
    """One hour on the clock of a day: what the terms know of it, and what was measured."""

    mean: Mean
    hour: int
    weekday: str
    column: float | None

    def level(self, term: RegressionTerm) -> str:
        """Of a term of the calendar."""
        return str(self.hour) if term is RegressionTerm.HOUR_OF_DAY else self.weekday


def from_regression(question: BaselineQuestion, read: MeterReader) -> Baseline:
    """The baseline by regression; its `mean_w` is None, with the reason, where it cannot be fitted or asked."""
    method = question.rule.method
    days = _days(question, read)
    taken = tuple(told for told, _ in days)
    hours = [hour for _, found in days for hour in found]
    fitted = question.column_fault or _fitted(question, taken, hours)
    if isinstance(fitted, str):
        return Baseline(method, None, fitted, flat(question, None), None, None, taken)
    asked: list[_Hour] = []
    try:
        change, actual = adjustment(
            question, read, lambda from_s, until_s: _mean_w(question, fitted, from_s, until_s, asked)
        )
        spans = grid_of(question.start_s, question.end_s, question.interval_s)
        profile = tuple(
            adjusted(
                BaselineInterval(start_s, end_s, _mean_w(question, fitted, start_s, end_s, asked)),
                change,
                question.start_s,
            )
            for start_s, end_s in spans
        )
    except _UnknownLevelError as error:
        return Baseline(method, None, str(error), flat(question, None), None, None, taken)
    qualities = [mean.quality for mean in [hour.mean for hour in hours] + [actual] if mean and mean.quality]
    made = Baseline(method, method, "", profile, mean_of(profile), least_trusted(qualities), taken, change, fit=fitted)
    fit_readings = [_readings(ReadFor.FIT, told.date, found) for told, found in days if found]
    return with_readings(made, [*fit_readings, *_predicted(question, asked), *same_day_readings(question, actual)])


class _UnknownLevelError(Exception):
    """An hour was asked for of which the regression knows no level."""


def _days(question: BaselineQuestion, read: MeterReader) -> list[tuple[DayTaken, list[_Hour]]]:
    """The days before the event's first one, the most recent first, with their hours that count."""
    first = question.calendar.day_of(question.start_s)
    days = []
    for day in question.calendar.days_before(first, question.rule.reach_days):
        reason, found = "an event", list[_Hour]()
        if not question.has_event(day.start_s, day.end_s):
            hours = _hours(question, day, read(day.start_s, day.end_s, _HOUR_S))
            found = [hour for hour in hours if _counts(question, hour)]
            reason = "" if found else "no hour of it was measured, or has a value of the column"
        mean_w = sum(hour.mean.mean_w or 0.0 for hour in found) / len(found) if found else None
        days.append((DayTaken(day.date.isoformat(), mean_w, is_used=bool(found), reason=reason), found))
    return days


def _hours(question: BaselineQuestion, day: LocalDay, means: Iterable[Mean]) -> list[_Hour]:
    is_holiday = day.date in question.calendar.holidays
    weekday = WEEKDAYS[-1] if is_holiday else WEEKDAYS[day.date.weekday()]
    return [
        _Hour(mean, question.calendar.local(mean.start_s).hour, weekday, _column(question, mean.start_s, mean.end_s))
        for mean in means
    ]


def _counts(question: BaselineQuestion, hour: _Hour) -> bool:
    if RegressionTerm.COLUMN in question.rule.regression.terms and hour.column is None:
        return False
    return hour.mean.mean_w is not None and hour.mean.covered_frac >= question.rule.least_covered_frac


def _column(question: BaselineQuestion, start_s: float, end_s: float) -> float | None:
    """Mean of the values within an hour; None without one."""
    first, last = (bisect_left(question.column, at_s, key=lambda row: row[0]) for at_s in (start_s, end_s))
    within = [value for _, value in question.column[first:last]]
    return sum(within) / len(within) if within else None


def _fitted(question: BaselineQuestion, taken: Sequence[DayTaken], hours: Sequence[_Hour]) -> Fit | str:
    """The regression, or why there is none."""
    rule = question.rule
    needed = rule.of_days if rule.least_days is None else rule.least_days
    used = sum(day.is_used for day in taken)
    if used < needed:
        return f"{used} days of {needed} to fit a regression to within {rule.reach_days} days before the event"
    calendar = [term for term in rule.regression.terms if term is not RegressionTerm.COLUMN]
    levels = {term: sorted({hour.level(term) for hour in hours}, key=_order) for term in calendar}
    names: list[tuple[RegressionTerm, str]] = [(term, level) for term in calendar for level in levels[term][1:]]
    columns = [[float(hour.level(term) == level) for hour in hours] for term, level in names]
    if RegressionTerm.COLUMN in rule.regression.terms:
        names.append((RegressionTerm.COLUMN, ""))
        columns.append([hour.column or 0.0 for hour in hours])
    matrix = np.array([[1.0] * len(hours), *columns]).T
    measured_w = np.array([hour.mean.mean_w or 0.0 for hour in hours])
    solved, _, rank, _ = np.linalg.lstsq(matrix, measured_w, rcond=None)
    if rank < matrix.shape[1] or len(hours) <= matrix.shape[1]:
        return (
            f"{len(hours)} hours cannot tell {matrix.shape[1]} coefficients apart (rank {rank}); leave out a term that "
            "never changes by itself, or measure for longer"
        )
    rrmse_frac = _rrmse_frac(measured_w, matrix @ solved, len(hours) - matrix.shape[1])
    if not rrmse_frac <= rule.regression.most_rrmse_frac:
        return f"the regression is off by {rrmse_frac:.1%} (RRMSE), {rule.regression.most_rrmse_frac:.1%} are allowed"
    slopes = [Coefficient(term, level, float(value)) for (term, level), value in zip(names, solved[1:], strict=True)]
    references = [Coefficient(term, levels[term][0], 0.0) for term in calendar]
    return Fit(float(solved[0]), (*references, *slopes), len(hours), rrmse_frac)


def _rrmse_frac(measured_w: NDArray[np.float64], fitted_w: NDArray[np.float64], freedom: int) -> float:
    mean_w = float(np.mean(measured_w))
    root_w = math.sqrt(float(np.sum((measured_w - fitted_w) ** 2)) / freedom)
    return root_w / mean_w if mean_w > 0.0 else math.inf


def _order(level: str) -> tuple[int, str]:
    return (int(level), "") if level.isdigit() else (WEEKDAYS.index(level), level)


def hour_w(fit: Fit, hour: int, weekday: str, column: float | None) -> float | None:
    """What a fit says of an hour, at least 0; None where it has no such level, or a column without a value.

    Args:
        fit: the regression.
        hour: on the clock.
        weekday: its name.
        column: its value.
    """
    value_w, terms = fit.constant_w, {each.term for each in fit.coefficients}
    for term, level in ((RegressionTerm.HOUR_OF_DAY, str(hour)), (RegressionTerm.DAY_OF_WEEK, weekday)):
        if term in terms:
            known = [each.value for each in fit.coefficients if each.term is term and each.level == level]
            if not known:
                return None
            value_w += known[0]
    if RegressionTerm.COLUMN in terms:
        if column is None:
            return None
        value_w += column * next(each.value for each in fit.coefficients if each.term is RegressionTerm.COLUMN)
    return max(0.0, value_w)


def _mean_w(question: BaselineQuestion, fit: Fit, start_s: float, end_s: float, asked: list[_Hour]) -> float:
    """Mean over [start_s, end_s), by hours on the clock; each hour that was asked for is noted."""
    energy_j = 0.0
    for day, from_s, until_s in question.calendar.segments(start_s, end_s):
        first = int((from_s - day.start_s) // _HOUR_S)
        for number in range(first, math.ceil((until_s - day.start_s) / _HOUR_S)):
            begin_s = day.start_s + number * _HOUR_S
            finish_s = min(begin_s + _HOUR_S, day.end_s)
            (hour,) = _hours(question, day, [Mean(begin_s, finish_s, None, None, 0.0)])
            value_w = hour_w(fit, hour.hour, hour.weekday, hour.column)
            if value_w is None:
                clock = question.calendar.local(begin_s).isoformat(timespec="minutes")
                raise _UnknownLevelError(
                    f"the regression knows nothing of the hour {clock}: no hour like it was measured, or the column "
                    "has no value for it"
                )
            asked.append(hour)
            energy_j += value_w * (min(finish_s, until_s) - max(begin_s, from_s))
    return energy_j / (end_s - start_s)


def _predicted(question: BaselineQuestion, asked: Sequence[_Hour]) -> list[Readings]:
    """The hours that the regression was asked for, each once, by days."""
    hours = sorted({hour.mean.start_s: hour for hour in asked}.values(), key=lambda hour: hour.mean.start_s)
    by_date: dict[str, list[_Hour]] = {}
    for hour in hours:
        by_date.setdefault(question.calendar.local(hour.mean.start_s).date().isoformat(), []).append(hour)
    return [_readings(ReadFor.PREDICTION, date, found) for date, found in by_date.items()]


def _readings(read_for: ReadFor, date: str, hours: Sequence[_Hour]) -> Readings:
    return readings_of(
        read_for,
        date,
        [(hour.mean.start_s, hour.mean) for hour in hours],
        hours=tuple(hour.hour for hour in hours),
        weekday=hours[0].weekday,
        column=tuple(hour.column for hour in hours),
    )
