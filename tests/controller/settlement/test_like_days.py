import dataclasses
import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.programme import Programme
from controller.settlement.like_days import Calendar, DayKind, calendar_of
from tests.fakes.metered import LOS_ANGELES, at, local

CALENDAR = Calendar(LOS_ANGELES, frozenset({datetime.date(2026, 9, 7)}))


def test_days_on_which_the_clocks_change_have_23_and_25_hours():
    assert CALENDAR.day_of(at("2026-03-08T12:00")).length_s == 23 * 3600
    assert CALENDAR.day_of(at("2026-11-01T12:00")).length_s == 25 * 3600
    assert CALENDAR.day_of(at("2026-08-14T00:00")).length_s == 24 * 3600


def test_a_day_is_that_of_the_local_calendar():
    assert CALENDAR.day_of(at("2026-08-14T23:59")).date == datetime.date(2026, 8, 14)
    assert Calendar(ZoneInfo("UTC")).day_of(at("2026-08-14T23:59")).date == datetime.date(2026, 8, 15)


def test_weekends_and_holidays_are_like_each_other_and_unlike_working_days():
    labour_day = CALENDAR.day(datetime.date(2026, 9, 7))
    assert labour_day.kind is DayKind.OFF
    like = [day.date.isoformat() for day in CALENDAR.like_days(labour_day, 9)]
    assert like == ["2026-09-06", "2026-09-05", "2026-08-30", "2026-08-29"]
    tuesday = CALENDAR.day(datetime.date(2026, 9, 8))
    assert [day.date.day for day in CALENDAR.like_days(tuesday, 5)] == [4, 3]


def test_the_same_time_on_the_clock_is_found_across_a_change_of_clocks():
    noon_s = at("2026-03-09T12:00")
    assert CALENDAR.same_clock_s(noon_s, datetime.date(2026, 3, 6)) == at("2026-03-06T12:00")
    assert noon_s - at("2026-03-06T12:00") == 3 * 86_400 - 3600


def test_an_hour_that_the_clock_skips_is_not_found_on_that_day():
    assert CALENDAR.same_clock_s(at("2026-03-09T02:30"), datetime.date(2026, 3, 8)) is None


def test_of_an_hour_that_comes_twice_the_first_one_is_taken():
    assert CALENDAR.same_clock_s(at("2026-11-02T01:30"), datetime.date(2026, 11, 1)) == at("2026-11-01T01:30")
    assert at("2026-11-01T02:30") - at("2026-11-01T01:30") == 2 * 3600


def test_a_stretch_is_cut_at_local_midnight():
    cut = list(CALENDAR.segments(at("2026-08-14T22:00"), at("2026-08-16T01:00")))
    assert [(day.date.day, (until_s - from_s) / 3600) for day, from_s, until_s in cut] == [(14, 2), (15, 24), (16, 1)]


def test_a_programme_says_where_its_days_are():
    calendar = calendar_of(Programme("p", timezone="America/Los_Angeles", holidays=("2026-09-07",)))
    assert calendar == CALENDAR
    with pytest.raises(ValueError, match="Mars/Olympus"):
        calendar_of(Programme("p", timezone="Mars/Olympus"))


@given(st.integers(0, 364 * 96), st.integers(-30, 30))
def test_the_clock_shows_what_it_showed(quarter, days):
    time_s = at("2026-01-01T00:00") + 900.0 * quarter
    date = local(time_s).date() + datetime.timedelta(days=days)
    then_s = CALENDAR.same_clock_s(time_s, date)
    if then_s is not None:
        assert (local(then_s).date(), local(then_s).time()) == (date, local(time_s).time())


def test_saturdays_and_sundays_are_kinds_of_their_own_where_the_rule_says_so():
    calendar = dataclasses.replace(CALENDAR, splits_weekend=True)
    kinds = [calendar.day(datetime.date(2026, 9, day)).kind for day in (4, 5, 6, 7)]
    assert kinds == [DayKind.WORKING, DayKind.SATURDAY, DayKind.SUNDAY, DayKind.SUNDAY]
    on_saturday = dataclasses.replace(calendar, holidays=frozenset({datetime.date(2026, 9, 5)}))
    assert on_saturday.day(datetime.date(2026, 9, 5)).kind is DayKind.SUNDAY
    like = [day.date.isoformat() for day in calendar.like_days(calendar.day(datetime.date(2026, 9, 7)), 14)]
    assert like == ["2026-09-06", "2026-08-30"]


def test_all_days_before_one_are_counted_back_to_the_reach():
    days = [day.date.isoformat() for day in CALENDAR.days_before(CALENDAR.day(datetime.date(2026, 9, 7)), 3)]
    assert days == ["2026-09-06", "2026-09-05", "2026-09-04"]
