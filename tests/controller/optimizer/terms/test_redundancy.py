import pytest

from controller.optimizer.terms.capacity import engine_time
from controller.optimizer.terms.redundancy import redundancy_cost, spare_capacity
from tests.fakes.problems import class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

SAFE = (class_data("standard", 800.0, survives_loss=True),)
DATA = steady(pools=(pool_data("full"),), classes=SAFE)  # three instances of 900 tokens/s within η


def test_what_is_spare_carries_the_largest_instance():
    assert Desk(DATA, spare=0.9).violation(spare_capacity) == pytest.approx(0.0)
    assert Desk(DATA, spare=0.8).violation(spare_capacity) == pytest.approx(100.0)
    assert Desk(DATA, spare=0.8, over_spare=100.0).violation(spare_capacity) == pytest.approx(0.0)
    assert Desk(DATA).is_dpp(spare_capacity)


def test_engine_time_beyond_eta_is_not_spare():
    assert Desk(DATA, spare=0.95, over_busy=0.05).violation(spare_capacity) == pytest.approx(0.0)
    assert Desk(DATA, spare=0.9, over_busy=0.05).violation(spare_capacity) == pytest.approx(50.0)


def test_what_is_spare_is_not_used():
    assert Desk(DATA, on=2.0, tokens=800.0, spare=1.0).violation(engine_time) == pytest.approx(0.0, abs=1e-9)
    assert Desk(DATA, on=2.0, tokens=800.0, spare=1.1).violation(engine_time) == pytest.approx(0.1)
    assert Desk(DATA).is_dpp(engine_time)


def test_a_class_without_demand_needs_nothing():
    idle = steady(pools=(pool_data("full"),), classes=(class_data("standard", 0.0, survives_loss=True),))
    assert Desk(idle).violation(spare_capacity) == 0.0


def test_missing_capacity_costs_more_than_headroom_and_less_than_tokens():
    desk = Desk(DATA, over_spare=[[1.0, 0.0, 0.0]])
    headroom_usd, serve_usd = 0.01 * 1e-3 * 3600, 1e-3 * 3600
    assert headroom_usd < desk.cost(redundancy_cost) * 1e-6 < serve_usd
    assert desk.is_dpp_cost(redundancy_cost)


def test_a_plan_without_such_classes_has_none_of_it():
    desk = Desk(problem())
    assert spare_capacity(desk.v, desk.p, desk.shape) == []
    assert desk.cost(redundancy_cost) == 0.0


@golden(spare_capacity, redundancy_cost)
def test_one_instance_more_than_the_demand_needs_stays_on():
    # 800 tokens/s need one of 900; after the loss of one of two, one is left.
    plan = planned(DATA)
    assert plan.pools[0].on == (2, 2, 2)
    assert plan.slack == ()
    assert planned(steady(pools=(pool_data("full"),), classes=(class_data("standard", 800.0),))).pools[0].on == (
        1,
        1,
        1,
    )


def test_what_is_missing_is_told_and_everybody_is_served():
    plan = planned(steady(classes=SAFE))  # one instance, 100 tokens/s left
    assert [(s.promise, s.subject, s.amount) for s in plan.slack] == [("redundancy", "standard", pytest.approx(800.0))]


def test_pools_that_the_class_may_not_use_do_not_help():
    data = steady(
        pools=(steady().pools[0], pool_data("lean", on_now=3, sleeping_now=0, min_on=3)),
        classes=SAFE,
        allowed=((True, False),),
        busy_s_per_token=((1e-3, 1e-3),),
        j_per_token=((0.3, 0.2),),
    )
    assert [s.promise for s in planned(data).slack] == ["redundancy"]
