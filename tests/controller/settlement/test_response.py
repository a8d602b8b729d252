import pytest

from controller.model.grid import GridEvent
from controller.settlement.response import respond, time_to_share_s

EVENT = GridEvent("e", 600.0, 100.0, 200.0, 0.0, ramp_s=20.0)


def ramp(time_s):
    return 1000.0 if time_s < 100 else max(550.0, 1000.0 - 20.0 * (time_s - 100))


FOLLOWED = [(float(t), ramp(t)) for t in range(90, 200)]


def test_times_are_counted_from_the_start():
    got = respond(FOLLOWED, EVENT, 1000.0)
    assert (got.time_to_50pct_s, got.time_to_90pct_s, got.time_to_100pct_s) == (10.0, 18.0, 20.0)
    assert time_to_share_s(FOLLOWED[:15], EVENT, 1000.0, 0.9) is None


def test_a_limit_that_is_not_below_the_baseline_asks_for_nothing_that_could_be_reached():
    got = respond(FOLLOWED, EVENT, 600.0)
    assert (got.time_to_50pct_s, got.time_to_90pct_s, got.time_to_100pct_s) == (None, None, None)


def test_overshoot_and_errors_are_those_after_the_ramp():
    samples = [(t, 660.0 if t == 150 else w) for t, w in FOLLOWED]
    got = respond(samples, EVENT, 1000.0)
    assert got.overshoot_w == 50.0
    assert got.over_w == 60.0
    assert got.over_error_frac == pytest.approx(60 / 80 / 600)
    # 0, 20 and 40 W away while the ramp goes on, then 50 W for 76 s and 60 W once
    assert got.tracking_error_frac == pytest.approx((0 + 20 + 40 + 76 * 50 + 60) / 80 / 600)


def test_the_rebound_is_the_highest_minute_after_the_end():
    after = [(200.0 + t, 1500.0 if 60 <= t < 120 else 5000.0 if t == 5 else 900.0) for t in range(3600)]
    got = respond([*FOLLOWED, *after], EVENT, 1000.0)
    assert got.rebound_peak_w == pytest.approx(1500.0)
    assert got.rebound_w == pytest.approx(500.0)


def test_without_samples_nothing_is_told():
    got = respond([], EVENT, 1000.0)
    assert {getattr(got, name) for name in got.__slots__} == {None}


def test_a_limit_of_zero_has_no_relative_error():
    off = GridEvent("e", 0.0, 100.0, 200.0, 0.0, ramp_s=20.0)
    got = respond(FOLLOWED, off, 1000.0)
    assert (got.tracking_error_frac, got.over_error_frac) == (None, None)
    assert got.over_w == 600.0
