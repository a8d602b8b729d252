from dataclasses import replace

import pytest

from controller.lifecycle.memory import Memory
from controller.lifecycle.outlook import look_ahead
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.observation import Missing
from tests.fakes.fake_fleet import FakeFleet, site

ACT = TickPolicy(mode=Mode.ACT)


@pytest.fixture
def running():
    made = FakeFleet(site(), {"premium": 2.0, "standard": 5.0, "flex": 1.0})
    made.advance(10.0)
    return made


def ahead(observation, memory=None):
    return look_ahead(site(), ACT, memory or Memory.initial(site(), 0.0), observation)


def remembered(foreseen):
    return replace(Memory.initial(site(), 0.0), demand=foreseen.state, forecasts=foreseen.learnt)


def test_each_class_and_each_step_of_the_horizon_is_foreseen(running):
    told = ahead(running.observe())
    assert {demand.ahead_tokens_per_s for demand in told.demand} == {()}, "nothing was learnt yet"
    for _ in range(40):
        running.advance(60.0)
        told = ahead(running.observe(), remembered(told))
    assert len(told.demand) == len(site().classes)
    assert all(demand.output_tokens_per_s > 0.0 for demand in told.demand)
    assert {len(demand.ahead_tokens_per_s) for demand in told.demand} == {ACT.steps}
    assert len(told.price.values) == len(told.carbon.values) == ACT.steps


def test_demand_is_that_of_before_where_the_routers_tell_nothing(running):
    first = ahead(running.observe())
    running.advance(60.0)
    second = ahead(running.observe(), remembered(first))
    silent = replace(running.observe(), router=Missing("routers", "no answer", 0.0))
    told = ahead(silent, remembered(second))
    assert told.state == second.state
    assert [each.output_tokens_per_s for each in told.demand] == [each.output_tokens_per_s for each in second.demand]


def test_a_signal_that_is_missing_is_the_policys_own(running):
    silent = replace(running.observe(), price_usd_per_mwh=Missing("price", "no feed", 0.0))
    told = ahead(silent)
    assert set(told.price.values) == {ACT.default_price_usd_per_mwh}
    assert told.carbon.values == ahead(running.observe()).carbon.values
