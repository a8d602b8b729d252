import datetime

import pytest

from controller.model.observation import Quality
from controller.model.programme import BaselineMethod, BaselineRule
from controller.settlement.baseline_profile import BaselineQuestion
from controller.settlement.baseline_rule import exactly, hour_before, make_baseline
from controller.settlement.like_days import Calendar
from tests.fakes.metered import LOS_ANGELES, at, local, meter

START_S = at("2026-08-14T17:00")


def question(method, prepared_s=START_S, spans=(), **rule):
    return BaselineQuestion(
        START_S, START_S + 1800.0, 900.0, BaselineRule(method, **rule), Calendar(LOS_ANGELES), prepared_s, spans
    )


def test_the_hour_before_ends_where_preparation_could_first_show():
    prepared_s = START_S - 600.0
    read = meter(lambda time_s: 9000.0 if time_s >= prepared_s else 1000.0)
    made = hour_before(question(BaselineMethod.HOUR_BEFORE, prepared_s), read)
    assert (made.mean_w, made.reason) == (1000.0, "")
    assert [interval.baseline_w for interval in made.intervals] == [1000.0, 1000.0]


def test_half_an_hour_that_was_measured_serves_and_is_told():
    read = meter(lambda time_s: 1000.0 if time_s >= START_S - 1800.0 else None)
    made = make_baseline(question(BaselineMethod.HOUR_BEFORE), read)
    assert made.mean_w == 1000.0
    assert made.reason == "50% of the 3600 s before the event were measured"


def test_the_hour_before_is_that_before_another_event_which_it_would_reach_into():
    """Two events in a row: what was drawn in the first one is no baseline of the second."""
    first_s = START_S - 5400.0
    spans = ((first_s, START_S - 1800.0), (START_S, START_S + 1800.0))
    read = meter(lambda time_s: 400.0 if first_s <= time_s < START_S - 1800.0 else 1000.0)
    made = hour_before(question(BaselineMethod.HOUR_BEFORE, spans=spans), read)
    assert made.mean_w == 1000.0
    assert made.reason == "the window ends at 2026-08-14T15:30:00-07:00, as another event began"
    assert made.readings[0].ends_s == (first_s,)


def test_an_event_that_is_over_before_the_window_changes_nothing():
    spans = ((START_S - 7200.0, START_S - 3600.0),)
    made = hour_before(question(BaselineMethod.HOUR_BEFORE, spans=spans), meter(lambda _: 1000.0))
    assert (made.mean_w, made.reason, made.readings[0].ends_s) == (1000.0, "", (START_S,))


def test_a_day_full_of_events_has_no_hour_before():
    spans = tuple((START_S - 3600.0 * (n + 1), START_S - 3600.0 * n) for n in range(26))
    made = hour_before(question(BaselineMethod.HOUR_BEFORE, spans=spans), meter(lambda _: 400.0))
    assert (made.mean_w, made.reason) == (None, "other events were in force all day before the event")


def test_a_regression_that_cannot_be_fitted_is_told_with_what_is_used_instead():
    made = make_baseline(question(BaselineMethod.REGRESSION), meter(lambda t: 100.0 if local(t).day % 2 else 900.0))
    assert (made.asked, made.method) == (BaselineMethod.REGRESSION, BaselineMethod.HOUR_BEFORE)
    assert (made.mean_w, made.fit) == (900.0, None)
    assert "the regression is off by" in made.reason
    assert made.reason.endswith("hour_before is used instead")


def test_too_few_like_days_are_told_with_what_is_used_instead():
    recent_s = START_S - 2 * 86_400.0
    read = meter(lambda time_s: 1000.0 if time_s >= recent_s else None, Quality.ESTIMATED)
    made = make_baseline(question(BaselineMethod.TEN_OF_TEN), read)
    assert (made.asked, made.method) == (BaselineMethod.TEN_OF_TEN, BaselineMethod.HOUR_BEFORE)
    assert (made.mean_w, made.quality) == (1000.0, Quality.ESTIMATED)
    assert "1 like days (working) of 10 within 45 days" in made.reason
    assert "hour_before is used instead" in made.reason
    assert [day.date for day in made.days if day.is_used] == ["2026-08-13"]


def test_without_any_measurement_there_is_no_baseline_and_no_zero():
    made = make_baseline(question(BaselineMethod.FIVE_OF_TEN), meter(lambda _: None))
    assert (made.mean_w, made.method) == (None, None)
    assert "nothing is used instead" in made.reason
    assert all(interval.baseline_w is None for interval in made.intervals)


def test_the_maximum_base_load_is_the_contracts_figure():
    made = make_baseline(question(BaselineMethod.MAXIMUM_BASE_LOAD, maximum_w=5e5), meter(lambda _: None))
    assert (made.mean_w, made.quality) == (5e5, None)
    assert {interval.baseline_w for interval in made.intervals} == {5e5}


def test_a_maximum_base_load_without_a_figure_is_told():
    made = exactly(question(BaselineMethod.MAXIMUM_BASE_LOAD), meter(lambda _: 1.0))
    assert made.mean_w is None
    assert "maximum_w" in made.reason


@pytest.mark.parametrize("method", list(BaselineMethod))
def test_nothing_from_after_the_start_is_in_a_baseline(method):
    """It can therefore be made again at any later time."""

    def before(time_s):
        day = datetime.datetime.fromtimestamp(time_s, datetime.UTC).timetuple().tm_yday
        return 1000.0 + day

    asked = question(method, maximum_w=5e5, adjust_frac=0.2)
    later = make_baseline(asked, meter(lambda time_s: before(time_s) if time_s < START_S else 77.0))
    assert later == make_baseline(asked, meter(before))
