import pytest

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.settlement.response import respond, time_to_share_s

EVENT = GridEvent("e", 600.0, 100.0, 200.0, 0.0, ramp_s=20.0)


def means(samples):
    return [Mean(time_s, time_s + 1.0, power_w, Quality.DIRECT, 1.0) for time_s, power_w in samples]


def ramp(time_s):
    return 1000.0 if time_s < 100 else max(550.0, 1000.0 - 20.0 * (time_s - 100))


FOLLOWED = [(float(t), ramp(t)) for t in range(90, 200)]


def test_times_are_counted_from_the_start():
    got = respond(means(FOLLOWED), EVENT, 1000.0)
    # the mean of 5 s falls behind the draw by two seconds, and is known as its last one ends
    assert (got.time_to_50pct_s, got.time_to_90pct_s, got.time_to_100pct_s) == (13.0, 21.0, 23.0)
    assert time_to_share_s(FOLLOWED[:15], EVENT, 1000.0, 0.9) is None


def test_a_limit_that_is_not_below_the_baseline_asks_for_nothing_that_could_be_reached():
    got = respond(means(FOLLOWED), EVENT, 600.0)
    assert (got.time_to_50pct_s, got.time_to_90pct_s, got.time_to_100pct_s) == (None, None, None)


def test_a_second_of_noise_reaches_nothing_and_exceeds_nothing():
    low = [(t, 790.0 if t == 101 else w) for t, w in FOLLOWED]
    assert respond(means(low[:15]), EVENT, 1000.0).time_to_50pct_s is None
    high = [(t, 660.0 if 150 <= t < 156 else w) for t, w in FOLLOWED]
    assert respond(means(high), EVENT, 1000.0).over_w == pytest.approx(60.0), "but five seconds do"


def test_what_was_not_measured_is_no_draw():
    gap = [Mean(100.0, 110.0, None, None, 0.0)]
    assert respond(gap, EVENT, 1000.0) == respond([], EVENT, 1000.0)


def test_overshoot_and_errors_are_those_after_the_ramp():
    samples = [(t, 660.0 if t == 150 else w) for t, w in FOLLOWED]
    got = respond(means(samples), EVENT, 1000.0)
    assert got.overshoot_w == pytest.approx(50.0)
    assert got.over_w == 0.0, "one second is no draw"
    assert got.over_error_frac == pytest.approx(60 / 80 / 600)
    # 0, 20 and 40 W away while the ramp goes on, then 50 W for 76 s and 60 W once
    assert got.tracking_error_frac == pytest.approx((0 + 20 + 40 + 76 * 50 + 60) / 80 / 600)


def test_the_rebound_is_the_highest_minute_after_the_end():
    after = [(200.0 + t, 1500.0 if 60 <= t < 120 else 5000.0 if t == 5 else 900.0) for t in range(3600)]
    got = respond(means([*FOLLOWED, *after]), EVENT, 1000.0)
    assert got.rebound_peak_w == pytest.approx(1500.0)
    assert got.rebound_w == pytest.approx(500.0)


def test_without_samples_nothing_is_told():
    got = respond([], EVENT, 1000.0)
    assert {getattr(got, name) for name in got.__slots__} == {None}


def test_a_limit_of_zero_has_no_relative_error():
    off = GridEvent("e", 0.0, 100.0, 200.0, 0.0, ramp_s=20.0)
    got = respond(means(FOLLOWED), off, 1000.0)
    assert (got.tracking_error_frac, got.over_error_frac) == (None, None)
    assert got.over_w == pytest.approx((600 + 580 + 560 + 550 + 550) / 5)
