import pytest

from controller.optimizer.terms.response import reduction_bound, response_reward
from tests.fakes.problems import battery_data, problem, response_data, steady
from tests.fakes.terms import Desk, golden, planned

DATA = steady(response=response_data())  # 1,500 W, up to 300 W less in the second interval


def test_a_reduction_is_power_not_drawn():
    reduced = [[0.0, 300.0, 0.0]]
    assert Desk(DATA, site_w=1200.0, reduction_w=reduced).violation(reduction_bound) == pytest.approx(0.0)
    assert Desk(DATA, site_w=1300.0, reduction_w=reduced).violation(reduction_bound) == pytest.approx(100.0)
    assert Desk(DATA, site_w=1600.0, excess_w=100.0).violation(reduction_bound) == pytest.approx(0.0)
    assert Desk(DATA).is_dpp(reduction_bound)


def test_no_more_is_paid_than_the_programme_takes():
    assert Desk(DATA, reduction_w=[[0.0, 400.0, 0.0]]).violation(reduction_bound) == pytest.approx(100.0)
    assert Desk(DATA, reduction_w=[[50.0, 0.0, 0.0]]).violation(reduction_bound) == pytest.approx(50.0)


def test_it_pays_below_the_baseline_and_takes_back_above_it_during_events_only():
    below = Desk(DATA, reduction_w=[[0.0, 300.0, 0.0]])
    assert below.cost(response_reward) == pytest.approx(-300e-6 * 100 * 1e6)
    assert Desk(DATA, excess_w=200.0).cost(response_reward) == pytest.approx(200e-6 * 100 * 1e6)
    assert below.is_dpp_cost(response_reward)


def test_a_plan_without_a_programme_has_none_of_it():
    desk = Desk(problem())
    assert reduction_bound(desk.v, desk.p, desk.shape) == []
    assert desk.cost(response_reward) == 0.0


@golden(reduction_bound, response_reward)
def test_a_battery_earns_the_reward_and_is_charged_again():
    # 300 W less earn 50 + 100 USD/MWh and cost 50 and twice the wear of 10; a watt more earns 50 and costs 70.
    battery = battery_data(capacity_wh=500.0, soc_wh=500.0, final_wh=500.0, wear_usd_per_mwh=10.0)
    response = response_data(baseline_w=(1548.0,) * 3)
    plan = planned(steady(battery=battery, response=response))
    assert plan.sites[0].discharge_w == pytest.approx((0.0, 300.0, 0.0))
    assert plan.sites[0].soc_wh[-1] == pytest.approx(500.0)
    assert plan.cost_usd == pytest.approx((3 * 1548 * 50 + 600 * 10 - 300 * 100) * 1e-6)


def test_drawing_more_than_the_baseline_pays_back():
    plan = planned(steady(response=response_data(baseline_w=(1000.0,) * 3)))
    assert plan.cost_usd == pytest.approx((3 * 1548 * 50 + 548 * 100) * 1e-6)
