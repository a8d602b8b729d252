from dataclasses import replace

import pytest

from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.triggers import events_key, fleet_key, holding, router_age_s, slow_reasons, unforeseen
from controller.lifecycle.views import look
from controller.model.grid import GridEvent
from controller.model.mode import Mode
from controller.model.observation import InstanceState, Missing
from controller.optimizer.greedy import greedy
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.pool_modes import with_modes
from tests.fakes.problems import problem

POLICY = TickPolicy(slow_interval_s=60.0, slow_min_gap_s=6.0, warmup_s=30.0, reading_stale_s=15.0)
PLANNED = replace(Memory.initial(site(), 0.0), plan=greedy(problem()), planned_at_s=100.0, fleet_key=(4, 5, 5))
EVENT = GridEvent("e", 5000.0, 100.0, 200.0, 50.0)


def reasons(memory=PLANNED, now_s=110.0, events=(), fleet=(4, 5, 5), held=None):
    return slow_reasons(POLICY, memory, now_s, events=events, fleet=fleet, held=held)


def test_between_two_intervals_nothing_calls_for_a_plan():
    assert reasons() == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"memory": Memory.initial(site(), 0.0)}, "first plan"),
        ({"now_s": 160.0}, "interval"),
        ({"events": (("e", "active", 5000.0),)}, "event"),
        ({"fleet": (3, 5, 5)}, "fleet"),
        ({"memory": replace(PLANNED, lacking=True)}, "promise"),
        ({"memory": replace(PLANNED, blind=True)}, "demand is known"),
    ],
)
def test_each_reason_is_told(changes, says):
    assert len(reasons(**changes)) == 1
    assert says in reasons(**changes)[0]


def test_a_lack_does_not_call_at_every_tick():
    assert reasons(memory=replace(PLANNED, lacking=True), now_s=104.0) == ()


def test_a_plan_made_blind_waits_until_the_demand_is_known():
    assert reasons(memory=replace(PLANNED, blind=True), held="unknown") == ()


def test_the_key_of_events_changes_with_state_and_limit_alone():
    pending, active = events_key((EVENT,), 60.0), events_key((EVENT,), 120.0)
    assert pending != active
    assert active == events_key((EVENT,), 150.0)
    assert active != events_key((replace(EVENT, limit_w=4000.0),), 150.0)
    assert events_key((EVENT,), 200.0) == ()


def test_the_key_of_the_fleet_counts_what_can_be_reached():
    fleet = FakeFleet(site(), {})
    fleet.engines[0].state = InstanceState.UNREACHABLE
    fleet.engines[1].state = InstanceState.SLEEPING
    assert fleet_key(fleet.site, look(fleet.site, (), fleet.observe(), stale_s=15.0, retry_s=30.0)) == (3, 5, 5)


@pytest.mark.parametrize(
    ("planned", "now", "found"),
    [((0, 5, 0), (4, 5, 0), {0}), ((3, 5, 5), (4, 5, 5), set()), ((4, 5, 5), (0, 5, 5), set()), ((), (4, 5, 5), set())],
)
def test_a_pool_is_unforeseen_that_has_instances_where_none_was_known(planned, now, found):
    assert unforeseen(planned, now, 3) == found


def test_what_is_on_and_asleep_in_a_held_pool_is_no_pool():
    assert unforeseen((4, 5, 5, 0, 4), (4, 5, 5, 4, 0), 3) == set()


@pytest.mark.parametrize(
    ("observed_s", "age_s", "urgent", "says"),
    [
        (0.0, 0.0, False, "not been observed"),
        (0.0, 0.0, True, "not been observed"),
        (10.0, 0.0, False, "10 s of 30 s"),
        (10.0, 0.0, True, None),
        (90.0, 16.0, False, "routers do not report"),
        (90.0, None, False, "routers do not report"),
        (90.0, None, True, None),
        (90.0, 2.0, False, None),
    ],
)
def test_instances_are_held_until_the_demand_is_known(observed_s, age_s, urgent, says):
    held = holding(POLICY, observed_s, age_s, urgent=urgent)
    assert held is None if says is None else says in held


def test_the_age_of_what_is_missing_is_unknown():
    observation = FakeFleet(site(), {}).observe()
    assert router_age_s(observation) == 0.0
    assert router_age_s(replace(observation, router=Missing("router", "refused", 0.0))) is None


def test_what_others_do_to_pools_that_are_held_calls_for_a_plan():
    fleet = FakeFleet(with_modes(site(), bf16=Mode.OBSERVE), {})

    def key():
        return fleet_key(fleet.site, look(fleet.site, (), fleet.observe(), stale_s=15.0, retry_s=30.0))

    assert key() == (4, 5, 5, 4, 0)
    fleet.engines[0].state = InstanceState.SLEEPING
    assert key() == (4, 5, 5, 3, 1)
    fleet.engines[0].state = InstanceState.OFF
    assert key() == (4, 5, 5, 3, 0)
