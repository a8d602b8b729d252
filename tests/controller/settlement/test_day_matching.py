"""Figures in kW on the ten days before; what they come to is computed by hand beside each case."""

import dataclasses
import datetime
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.observation import Quality
from controller.model.programme import AdjustForm, BaselineMethod, BaselineRule
from controller.settlement.baseline_profile import BaselineQuestion, ReadFor
from controller.settlement.day_matching import from_like_days
from controller.settlement.like_days import Calendar
from tests.fakes.metered import LOS_ANGELES, at, local, meter

CALENDAR = Calendar(LOS_ANGELES)
CAISO = BaselineRule(BaselineMethod.TEN_OF_TEN, adjust_frac=0.2)
EVENT_DATE = datetime.date(2026, 8, 14)
"""A Friday; the ten working days before it are 31 July and 3 to 13 August."""
DAYS = [datetime.date(2026, 8, day) for day in (13, 12, 11, 10, 7, 6, 5, 4, 3)] + [datetime.date(2026, 7, 31)]
LOADS = dict(zip(DAYS, (1000.0 + 10.0 * n for n in range(10)), strict=True))
"""1000, 1010 .. 1090: their mean is 1045."""


def question(rule=CAISO, start="2026-08-14T17:00", end="2026-08-14T19:00", **more):
    given_ = {"interval_s": 900.0, "calendar": CALENDAR, "prepared_s": at(start), "event_spans": ()} | more
    return BaselineQuestion(at(start), at(end), rule=rule, **given_)


def loads(by_date, event_day=1045.0):
    """The same load all day, on weekends 400."""

    def power_w(time_s):
        date = local(time_s).date()
        if date == EVENT_DATE:
            return event_day
        return by_date.get(date, 400.0 if date.weekday() >= 5 else 5000.0)

    return power_w


def days_of(baseline, *, is_used):
    return [day.date for day in baseline.days if day.is_used is is_used]


def test_ten_of_ten_is_the_mean_of_the_ten_most_recent_working_days():
    made = from_like_days(question(), meter(loads(LOADS)))
    assert made.mean_w == pytest.approx(1045.0)
    assert len(made.intervals) == 8
    assert days_of(made, is_used=True) == [day.isoformat() for day in DAYS]
    assert made.quality is Quality.DIRECT


@pytest.mark.parametrize(
    ("actual", "factor", "baseline"),
    [
        (1149.5, 1.1, 1149.5),  # 10 % above the ten days: 1045 · 1.1
        (940.5, 0.9, 940.5),
        (1567.5, 1.2, 1254.0),  # 50 % above: the cap of 20 % holds, 1045 · 1.2
        (522.5, 0.8, 836.0),  # half: 1045 · 0.8
    ],
)
def test_the_same_day_adjustment_is_a_ratio_within_20_percent(actual, factor, baseline):
    made = from_like_days(question(), meter(loads(LOADS, actual)))
    assert made.adjustment.factor == pytest.approx(factor)
    assert made.adjustment.uncapped == pytest.approx(actual / 1045.0)
    assert (made.adjustment.from_s, made.adjustment.until_s) == (at("2026-08-14T13:00"), at("2026-08-14T16:00"))
    assert made.mean_w == pytest.approx(baseline)


def test_an_observed_5_percent_more_makes_1800_into_1890():
    """The worked figures of a published 10-in-10 settlement: 1,800 in the event, 600 before it, 630 on the day."""

    def power_w(time_s):
        clock = local(time_s)
        if clock.hour >= 17:
            return 1800.0
        return 630.0 if clock.date() == EVENT_DATE else 600.0

    assert from_like_days(question(), meter(power_w)).mean_w == pytest.approx(1890.0)


def test_five_of_ten_takes_the_days_with_the_highest_draw_in_the_events_hours():
    rule = BaselineRule(BaselineMethod.FIVE_OF_TEN)
    made = from_like_days(question(rule), meter(loads(LOADS)))
    assert made.mean_w == pytest.approx((1050 + 1060 + 1070 + 1080 + 1090) / 5)
    assert days_of(made, is_used=False) == [day.isoformat() for day in DAYS[:5]]


def test_three_of_five_for_weekends():
    """PG&E Power Saver: of the 5 weekend days before, the 3 with the highest use."""
    weekend = {datetime.date(2026, 8, day): load for day, load in ((15, 900.0), (9, 500.0), (8, 300.0), (2, 700.0))}
    weekend[datetime.date(2026, 8, 1)] = 600.0
    rule = BaselineRule(BaselineMethod.FIVE_OF_TEN, of_off_days=5)
    asked = question(rule, "2026-08-16T17:00", "2026-08-16T18:00")
    assert from_like_days(asked, meter(loads(weekend))).mean_w == pytest.approx((900 + 700 + 600) / 3)


def test_middle_eight_of_ten_leaves_out_the_highest_and_the_lowest():
    loads_w = dict(zip(DAYS, (100, 9000, 110, 120, 130, 140, 150, 160, 170, 1), strict=True))
    made = from_like_days(question(BaselineRule(BaselineMethod.MIDDLE_EIGHT_OF_TEN)), meter(loads(loads_w)))
    assert made.mean_w == pytest.approx((100 + 110 + 120 + 130 + 140 + 150 + 160 + 170) / 8)


def test_a_day_with_an_event_is_passed_over_whatever_part_of_it():
    span = (at("2026-08-11T06:00"), at("2026-08-11T06:05"))
    other = LOADS | {datetime.date(2026, 7, 30): 2045.0}
    made = from_like_days(question(event_spans=(span,)), meter(loads(other)))
    passed = next(day for day in made.days if day.date == "2026-08-11")
    assert (passed.is_used, passed.reason) == (False, "an event")
    assert made.days[-1].date == "2026-07-30"


def test_a_day_that_was_measured_for_less_than_its_share_is_passed_over():
    power_w = loads(LOADS | {datetime.date(2026, 7, 30): 1000.0})

    def broken(time_s):
        clock = local(time_s)
        is_gap = clock.date() == datetime.date(2026, 8, 12) and clock.hour < 3
        return None if is_gap else power_w(time_s)

    made = from_like_days(question(), meter(broken))
    passed = next(day for day in made.days if day.date == "2026-08-12")
    assert not passed.is_used
    assert "88% of the day measured" in passed.reason


def test_a_day_without_the_events_hours_is_passed_over():
    power_w = loads(LOADS | {datetime.date(2026, 7, 30): 1000.0})

    def broken(time_s):
        clock = local(time_s)
        is_gap = clock.date() == datetime.date(2026, 8, 12) and clock.hour == 17
        return None if is_gap else power_w(time_s)

    made = from_like_days(question(), meter(broken))
    passed = next(day for day in made.days if day.date == "2026-08-12")
    assert (passed.is_used, "event's hours" in passed.reason) == (False, True)


def test_too_few_days_are_no_baseline_and_the_reason_is_told():
    made = from_like_days(question(dataclasses.replace(CAISO, reach_days=10)), meter(loads(LOADS)))
    assert (made.mean_w, made.method) == (None, None)
    assert made.reason == "8 like days (working) of 10 within 10 days before 2026-08-14"
    assert all(interval.baseline_w is None for interval in made.intervals)


def test_a_contract_may_be_content_with_fewer_days():
    rule = dataclasses.replace(CAISO, reach_days=10, least_days=8, adjust_frac=0.0)
    assert from_like_days(question(rule), meter(loads(LOADS))).mean_w == pytest.approx(1035.0)  # 1000 .. 1070


def test_an_adjustment_without_measurements_is_none_and_told():
    def power_w(time_s):
        clock = local(time_s)
        return None if clock.date() == EVENT_DATE and clock.hour in (13, 14) else 1000.0

    made = from_like_days(question(), meter(power_w))
    assert made.adjustment.factor == 1.0
    assert "33% of the window measured" in made.adjustment.reason
    assert made.mean_w == pytest.approx(1000.0)


def test_what_is_done_for_the_event_is_not_in_the_adjustment():
    def power_w(time_s):
        return 3000.0 if time_s >= at("2026-08-14T14:00") else 1000.0

    made = from_like_days(question(prepared_s=at("2026-08-14T14:00")), meter(power_w))
    assert made.adjustment.until_s == at("2026-08-14T14:00")
    assert made.adjustment.factor == pytest.approx(1.0)
    early = from_like_days(question(prepared_s=at("2026-08-14T10:00")), meter(power_w))
    assert early.adjustment.uncapped is None


def test_a_window_on_the_evening_before_is_left_out_where_an_event_was_in_force_in_it():
    """Of an event at 2 o'clock it lies from 22 to 1: on the evening of the 11th there was an event, which drew 100."""
    evening = (at("2026-08-11T21:00"), at("2026-08-11T23:30"))

    def power_w(time_s):
        return 100.0 if evening[0] <= time_s < evening[1] else 1000.0

    asked = question(start="2026-08-14T02:00", end="2026-08-14T03:00", event_spans=(evening,))
    made = from_like_days(asked, meter(power_w))
    assert "2026-08-12" in days_of(made, is_used=True)
    assert (made.adjustment.expected_w, made.adjustment.factor) == (1000.0, 1.0)


def test_an_event_past_midnight_has_like_days_of_each_of_its_days():
    """Friday evening into Saturday: working days for the evening, weekend days for the night."""
    asked = question(BaselineRule(BaselineMethod.TEN_OF_TEN), "2026-08-14T23:00", "2026-08-15T01:00")
    made = from_like_days(asked, meter(loads(LOADS)))
    assert [interval.baseline_w for interval in made.intervals] == pytest.approx([1045.0] * 4 + [400.0] * 4)


def test_the_hour_that_the_clock_skipped_is_not_known_of_that_day():
    """Sunday 15 March 2026, 2 to 3 h: on 8 March there is no such hour, and nine days carry it."""

    def power_w(time_s):
        return 5000.0 if local(time_s).date() == datetime.date(2026, 3, 8) else 100.0

    asked = question(BaselineRule(BaselineMethod.TEN_OF_TEN), "2026-03-15T01:00", "2026-03-15T03:00")
    made = from_like_days(asked, meter(power_w))
    assert "2026-03-08" in days_of(made, is_used=True)
    assert [i.baseline_w for i in made.intervals] == pytest.approx([(9 * 100 + 5000) / 10] * 4 + [100.0] * 4)


def test_clock_times_are_compared_across_a_change_of_clocks():
    """The load follows the local clock; so does the baseline, though the days before were an hour off in UTC."""
    made = from_like_days(
        question(BaselineRule(BaselineMethod.TEN_OF_TEN), "2026-03-10T17:00", "2026-03-10T18:00"),
        meter(lambda time_s: 100.0 * local(time_s).hour),
    )
    assert made.mean_w == pytest.approx(1700.0)


PJM = BaselineRule(BaselineMethod.HIGH_FOUR_OF_FIVE, AdjustForm.ADDITIVE)
"""PJM's standard customer baseline with its symmetric additive adjustment."""


def test_high_four_of_five_leaves_out_the_lowest_of_the_five_most_recent():
    """1000, 1010, 1020, 1030 and 1040 on 13, 12, 11, 10 and 7 August: 1025 without the lowest."""
    made = from_like_days(question(dataclasses.replace(PJM, adjust_form=AdjustForm.RATIO)), meter(loads(LOADS)))
    assert made.mean_w == pytest.approx(1025.0)
    assert [(day.date, day.is_used) for day in made.days] == [
        ("2026-08-13", False),
        ("2026-08-12", True),
        ("2026-08-11", True),
        ("2026-08-10", True),
        ("2026-08-07", True),
    ]


def test_the_symmetric_additive_adjustment_adds_the_difference_of_the_window():
    """All days draw 1025 on the mean; 1145 were drawn on the day from 13 to 16 h: 120 more."""
    made = from_like_days(question(PJM), meter(loads(LOADS, 1145.0)))
    assert (made.adjustment.added_w, made.adjustment.uncapped) == (pytest.approx(120.0), None)
    assert made.mean_w == pytest.approx(1145.0)


def test_a_day_of_low_use_is_replaced_by_the_next_one_and_told():
    """Mean of 1000, 200, 1020, 1030, 1040 is 858; 200 is under a quarter of it, 214.5. 6 August, 1050, comes."""
    low = LOADS | {datetime.date(2026, 8, 12): 200.0}
    made = from_like_days(question(dataclasses.replace(PJM, adjust_form=AdjustForm.RATIO)), meter(loads(low)))
    told = next(day for day in made.days if day.date == "2026-08-12")
    assert (told.mean_w, told.is_used, told.reason) == (200.0, False, "drew less than 25% of the mean of the days")
    assert made.mean_w == pytest.approx((1020 + 1030 + 1040 + 1050) / 4)


def test_of_four_days_all_are_used_and_three_are_too_few():
    rule = dataclasses.replace(PJM, adjust_form=AdjustForm.RATIO, reach_days=4)
    assert from_like_days(question(rule), meter(loads(LOADS))).mean_w == pytest.approx((1000 + 1010 + 1020 + 1030) / 4)
    fewer = from_like_days(question(dataclasses.replace(rule, reach_days=3)), meter(loads(LOADS)))
    assert (fewer.mean_w, fewer.reason) == (None, "3 like days (working) of 4 within 3 days before 2026-08-14")


@pytest.mark.parametrize(
    ("start", "end", "mean_w"),
    [
        ("2026-08-15T17:00", "2026-08-15T18:00", (900 + 700) / 2),  # Saturdays 8, 1 August and 25 July
        ("2026-08-16T17:00", "2026-08-16T18:00", (333 + 222) / 2),  # Sundays 9, 2 August and 26 July
    ],
)
def test_saturdays_and_sundays_are_the_two_highest_of_three_of_their_own_kind(start, end, mean_w):
    weekend = dict(
        zip(
            [datetime.date(2026, 8, 8), datetime.date(2026, 8, 1), datetime.date(2026, 7, 25)],
            (900.0, 600.0, 700.0),
            strict=True,
        )
    )
    weekend |= dict(
        zip(
            [datetime.date(2026, 8, 9), datetime.date(2026, 8, 2), datetime.date(2026, 7, 26)],
            (111.0, 222.0, 333.0),
            strict=True,
        )
    )
    rule = dataclasses.replace(PJM, adjust_form=AdjustForm.RATIO)
    assert from_like_days(question(rule, start, end), meter(loads(weekend))).mean_w == pytest.approx(mean_w)


def test_a_holiday_is_a_sunday_to_high_four_of_five():
    calendar = Calendar(LOS_ANGELES, frozenset({EVENT_DATE, datetime.date(2026, 8, 13)}))
    rule = dataclasses.replace(PJM, adjust_form=AdjustForm.RATIO)
    made = from_like_days(question(rule, calendar=calendar), meter(loads(LOADS)))
    assert [day.date for day in made.days] == ["2026-08-13", "2026-08-09", "2026-08-02"]
    assert made.mean_w == pytest.approx((1000 + 400) / 2)


def test_an_interval_of_which_too_little_was_measured_is_not_known_of_that_day():
    """On 13 August 17:00 to 17:12 is a gap and then 9000: three minutes of a quarter of an hour are not that day's."""

    def power_w(time_s):
        if local(time_s).date() == datetime.date(2026, 8, 13) and at("2026-08-13T17:00") <= time_s:
            return None if time_s < at("2026-08-13T17:12") else 9000.0
        return 1000.0

    made = from_like_days(question(dataclasses.replace(CAISO, adjust_frac=0.0)), meter(power_w))
    assert made.intervals[0].baseline_w == pytest.approx(1000.0)
    assert made.intervals[1].baseline_w == pytest.approx((9 * 1000 + 9000) / 10)


def test_quality_is_that_of_the_least_trusted_in_the_adjustment_too():
    def read(from_s, until_s, step_s):
        quality = Quality.EMULATED if from_s >= at("2026-08-14T00:00") else Quality.DIRECT
        return meter(loads(LOADS), quality)(from_s, until_s, step_s)

    assert from_like_days(question(), read).quality is Quality.EMULATED
    assert from_like_days(question(dataclasses.replace(CAISO, adjust_frac=0.0)), read).quality is Quality.DIRECT


def test_what_it_was_computed_of_is_kept_with_days_that_only_decided():
    made = from_like_days(question(PJM), meter(loads(LOADS)))
    event = [each for each in made.readings if each.read_for is ReadFor.EVENT]
    assert [(each.date, each.is_used) for each in event] == [(day.date, day.is_used) for day in made.days]
    assert all(len(each.means_w) == 8 for each in event)
    window = [each for each in made.readings if each.read_for is ReadFor.WINDOW]
    assert {each.date for each in window} == {day.date for day in made.days if day.is_used}
    (same,) = [each for each in made.readings if each.read_for is ReadFor.SAME_DAY]
    assert same.means_w == (1045.0,)


PROFILES = st.lists(st.floats(1.0, 1e6), min_size=10, max_size=10)
METHODS = st.sampled_from([BaselineMethod.TEN_OF_TEN, BaselineMethod.FIVE_OF_TEN, BaselineMethod.MIDDLE_EIGHT_OF_TEN])
METHODS_AND_PJM = st.one_of(METHODS, st.just(BaselineMethod.HIGH_FOUR_OF_FIVE))


def made_of(method, values, today=1000.0, adjust_frac=0.2):
    rule = BaselineRule(method, adjust_frac=adjust_frac)
    by_date = dict(zip(DAYS, values, strict=True))
    return from_like_days(question(rule, end="2026-08-14T18:00", interval_s=3600.0), meter(loads(by_date, today)))


@settings(max_examples=15)
@given(METHODS_AND_PJM, PROFILES, st.floats(1.0, 1e6), st.floats(0.01, 100.0))
def test_a_meter_in_another_unit_scales_the_baseline(method, values, today, scale):
    one = made_of(method, values, today)
    other = made_of(method, [value * scale for value in values], today * scale)
    assert other.mean_w == pytest.approx(one.mean_w * scale)


@settings(max_examples=15)
@given(METHODS, PROFILES, st.integers(0, 1000))
def test_the_order_of_the_like_days_does_not_matter(method, values, seed):
    shuffled = list(values)
    random.Random(seed).shuffle(shuffled)
    assert made_of(method, shuffled).mean_w == pytest.approx(made_of(method, values).mean_w)


@settings(max_examples=15)
@given(METHODS_AND_PJM, PROFILES, st.floats(1.0, 1e7), st.floats(0.0, 0.5))
def test_an_adjustment_never_goes_beyond_its_cap(method, values, today, cap):
    plain, adjusted = made_of(method, values, today, 0.0).mean_w, made_of(method, values, today, cap).mean_w
    if plain is None or adjusted is None:
        assert plain is adjusted, "days of too little use leave no baseline, with or without an adjustment"
        return
    assert plain * (1 - cap) * (1 - 1e-9) <= adjusted <= plain * (1 + cap) * (1 + 1e-9)


@settings(max_examples=10)
@given(METHODS_AND_PJM, PROFILES, st.integers(1, 8))
def test_a_shift_of_all_by_whole_weeks_changes_nothing(method, values, weeks):
    by_date = dict(zip(DAYS, values, strict=True))
    shift_s = weeks * 7 * 86_400.0
    utc = Calendar(datetime.UTC)  # weeks on a clock that is never changed
    rule = BaselineRule(method, adjust_frac=0.2)
    asked = BaselineQuestion(at("2026-08-14T17:00"), at("2026-08-14T18:00"), 3600.0, rule, utc, at("2026-08-14T17:00"))
    later = dataclasses.replace(
        asked, start_s=asked.start_s + shift_s, end_s=asked.end_s + shift_s, prepared_s=asked.prepared_s + shift_s
    )
    power_w = loads(by_date)
    one = from_like_days(asked, meter(power_w))
    other = from_like_days(later, meter(lambda time_s: power_w(time_s - shift_s)))
    assert other.mean_w == pytest.approx(one.mean_w)
