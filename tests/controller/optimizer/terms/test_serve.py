import pytest

from controller.optimizer.terms.serve import serve_demand, unserved_cost
from tests.fakes.problems import class_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

DATA = problem()  # 800 tokens/s; rows are (standard, full), (standard, lean)
NOWHERE = {
    "allowed": ((True, True), (False, False)),
    "busy_s_per_token": ((1e-3, 1e-3),) * 2,
    "j_per_token": ((0.3, 0.2),) * 2,
}


def test_demand_is_served_by_any_mix_of_pools():
    desk = Desk(DATA, tokens=[[500.0] * 3, [300.0] * 3])
    assert desk.violation(serve_demand) == pytest.approx(0.0)
    assert desk.is_dpp(serve_demand)


def test_demand_that_is_told_to_be_missing_keeps_the_balance():
    assert Desk(DATA, tokens=[[500.0] * 3, [0.0] * 3], unserved=300.0).violation(serve_demand) == pytest.approx(0.0)


def test_demand_that_vanishes_breaks_the_balance():
    assert Desk(DATA, tokens=[[500.0] * 3, [200.0] * 3]).violation(serve_demand) == pytest.approx(100.0)


def test_a_precision_that_is_not_allowed_cannot_be_chosen():
    only_full = problem(allowed=((True, False),))
    assert Desk(only_full).v.tokens.shape == (1, 3)
    assert Desk(only_full, tokens=800.0).violation(serve_demand) == pytest.approx(0.0)


def test_a_class_that_no_pool_may_serve_is_told_to_be_unserved():
    nowhere = problem(classes=(class_data("standard", 800.0), class_data("lost", 50.0)), **NOWHERE)
    told = Desk(nowhere, tokens=[[500.0] * 3, [300.0] * 3], unserved=[[0.0] * 3, [50.0] * 3])
    assert told.violation(serve_demand) == pytest.approx(0.0)
    silent = Desk(nowhere, tokens=[[500.0] * 3, [300.0] * 3])
    assert silent.violation(serve_demand) == pytest.approx(50.0)


def test_unserved_tokens_cost_their_worth():
    desk = Desk(DATA, unserved=10.0)  # 10 tokens/s for 3 minutes at 0.001 USD, in millionths
    assert desk.cost(unserved_cost) == pytest.approx(10.0 * 180 * 1e-3 * 1e6)
    assert desk.is_dpp_cost(unserved_cost)


@golden(serve_demand, unserved_cost)
def test_what_one_instance_cannot_serve_is_missing_and_no_more():
    plan = planned(steady(classes=(class_data("standard", 2500.0),), peak_frac=0.9))
    assert plan.pools[0].output_tokens_per_s[0][1] == pytest.approx((900.0,) * 3)
    assert [(s.promise, s.amount) for s in plan.slack] == [("serve", pytest.approx(1600.0))]
