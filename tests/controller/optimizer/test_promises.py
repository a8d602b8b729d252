import pytest

from controller.optimizer.promises import (
    energy_tolerance_wh,
    headroom_used,
    over_limit_w,
    over_quality,
    over_ramp_w,
    over_spare,
    short_wh,
    unserved,
)
from tests.fakes.problems import battery_data, class_data, problem, site_data, steady

LOSSY = (((100.0, 0.0, 800.0), (700.0, 700.0, 0.0)),)


def test_demand_that_nobody_serves_is_unserved_at_its_interval():
    assert unserved(problem(), LOSSY, 0) == pytest.approx((0.0, 100.0, 0.0))
    late = problem(classes=(class_data("standard", 800.0, defer_steps=1),))
    assert unserved(late, (((800.0, 700.0, 900.0), (0.0,) * 3),), 0) == (0.0, 0.0, 0.0)


def test_a_budget_holds_in_each_interval_or_over_all():
    assert over_quality(problem(), LOSSY, 0) == pytest.approx((700 * 0.01 - 100 * 0.01, 7.0, 0.0))
    together = problem(classes=(class_data("standard", 800.0, quality_window=True),))
    assert over_quality(together, LOSSY, 0) == pytest.approx(((1400 - 900) * 0.01 / 3,) * 3)
    assert over_quality(together, (((700.0, 0.0, 100.0), (0.0, 700.0, 100.0)),), 0) == (0.0,) * 3


def test_power_is_over_a_limit_where_there_is_one():
    site = site_data(limit_w=(None, 1000.0, 1000.0))
    assert [over_limit_w(site, 1200.0, t) for t in range(3)] == [0.0, 200.0, 200.0]
    assert over_limit_w(site, 1000.4, 1) == 0.0


def test_ramps_hold_both_ways():
    site = site_data(ramp_w=100.0, ramp_down_w=300.0)
    assert over_ramp_w(site, (1000.0, 1250.0, 900.0)) == pytest.approx(150.0)
    assert over_ramp_w(site, (1000.0, 1100.0, 700.0)) == pytest.approx(100.0)
    assert over_ramp_w(site_data(), (0.0, 9e9, 0.0)) == 0.0


def test_the_step_into_the_first_interval_counts_where_it_is_known_from_what():
    known = site_data(ramp_w=100.0, ramp_down_w=300.0, drawn_before_w=1000.0)
    assert over_ramp_w(known, (1250.0,)) == pytest.approx(150.0)
    assert over_ramp_w(known, (600.0, 600.0)) == pytest.approx(100.0)
    assert over_ramp_w(known, (1100.0,)) == over_ramp_w(known, (700.0,)) == 0.0
    unknown = site_data(ramp_w=100.0, ramp_down_w=300.0)
    assert over_ramp_w(unknown, (9e9,)) == 0.0


def test_a_fall_that_a_limit_demands_breaks_no_ramp():
    called = site_data(ramp_down_w=300.0, drawn_before_w=1000.0, limit_w=(500.0, 500.0, 100.0))
    assert over_ramp_w(called, (500.0, 500.0, 100.0)) == 0.0
    assert over_ramp_w(called, (400.0, 400.0, 100.0)) == pytest.approx(100.0)
    assert over_ramp_w(called, (900.0, 500.0, 100.0)) == pytest.approx(100.0)


def test_a_battery_is_short_at_the_horizons_end_only():
    data = steady(battery=battery_data(final_wh=500.0))
    assert short_wh(data, 0, (0.0, 0.0, 0.0, 200.0)) == pytest.approx(300.0)
    assert short_wh(data, 0, (0.0, 0.0)) == 0.0
    assert short_wh(steady(), 0, ()) == 0.0
    assert short_wh(data, 0, (0.0, 0.0, 0.0, 499.995)) == 0.0
    assert energy_tolerance_wh(battery_data(capacity_wh=0.0)) > 0


def test_headroom_and_spare_are_told_beyond_arithmetic():
    rates = (((850.0,) * 3, (0.0,) * 3),)
    assert headroom_used(problem(utilisation_frac=0.8), 0, ((1.0,) * 3, (0.0,) * 3), rates) == pytest.approx(0.05)
    assert headroom_used(problem(), 0, ((1.0,) * 3, (0.0,) * 3), rates) == 0.0
    safe = problem(classes=(class_data("standard", 850.0, survives_loss=True),))
    assert over_spare(safe, 0, ((1.0,) * 3, (1.0,) * 3), rates) == 0.0
    assert over_spare(safe, 0, ((1.0,) * 3, (0.0,) * 3), rates) == pytest.approx(850.0)
