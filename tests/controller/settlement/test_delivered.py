import pytest

from controller.model.grid import GridEvent
from controller.settlement.delivered import intervals_after_ramp, settle, time_to_share_s

EVENT = GridEvent("e", 600.0, 100.0, 200.0, 100.0, ramp_s=20.0)
FALLING = [(float(t), 1000.0 if t < 100 else max(550.0, 1000.0 - 30.0 * (t - 100))) for t in range(80, 200, 2)]


def test_time_to_90pct_is_measured_from_the_start():
    assert time_to_share_s(FALLING, EVENT, 1000.0, 0.9) == 12.0
    assert time_to_share_s(FALLING, EVENT, 1000.0, 0.5) == 8.0


def test_a_fall_before_or_after_the_event_does_not_count():
    assert time_to_share_s([(90.0, 0.0), (150.0, 900.0), (210.0, 0.0)], EVENT, 1000.0, 0.9) is None


def test_a_site_already_under_the_limit_is_there_at_once():
    assert time_to_share_s([(100.0, 500.0)], EVENT, 500.0, 0.9) == 0.0


def test_a_kept_event_is_settled():
    account = settle(FALLING, EVENT, baseline_w=1000.0, interval_s=30.0)
    assert account.intervals_over_limit == 0
    assert account.intervals_missing == 0
    assert account.delivered_w == pytest.approx(450.0)
    assert [(i.start_s, i.end_s) for i in account.intervals] == [(120.0, 150.0), (150.0, 180.0), (180.0, 200.0)]


def test_an_interval_over_the_limit_is_counted():
    bump = [(t, 800.0 if 150 <= t < 180 else w) for t, w in FALLING]
    account = settle(bump, EVENT, baseline_w=1000.0, interval_s=30.0)
    assert account.intervals_over_limit == 1
    assert account.intervals[1].delivered_w == pytest.approx(200.0)


def test_missing_is_neither_kept_nor_broken():
    account = settle([s for s in FALLING if s[0] < 150], EVENT, baseline_w=1000.0, interval_s=30.0)
    assert (account.intervals_missing, account.intervals_over_limit) == (2, 0)
    assert settle([], EVENT, baseline_w=1000.0, interval_s=30.0).delivered_w is None


def test_an_event_under_way_is_settled_as_far_as_it_went():
    so_far = intervals_after_ramp(FALLING, EVENT, 1000.0, 30.0, until_s=140.0)
    assert [(i.start_s, i.end_s) for i in so_far] == [(120.0, 140.0)]
    assert settle(FALLING, EVENT, baseline_w=1000.0, interval_s=30.0, until_s=110.0).intervals == ()


def test_drawing_more_than_the_baseline_is_negative_delivery():
    account = settle([(130.0, 1200.0)], EVENT, baseline_w=1000.0, interval_s=80.0)
    assert account.delivered_w == pytest.approx(-200.0)
