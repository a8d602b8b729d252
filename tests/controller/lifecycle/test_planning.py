from dataclasses import replace

import pytest

from controller.lifecycle.planning import targets_of
from controller.lifecycle.policy import Mode
from controller.lifecycle.targets import Targets
from controller.model.grid import GridEvent
from controller.model.observation import InstanceState
from controller.model.plan import PlanOrigin
from controller.tick import decide
from tests.controller.lifecycle.test_knowledge import ACT, fleet, known
from tests.fakes.called_fleet import PLANNER, CalledFleet
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.pool_modes import with_modes

TOLD = with_modes(site(), bf16=Mode.RECOMMEND)


class Asked:
    """A planner that keeps what it was asked, and takes a share of the time for each plan."""

    def __init__(self, takes=0.25):
        self.takes, self.asked = takes, []

    def plan(self, data, *, time_limit_s):
        self.asked.append((data, time_limit_s))
        return replace(PLANNER.plan(data, time_limit_s=10.0), solve_s=self.takes * time_limit_s)

    def dispatch(self, data, on):
        return PLANNER.dispatch(data, on)


def planned(of, planner, policy=ACT):
    loop = CalledFleet(of, policy=policy)
    loop.fleet.advance(2.0)
    return decide(of, policy, planner, loop.memory, loop.fleet.observe())


def test_a_second_plan_frees_what_is_only_recommended_within_what_the_first_leaves_of_the_time():
    planner = Asked()
    made = planned(TOLD, planner)
    (done, limit_s), (free, left_s) = planner.asked
    assert (limit_s, left_s) == (ACT.slow_time_limit_s, 0.75 * ACT.slow_time_limit_s)
    assert [pool.is_held for pool in done.pools] == [True, False, False]
    assert not any(pool.is_held for pool in free.pools)
    assert made.memory.proposed.origin is PlanOrigin.MILP
    assert made.memory.proposed != made.plan


@pytest.mark.parametrize(
    ("of", "mode", "takes"),
    [
        (site(), Mode.ACT, 0.1),
        (with_modes(site(), bf16=Mode.OBSERVE), Mode.ACT, 0.1),
        (TOLD, Mode.OBSERVE, 0.1),
        (TOLD, Mode.ACT, 1.0),
    ],
)
def test_without_such_a_pool_or_time_there_is_none(of, mode, takes):
    planner = Asked(takes)
    made = planned(of, planner, replace(ACT, mode=mode))
    assert len(planner.asked) == 1
    assert (made.memory.proposed, made.recommended) == (None, ())


def test_a_tick_that_plans_nothing_tells_what_was_planned_before():
    loop = CalledFleet(TOLD).run(40)
    loop.fleet.advance(2.0)
    again = decide(TOLD, ACT, Asked(), loop.memory, loop.fleet.observe(), plans=False)
    assert again.recommended
    assert again.memory.proposed == loop.memory.proposed


def test_what_others_would_have_to_do_first_holds_nothing_back():
    loop = CalledFleet(TOLD).run(90)
    awake = {engine.pool.pool_id for engine in loop.fleet.engines if engine.state is InstanceState.SERVING}
    assert awake == {"bf16"}
    assert {step.instance_id for step in loop.last.recommended} < {f"bf16-{n}" for n in range(4)}


def test_while_the_demand_is_unknown_nothing_is_recommended():
    loop = CalledFleet(TOLD).run(20)
    assert loop.last.diagnostics.holding is not None
    assert loop.last.recommended == ()


def wanted(of, observation, plan, policy=ACT):
    return targets_of(of, policy, known(observation), plan)


def test_a_plan_wants_what_it_says_of_now_and_shortly_before_an_event_also_what_that_needs():
    running = fleet()
    plan = CalledFleet(site()).run(60).last.plan
    [first, *others] = plan.pools
    rising = replace(plan, pools=(replace(first, on=(1, *(3 for _ in first.on[1:])), sleeping=(0,) * 12), *others))
    now_s = running.now_s
    moved = replace(rising, horizon=replace(plan.horizon, start_s=now_s))
    assert wanted(site(), running.observe(), moved).on[0] == 1
    limited = tuple(replace(each, limit_w=(None, *(9e4 for _ in each.limit_w[1:]))) for each in moved.sites)
    running.events = (GridEvent("e", 9e4, now_s + 30.0, now_s + 600.0, 0.0),)
    assert wanted(site(), running.observe(), replace(moved, sites=limited)).on[0] == 3


def test_without_a_plan_the_instances_are_left_as_they_are_found():
    running = FakeFleet(site(), {})
    running.engines[0].state = InstanceState.SLEEPING
    assert wanted(site(), running.observe(), None) == Targets((3, 5, 5), (4, 5, 5))


def test_of_what_is_held_is_wanted_what_is_found_whatever_the_plan_says():
    plan = CalledFleet(site()).run(60).last.plan
    running = FakeFleet(site(), {})
    assert plan.pools[0].on[0] < 4
    assert wanted(TOLD, running.observe(), plan).on[0] == 4
