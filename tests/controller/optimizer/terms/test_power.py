from dataclasses import replace

import pytest

from controller.optimizer.terms.power import power_drop, power_ramp, ramp_cost, site_power
from tests.fakes.problems import problem
from tests.fakes.terms import Desk

DATA = problem(bias_w=70.0)
NOW = {"on": [[1.0] * 3] * 2, "sleeping": [[1.0] * 3] * 2, "tokens": [[500.0] * 3, [300.0] * 3]}
# (2000 + 100 + 50) + (1000 + 100 + 50) + 0.3·500 + 0.2·300 + 40 spare = 3550 W of IT
SITE_W = 1.2 * 3550 + 300 + 70


def test_power_is_affine_in_instances_and_tokens():
    assert Desk(DATA, **NOW, site_w=SITE_W).violation(site_power) == pytest.approx(0.0, abs=1e-6)
    assert Desk(DATA, **NOW, site_w=SITE_W - 100).violation(site_power) == pytest.approx(100.0)
    assert Desk(DATA).is_dpp(site_power)


def test_a_rise_beyond_the_ramp_must_be_told():
    ramped = problem(ramp_w=500.0)
    rising = [[1000.0, 1500.0, 2600.0]]
    assert Desk(ramped, site_w=rising).violation(power_ramp) == pytest.approx(600.0)
    assert Desk(ramped, site_w=rising, over_ramp_w=600.0).violation(power_ramp) == pytest.approx(0.0)
    assert Desk(ramped, site_w=[[2600.0, 1000.0, 1000.0]]).violation(power_ramp) == 0.0
    assert Desk(ramped).is_dpp(power_ramp)


def test_without_a_ramp_any_rise_is_fine():
    assert Desk(DATA, site_w=[[0.0, 9000.0, 9000.0]]).violation(power_ramp) == 0.0


def test_a_fall_beyond_the_ramp_must_be_told_where_one_is_asked_for():
    falling = [[2600.0, 1500.0, 1400.0]]
    asked = problem(ramp_down_w=500.0)
    assert Desk(asked, site_w=falling).violation(power_drop) == pytest.approx(600.0)
    assert Desk(asked, site_w=falling, over_ramp_w=600.0).violation(power_drop) == pytest.approx(0.0)
    assert Desk(asked).is_dpp(power_drop)
    assert Desk(DATA, site_w=falling).violation(power_drop) == 0.0


def test_ramps_are_of_what_is_drawn_from_the_grid():
    sunny = problem(ramp_w=500.0, pv_w=(3000.0,) * 3)
    assert Desk(sunny, site_w=[[1000.0, 3000.0, 3000.0]], import_w=1000.0).violation(power_ramp) == 0.0


def test_a_single_interval_has_no_ramp():
    desk = Desk(problem(ramp_down_w=500.0))
    assert power_ramp(desk.v, desk.p, replace(desk.shape, steps=1)) == []
    assert power_drop(desk.v, desk.p, replace(desk.shape, steps=1)) == []


def test_rising_faster_costs():
    desk = Desk(problem(ramp_usd_per_w=0.01), over_ramp_w=[[0.0, 100.0, 0.0]])
    assert desk.cost(ramp_cost) == pytest.approx(100 * 0.01 * 1e6)
    assert desk.is_dpp_cost(ramp_cost)
