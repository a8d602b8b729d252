from dataclasses import replace

import pytest

from controller.lifecycle.memory import Intent, Phase
from controller.lifecycle.replicas import desired_replicas, let_go
from controller.lifecycle.views import View
from controller.model.fleet import Instance
from controller.model.mode import Mode
from controller.model.observation import InstanceObservation, InstanceState
from controller.model.plan import Horizon, Plan, PlanOrigin, PoolPlan
from router.contract import InstanceId, PoolId
from tests.fakes.controller_parts import NOW_S, curves, pool, site


def fleet(start_s):
    return site(pool("bf16", ("http://a",), curves=replace(curves(), start_s=start_s)))


def planned(on, sleeping=(0, 0, 0, 0)):
    """Intervals of a minute from now on."""
    return Plan(Horizon(NOW_S, 60.0, 4), PlanOrigin.MILP, (), (PoolPlan(PoolId("bf16"), on, sleeping, ()),), 0.0)


@pytest.mark.parametrize(
    ("start_s", "at_s", "told"),
    [
        (0.0, 0.0, 1),
        (0.0, 60.0, 2),
        (60.0, 0.0, 2),
        (90.0, 0.0, 4),
        (600.0, 0.0, 4),
        (600.0, 180.0, 1),
        (600.0, 9000.0, 1),
    ],
)
def test_what_serves_once_a_start_would_be_over_has_to_be_started_now(start_s, at_s, told):
    assert desired_replicas(fleet(start_s), planned((1, 2, 4, 1)), NOW_S + at_s) == ((PoolId("bf16"), told),)


def test_instances_that_sleep_exist():
    assert desired_replicas(fleet(0.0), planned((1, 1, 1, 1), (2, 0, 0, 0)), NOW_S) == ((PoolId("bf16"), 3),)


def test_none_at_all_may_be_wanted():
    assert desired_replicas(fleet(0.0), planned((0, 0, 0, 0)), NOW_S) == ((PoolId("bf16"), 0),)


def followed(*names, places=6, **changes):
    """A pool whose pods an autoscaler takes, and as many places as are left."""
    there = [Instance(InstanceId(name), f"http://{name}") for name in names]
    vacant = [Instance(InstanceId(f"bf16~{n}"), "") for n in range(len(there), places)]
    given = {"places": places, "lets_go": True, "rests_awake": True, "instances": (*there, *vacant), **changes}
    return site(replace(pool("bf16", ("http://a",), curves=replace(curves(), start_s=0.0)), **given))


def told(site_, on, sleeping, gone=()):
    return desired_replicas(site_, planned((on,) * 4, (sleeping,) * 4), NOW_S, gone)


@pytest.mark.parametrize(
    ("on", "gone", "wanted"),
    [(1, (), 3), (1, ("a",), 2), (1, ("a", "c"), 1), (2, ("a", "b", "c"), 2), (5, ("a",), 5), (0, ("gone",), 3)],
)
def test_an_autoscaler_is_told_fewer_only_by_those_that_are_let_go(on, gone, wanted):
    assert told(followed("a", "b", "c"), on, max(0, 3 - on), gone) == ((PoolId("bf16"), wanted),)


@pytest.mark.parametrize(
    ("gone", "wanted"), [((), 11), (("v-10",), 10), (("v-9",), 11), (("v-9", "v-10"), 9), (("v-2", "v-10"), 10)]
)
def test_where_the_last_goes_those_below_one_that_serves_stay(gone, wanted):
    names = sorted(f"v-{n}" for n in range(11))
    assert told(followed(*names, places=12, in_order=True), 1, 0, gone) == ((PoolId("bf16"), wanted),)


def test_sleepers_are_to_exist_where_engines_sleep_even_if_they_are_let_go():
    asleep = followed("a", "b", "c", rests_awake=False, may_stop=True)
    assert told(asleep, 1, 2, ("a",)) == ((PoolId("bf16"), 3),)
    assert told(asleep, 1, 0, ("a",)) == ((PoolId("bf16"), 2),)


def test_what_is_not_reached_is_not_told_as_superfluous_where_nothing_may_be_let_go():
    kept = {"lets_go": False, "rests_awake": False}
    assert told(followed("a", "b", "c", **kept), 2, 0) == ((PoolId("bf16"), 3),)
    assert told(followed("a", "b", "c", **kept, may_stop=True), 2, 0) == ((PoolId("bf16"), 2),)


def test_nothing_is_said_of_a_pool_of_which_no_instance_is_known():
    assert told(followed(places=0), 0, 0) == ()


@pytest.mark.parametrize(
    ("is_told", "phase", "running", "is_gone"),
    [
        (True, Phase.SLEEP, 0, True),
        (False, Phase.SLEEP, 0, False),
        (True, Phase.SERVE, 0, False),
        (True, Phase.DRAIN, 0, False),
        (True, Phase.SLEEP, 1, False),
    ],
)
def test_let_go_is_what_rests_without_a_request_and_goes_first(is_told, phase, running, is_gone):
    of = followed("a").pools[0]
    name, state = InstanceId("a"), InstanceState.SLEEPING
    seen = InstanceObservation(name, of.pool_id, state, NOW_S, NOW_S, running=running, is_let_go=is_told)
    view = View(of.instances[0], of, 0, state, seen, Intent(name, phase, NOW_S))
    assert let_go((view,)) == ({"a"} if is_gone else set())
    assert not let_go((replace(view, seen=None),))


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
@pytest.mark.parametrize("changes", [{}, {"lets_go": False, "may_stop": True}, {"in_order": True}])
def test_of_a_pool_that_is_held_there_are_to_be_as_many_as_there_are(mode, changes):
    held = followed("v-0", "v-1", "v-2", mode=mode, **changes)
    for on in (0, 2, 5):
        assert told(held, on, 0, ("v-2",)) == ((PoolId("bf16"), 3),)


def test_where_others_tell_how_many_there_may_be_it_is_what_is_on_or_asleep():
    whole = fleet(0.0)
    held = replace(whole, pools=tuple(replace(each, mode=Mode.OBSERVE) for each in whole.pools))
    assert desired_replicas(held, planned((2,) * 4, (1,) * 4), NOW_S) == ((PoolId("bf16"), 3),)
