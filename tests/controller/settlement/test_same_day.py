import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.programme import AdjustForm, BaselineMethod, BaselineRule
from controller.settlement.baseline_profile import BaselineInterval, BaselineQuestion, ReadFor
from controller.settlement.like_days import Calendar
from controller.settlement.same_day import ADJUSTED_S, adjusted, adjustment, same_day_readings
from tests.fakes.metered import LOS_ANGELES, at, meter

START_S = at("2026-08-14T17:00")
WATTS = st.floats(0.0, 1e7)


def question(form=AdjustForm.ADDITIVE, adjust_frac=0.0, prepared_s=START_S, spans=()):
    rule = BaselineRule(BaselineMethod.HIGH_FOUR_OF_FIVE, form, adjust_frac)
    return BaselineQuestion(START_S, START_S + 3600, 900.0, rule, Calendar(LOS_ANGELES), prepared_s, spans)


def made(actual_w, expected_w, form=AdjustForm.ADDITIVE, adjust_frac=0.0, **more):
    return adjustment(question(form, adjust_frac, **more), meter(lambda _: actual_w), lambda *_: expected_w)[0]


def after(profile_w, change, start_s=START_S):
    return adjusted(BaselineInterval(start_s, start_s + 900, profile_w), change, START_S).baseline_w


def test_the_difference_of_the_three_hours_that_end_an_hour_before_is_added():
    """PJM: 700 were drawn where the baseline has 640; 60 are added to each interval, be it of 900 or of 300."""
    change = made(700.0, 640.0)
    assert (change.from_s, change.until_s) == (START_S - 4 * 3600, START_S - 3600)
    assert (change.added_w, change.uncapped_w, change.factor) == (60.0, 60.0, 1.0)
    assert [after(900.0, change), after(300.0, change)] == [960.0, 360.0]


def test_it_is_symmetric_and_leaves_no_draw_below_zero():
    change = made(600.0, 800.0)
    assert [after(900.0, change), after(100.0, change)] == [700.0, 0.0]


def test_a_contracts_cap_bounds_the_difference_by_the_baseline_of_the_window():
    change = made(1000.0, 500.0, adjust_frac=0.2)
    assert (change.added_w, change.uncapped_w) == (100.0, 500.0)
    assert made(0.0, 500.0, adjust_frac=0.2).added_w == -100.0


def test_a_rule_without_an_adjustment_has_none():
    assert made(700.0, 640.0, AdjustForm.RATIO, 0.0) is None


def test_a_baseline_of_zero_has_a_difference_and_no_ratio():
    assert made(50.0, 0.0).added_w == 50.0
    ratio = made(50.0, 0.0, AdjustForm.RATIO, 0.2)
    assert (ratio.factor, ratio.reason) == (1.0, "the baseline of the window is zero")


def test_a_window_with_another_event_in_it_adjusts_nothing():
    """Draw that was curtailed is not what would have been drawn."""
    spans = ((START_S - 3 * 3600, START_S - 2 * 3600), (START_S, START_S + 3600))
    change = made(100.0, 640.0, spans=spans)
    assert (change.added_w, change.reason) == (0.0, "another event was in force in the window")
    assert after(900.0, change) == 900.0
    assert made(700.0, 640.0, spans=spans[1:]).added_w == 60.0


@pytest.mark.parametrize(
    ("actual_w", "expected_w", "prepared_s", "reason"),
    [
        (None, 640.0, START_S, "0% of the window measured"),
        (700.0, None, START_S, "the baseline of the window is not known"),
        (700.0, 640.0, START_S - 5 * 3600, "what is done for the event began before the window"),
    ],
)
def test_what_is_not_known_adjusts_nothing_and_says_so(actual_w, expected_w, prepared_s, reason):
    change = made(actual_w, expected_w, prepared_s=prepared_s)
    assert (change.reason, after(900.0, change)) == (reason, 900.0)


def test_it_is_a_same_day_one():
    change = made(700.0, 640.0)
    assert after(900.0, change, START_S + ADJUSTED_S - 900) == 960.0
    assert after(900.0, change, START_S + ADJUSTED_S) == 900.0
    assert after(None, change) is None


def test_what_was_measured_for_it_is_kept():
    change, actual = adjustment(question(), meter(lambda _: 700.0), lambda *_: 640.0)
    (readings,) = same_day_readings(question(), actual)
    assert (readings.read_for, readings.date, readings.means_w) == (ReadFor.SAME_DAY, "2026-08-14", (700.0,))
    assert (readings.starts_s, readings.ends_s) == ((change.from_s,), (change.until_s,))
    assert same_day_readings(question(), None) == ()


@given(WATTS, st.floats(1.0, 1e7), st.floats(0.01, 1.0), st.sampled_from(list(AdjustForm)))
def test_no_form_goes_beyond_its_cap(actual_w, expected_w, cap, form):
    changed_w = after(expected_w, made(actual_w, expected_w, form, cap))
    assert expected_w * (1 - cap) * (1 - 1e-9) <= changed_w <= expected_w * (1 + cap) * (1 + 1e-9)


@given(WATTS, st.floats(1.0, 1e7), st.sampled_from(list(AdjustForm)))
def test_either_form_without_a_cap_in_the_way_meets_what_was_drawn(actual_w, expected_w, form):
    cap = 1.0 if abs(actual_w - expected_w) <= expected_w else 0.0
    if form is AdjustForm.ADDITIVE or cap:
        assert after(expected_w, made(actual_w, expected_w, form, cap)) == pytest.approx(actual_w, abs=1e-6)
