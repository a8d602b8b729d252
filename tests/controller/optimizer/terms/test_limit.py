import pytest

from controller.optimizer.terms.limit import limit_cost, site_limit
from tests.fakes.problems import class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

DATA = problem(limit_w=(None, 3000.0, 3000.0))


def test_the_site_stays_under_its_limit_where_there_is_one():
    assert Desk(DATA, site_w=[[9000.0, 3000.0, 2900.0]]).violation(site_limit) == 0.0
    assert Desk(DATA, site_w=[[9000.0, 3100.0, 2900.0]]).violation(site_limit) == pytest.approx(100.0)
    assert Desk(DATA).is_dpp(site_limit)


def test_what_is_over_must_be_told_and_costs():
    desk = Desk(DATA, site_w=[[0.0, 3100.0, 0.0]], over_limit_w=[[0.0, 100.0, 0.0]])
    assert desk.violation(site_limit) == pytest.approx(0.0)
    assert desk.cost(limit_cost) == pytest.approx(100 * 60 * 0.02 * 1e6)
    assert desk.is_dpp_cost(limit_cost)


@golden(site_limit, limit_cost)
def test_a_limit_is_kept_by_the_tokens_that_cost_less_than_it():
    # Two on and one asleep draw 2,868 W, and 0.36 W a token/s: 432 W are left for 1,200 of 1,700 tokens/s.
    demand = (class_data("standard", 1700.0),)
    plan = planned(steady(pools=(pool_data("full"),), classes=demand, limit_w=(3300.0,) * 3, may_stop=False))
    assert plan.pools[0].on == (2, 2, 2)
    assert plan.pools[0].output_tokens_per_s[0][1] == pytest.approx((1200.0,) * 3)
    assert [(s.promise, s.amount) for s in plan.slack] == [("serve", pytest.approx(500.0))]
