"""Loads that are a sum of an hour's, a weekday's and a column's: the regression must find them again."""

import dataclasses
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.observation import Quality
from controller.model.programme import AdjustForm, BaselineMethod, BaselineRule, RegressionRule, RegressionTerm
from controller.settlement.baseline_profile import BaselineQuestion, ReadFor
from controller.settlement.like_days import Calendar
from controller.settlement.regression import from_regression, hour_w
from tests.fakes.metered import LOS_ANGELES, at, local, meter

HOUR, DAY, COLUMN = RegressionTerm.HOUR_OF_DAY, RegressionTerm.DAY_OF_WEEK, RegressionTerm.COLUMN
CALENDAR = Calendar(LOS_ANGELES)
START = "2026-08-14T17:00"  # a Friday


def question(start=START, hours=2.0, terms=(HOUR, DAY), calendar=CALENDAR, interval_s=900.0, **more):
    rule = {"regression": RegressionRule(terms, "t.csv" if COLUMN in terms else None)} | more.pop("rule", {})
    start_s = at(start)
    given_ = {"prepared_s": start_s} | more
    return BaselineQuestion(
        start_s, start_s + 3600 * hours, interval_s, BaselineRule(BaselineMethod.REGRESSION, **rule), calendar, **given_
    )


def load(time_s):
    """1,000 W, 10 W more each hour of the day, 100 W more each day of the week."""
    clock = local(time_s)
    return 1000.0 + 10.0 * clock.hour + 100.0 * clock.weekday()


def temperature(time_s):
    clock = local(time_s)
    return 20.0 + (clock.day * 7 + clock.hour * 3) % 11


def column(start=START, days=50, until_h=4):
    first_s = at(start) - days * 86_400
    return tuple((first_s + n * 3600.0, temperature(first_s + n * 3600.0)) for n in range(24 * days + until_h))


def test_an_hour_is_what_its_hour_and_its_weekday_come_to():
    made = from_regression(question(), meter(load))
    assert (made.method, made.reason, made.quality) == (BaselineMethod.REGRESSION, "", Quality.DIRECT)
    assert [each.baseline_w for each in made.intervals] == pytest.approx([1570.0] * 4 + [1580.0] * 4)
    assert made.fit.hours == 45 * 24
    assert made.fit.rrmse_frac < 1e-9
    assert sum(day.is_used for day in made.days) == 45


def test_the_mean_of_an_hour_by_hand():
    """Hours alone, ten days, 17 h at 100 and 200 by turns: 150; the error is 50 of a mean of 150, by n - 2 hours."""
    rule = {"reach_days": 10, "regression": RegressionRule((HOUR,), most_rrmse_frac=10.0)}
    made = from_regression(question(rule=rule), meter(lambda t: 100.0 if local(t).day % 2 else 200.0))
    assert made.mean_w == pytest.approx(150.0)
    assert made.fit.rrmse_frac == pytest.approx((240 * 50**2 / (240 - 24)) ** 0.5 / 150)


def test_an_interval_over_two_hours_is_their_mean_by_time():
    made = from_regression(question("2026-08-14T17:45", 0.5, interval_s=1800.0), meter(load))
    assert made.mean_w == pytest.approx(1575.0)


def test_a_column_of_the_operators_is_found_with_its_slope():
    made = from_regression(
        question(terms=(HOUR, COLUMN), column=column()),
        meter(lambda t: 500.0 + 10.0 * local(t).hour + 30.0 * temperature(t - t % 3600)),
    )
    slope = next(each.value for each in made.fit.coefficients if each.term is COLUMN)
    assert slope == pytest.approx(30.0)
    hot = temperature(at(START))
    assert made.intervals[0].baseline_w == pytest.approx(500.0 + 170.0 + 30.0 * hot)


def test_without_the_columns_value_for_an_hour_of_the_event_there_is_no_baseline():
    asked = question(terms=(HOUR, COLUMN), column=column(until_h=1))
    made = from_regression(asked, meter(lambda t: 500.0 + 30.0 * temperature(t - t % 3600)))
    assert (made.method, made.mean_w) == (None, None)
    assert "2026-08-14T18:00-07:00" in made.reason
    assert "the column has no value" in made.reason


def test_hours_without_a_value_of_the_column_are_left_out_and_not_taken_for_zero():
    kept = tuple(row for row in column() if local(row[0]).date() != datetime.date(2026, 8, 12))
    asked = question(terms=(HOUR, COLUMN), column=kept)
    made = from_regression(asked, meter(lambda t: 500.0 + 30.0 * temperature(t - t % 3600)))
    day = next(day for day in made.days if day.date == "2026-08-12")
    assert (day.is_used, day.mean_w) == (False, None)
    assert made.fit.rrmse_frac < 1e-9


def test_a_file_that_cannot_be_read_is_no_baseline():
    made = from_regression(question(terms=(COLUMN,), column_fault="t.csv: cannot be read"), meter(load))
    assert (made.mean_w, made.reason) == (None, "t.csv: cannot be read")


def test_days_of_events_and_hours_not_measured_are_left_out():
    span = (at("2026-08-13T06:00"), at("2026-08-13T07:00"))

    def broken(time_s):
        if span[0] <= time_s < span[1]:
            return 1.0
        return None if time_s >= at("2026-08-12T12:00") and local(time_s).day == 12 else load(time_s)

    made = from_regression(question(event_spans=(span,)), meter(broken))
    assert next(day for day in made.days if day.date == "2026-08-13").reason == "an event"
    assert made.fit.hours == 44 * 24 - 12
    assert made.mean_w == pytest.approx(1575.0)


def test_a_holiday_counts_as_a_sunday():
    calendar = Calendar(LOS_ANGELES, frozenset({datetime.date(2026, 8, 14)}))
    assert from_regression(question(calendar=calendar), meter(load)).mean_w == pytest.approx(1575.0 + 200.0)


def test_too_few_days_are_no_baseline():
    made = from_regression(question(rule={"reach_days": 10, "least_days": 11}), meter(load))
    assert made.reason == "10 days of 11 to fit a regression to within 10 days before the event"


def test_a_weekday_that_was_never_measured_is_no_baseline():
    made = from_regression(question(), meter(lambda t: None if local(t).weekday() == 4 else load(t)))
    assert made.mean_w is None
    assert "knows nothing of the hour 2026-08-14T17:00-07:00" in made.reason


def test_a_column_that_never_changes_cannot_be_told_from_the_constant():
    flat = tuple((time_s, 20.0) for time_s, _ in column())
    made = from_regression(question(terms=(HOUR, COLUMN), column=flat), meter(load))
    assert (made.method, made.fit) == (None, None)
    assert "cannot tell 25 coefficients apart (rank 24)" in made.reason


def test_a_load_that_the_terms_do_not_explain_is_no_baseline():
    rule = {"regression": RegressionRule((HOUR,), most_rrmse_frac=0.2)}
    made = from_regression(question(rule=rule), meter(lambda t: 100.0 if local(t).day % 2 else 1000.0))
    assert made.mean_w is None
    assert "(RRMSE), 20.0% are allowed" in made.reason


def test_a_site_that_drew_nothing_has_no_fit():
    assert "RRMSE" in from_regression(question(), meter(lambda _: 0.0)).reason


def test_the_same_day_adjustment_holds_the_window_against_the_regression():
    """From 13 to 16 h on a Friday it says 1,540 W; 100 W more were drawn."""
    rule = {"adjust_form": AdjustForm.ADDITIVE}
    made = from_regression(
        question(rule=rule), meter(lambda t: load(t) + (100.0 if t >= at("2026-08-14T00:00") else 0.0))
    )
    assert (made.adjustment.actual_w, made.adjustment.expected_w) == pytest.approx((1640.0, 1540.0))
    assert made.mean_w == pytest.approx(1675.0)


def test_hours_of_days_on_which_clocks_change_are_those_on_the_clock():
    """8 March 2026 has no hour of 2, 1 November has two of 1."""
    spring = from_regression(question("2026-03-10T17:00"), meter(load))
    assert spring.mean_w == pytest.approx(1000.0 + 175.0 + 100.0)
    assert spring.fit.hours == 45 * 24 - 1
    autumn = from_regression(question("2026-11-03T17:00"), meter(load))
    assert autumn.fit.hours == 45 * 24 + 1
    in_it = from_regression(question("2026-11-01T00:00", 3.0, interval_s=3600.0), meter(load))
    assert [each.baseline_w for each in in_it.intervals] == pytest.approx([1600.0, 1610.0, 1610.0])


def test_an_event_of_two_days_has_the_levels_of_each():
    made = from_regression(question("2026-08-14T23:00", 26.0, interval_s=3600.0), meter(load))
    assert made.intervals[0].baseline_w == pytest.approx(1000.0 + 230.0 + 400.0)
    assert made.intervals[-1].baseline_w == pytest.approx(1000.0 + 0.0 + 600.0)


def test_a_level_that_is_not_known_has_no_value_and_none_is_below_zero():
    fit = from_regression(question(), meter(load)).fit
    assert hour_w(fit, 25, "Monday", None) is None
    assert hour_w(fit, 17, "Holiday", None) is None
    assert hour_w(dataclasses.replace(fit, constant_w=-1e6), 17, "Monday", None) == 0.0


def test_what_it_was_fitted_to_and_asked_for_is_kept():
    made = from_regression(question(terms=(HOUR, COLUMN), column=column()), meter(lambda t: 30.0 * temperature(t)))
    fitted = [each for each in made.readings if each.read_for is ReadFor.FIT]
    (asked,) = [each for each in made.readings if each.read_for is ReadFor.PREDICTION]
    assert sum(len(each.starts_s) for each in fitted) == made.fit.hours
    assert (asked.hours, asked.weekday) == ((17, 18), "Friday")
    assert asked.column == (temperature(at(START)), temperature(at(START) + 3600))
    assert asked.means_w == (None, None)


@settings(max_examples=10)
@given(st.lists(st.floats(100.0, 1e6), min_size=24, max_size=24), st.lists(st.floats(0.0, 1e5), min_size=7, max_size=7))
def test_any_sum_of_levels_is_found_again(hours, weekdays):
    def power_w(time_s):
        clock = local(time_s)
        return hours[clock.hour] + weekdays[clock.weekday()]

    made = from_regression(question(hours=1.0, interval_s=3600.0), meter(power_w))
    assert made.mean_w == pytest.approx(hours[17] + weekdays[4], rel=1e-6)


@settings(max_examples=10)
@given(st.floats(0.01, 100.0), st.floats(1.0, 5.0))
def test_a_meter_in_another_unit_scales_the_baseline(scale, bend):
    rule = {"regression": RegressionRule((HOUR, DAY), most_rrmse_frac=10.0)}
    one = from_regression(question(rule=rule), meter(lambda t: load(t) + (local(t).day % 3) ** bend))
    other = from_regression(question(rule=rule), meter(lambda t: scale * (load(t) + (local(t).day % 3) ** bend)))
    assert other.mean_w == pytest.approx(scale * one.mean_w)
    assert other.fit.rrmse_frac == pytest.approx(one.fit.rrmse_frac)
