import pytest

from controller.optimizer.terms.headroom import headroom_bound, headroom_cost
from tests.fakes.problems import class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

DATA = problem(peak_frac=0.95)  # η 0.9


def test_only_what_instances_have_beyond_eta_may_be_used():
    on = [[2.0] * 3, [0.0] * 3]
    assert Desk(DATA, on=on, over_busy=[[0.1] * 3, [0.0] * 3]).violation(headroom_bound) == pytest.approx(0.0, abs=1e-9)
    assert Desk(DATA, on=on, over_busy=[[0.2] * 3, [0.0] * 3]).violation(headroom_bound) == pytest.approx(0.1)
    assert Desk(DATA).is_dpp(headroom_bound)


def test_a_peak_below_eta_leaves_no_headroom():
    desk = Desk(problem(peak_frac=0.5), on=1.0, over_busy=0.01)
    assert desk.violation(headroom_bound) == pytest.approx(0.01)


def test_it_costs_by_the_second():
    desk = Desk(problem(headroom_usd_per_s=0.02), over_busy=[[0.1] * 3, [0.0] * 3])
    assert desk.cost(headroom_cost) == pytest.approx(0.1 * 180 * 0.02 * 1e6)
    assert desk.is_dpp_cost(headroom_cost)


@golden(headroom_bound)
def test_headroom_serves_what_would_be_missing_as_far_as_it_goes():
    plan = planned(steady(classes=(class_data("standard", 1000.0),)))  # one instance, η 0.9 and 0.97 at the peak
    assert plan.pools[0].output_tokens_per_s[0][1] == pytest.approx((970.0,) * 3)
    assert [(s.promise, s.amount) for s in plan.slack] == [
        ("serve", pytest.approx(30.0)),
        ("headroom", pytest.approx(0.07)),
    ]


@golden(headroom_cost)
def test_a_second_instance_is_cheaper_than_headroom():
    # 40 tokens/s beyond η cost 0.04 · 3,600 s · 0.01 USD an hour; an instance of 1,080 W 0.054 USD.
    plan = planned(steady(pools=(pool_data("full"),), classes=(class_data("standard", 940.0),)))
    assert plan.pools[0].on == (2, 2, 2)
    assert plan.slack == ()
