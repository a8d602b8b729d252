from dataclasses import replace

import pytest

from controller.lifecycle.memory import Intent, Phase
from controller.lifecycle.views import look, natural_intent, serving_by_pool
from controller.model.fleet import resting_awake
from controller.model.observation import InstanceState
from router.contract import InstanceId
from tests.fakes.fake_fleet import FakeFleet, site

NOW_S = 1000.0
ID = InstanceId("bf16-0")


def viewed(state, intent=None, *, age_s=0.0, running=0, fleet_site=None):
    fleet = FakeFleet(site() if fleet_site is None else fleet_site, {})
    observation = fleet.observe()
    first = replace(observation.instances[0], state=state, observed_at_s=NOW_S - age_s, running=running)
    observation = replace(observation, instances=(first, *observation.instances[1:]))
    return look(fleet.site, () if intent is None else (intent,), observation, stale_s=15.0, retry_s=30.0)[0]


def test_there_is_a_view_for_every_configured_instance_even_without_report():
    fleet = FakeFleet(site(), {})
    views = look(fleet.site, (), replace(fleet.observe(), instances=()), stale_s=15.0, retry_s=30.0)
    assert len(views) == 14
    assert {view.state for view in views} == {InstanceState.UNREACHABLE}


def test_a_stale_report_is_none():
    assert viewed(InstanceState.SERVING, age_s=16.0).state is InstanceState.UNREACHABLE
    assert viewed(InstanceState.SERVING, age_s=14.0).state is InstanceState.SERVING


@pytest.mark.parametrize(
    ("state", "phase", "is_on", "serves"),
    [
        (InstanceState.SERVING, Phase.SERVE, True, True),
        (InstanceState.SLEEPING, Phase.SLEEP, False, False),
        (InstanceState.WAKING, Phase.WAKE, True, False),
        (InstanceState.STARTING, Phase.WAKE, True, False),
        (InstanceState.OFF, Phase.OFF, False, False),
        (InstanceState.UNREACHABLE, Phase.SERVE, False, False),
    ],
)
def test_an_unknown_instance_is_taken_as_it_is(state, phase, is_on, serves):
    view = viewed(state)
    assert view.intent.phase is phase
    assert (view.is_on, view.serves) == (is_on, serves)


@pytest.mark.parametrize(
    ("state", "intent", "phase"),
    [
        pytest.param(InstanceState.SERVING, Intent(ID, Phase.DRAIN, 990.0, 7), Phase.DRAIN, id="drains on"),
        pytest.param(InstanceState.SERVING, Intent(ID, Phase.WAKE, 990.0), Phase.SERVE, id="has woken"),
        pytest.param(
            InstanceState.SERVING, Intent(ID, Phase.SLEEP, 990.0, commanded_s=990.0), Phase.SLEEP, id="falls asleep"
        ),
        pytest.param(
            InstanceState.SERVING, Intent(ID, Phase.SLEEP, 900.0, 7, 890.0, 900.0), Phase.DRAIN, id="did not sleep"
        ),
        pytest.param(InstanceState.SLEEPING, Intent(ID, Phase.WAKE, 990.0), Phase.WAKE, id="is told to wake"),
        pytest.param(
            InstanceState.SLEEPING, Intent(ID, Phase.SERVE, 990.0), Phase.SLEEP, id="was put to sleep by hand"
        ),
        pytest.param(
            InstanceState.SLEEPING, Intent(ID, Phase.OFF, 990.0, commanded_s=990.0), Phase.OFF, id="is told to stop"
        ),
        pytest.param(
            InstanceState.SLEEPING, Intent(ID, Phase.OFF, 900.0, commanded_s=900.0), Phase.SLEEP, id="did not stop"
        ),
        pytest.param(InstanceState.OFF, Intent(ID, Phase.WAKE, 990.0), Phase.WAKE, id="is told to start"),
        pytest.param(InstanceState.OFF, Intent(ID, Phase.SERVE, 990.0), Phase.OFF, id="has crashed"),
        pytest.param(InstanceState.UNREACHABLE, Intent(ID, Phase.DRAIN, 990.0, 7), Phase.DRAIN, id="cannot be seen"),
        pytest.param(InstanceState.WAKING, Intent(ID, Phase.SLEEP, 990.0), Phase.WAKE, id="was woken by hand"),
    ],
)
def test_wishes_give_way_to_what_has_become_of_them(state, intent, phase):
    assert viewed(state, intent).intent.phase is phase


def test_a_sleep_without_effect_keeps_its_acknowledgement():
    again = viewed(InstanceState.SERVING, Intent(ID, Phase.SLEEP, 900.0, 7, 890.0, 900.0)).intent
    assert (again.sequence, again.acknowledged_s, again.commanded_s) == (7, 890.0, None)


def awake():
    return replace(site(), pools=tuple(resting_awake(pool) for pool in site().pools))


def test_a_drained_one_that_rests_awake_counts_as_asleep_until_it_has_a_request():
    drained = Intent(ID, Phase.SLEEP, 900.0, 7, 905.0, commanded_s=910.0)
    rests = viewed(InstanceState.SERVING, drained, fleet_site=awake())
    assert (rests.state, rests.intent, rests.serves) == (InstanceState.SLEEPING, drained, False)
    works = viewed(InstanceState.SERVING, drained, running=1, fleet_site=awake())
    assert (works.state, works.intent.phase) == (InstanceState.SERVING, Phase.DRAIN)
    assert viewed(InstanceState.SERVING, fleet_site=awake()).serves


def test_outside_of_acting_only_the_state_counts():
    view = viewed(InstanceState.SERVING, Intent(ID, Phase.DRAIN, 990.0, 7))
    assert natural_intent(view, NOW_S) == Intent(ID, Phase.SERVE, NOW_S)
    assert natural_intent(viewed(InstanceState.SERVING), NOW_S).phase is Phase.SERVE


def test_instances_that_take_requests_are_counted_by_pool_and_those_that_drain_are_not():
    fleet = FakeFleet(site(), {})
    observation = fleet.observe()
    views = look(fleet.site, (), observation, stale_s=15.0, retry_s=30.0)
    everyone = serving_by_pool(views, len(fleet.site.pools))
    assert everyone == tuple(len(pool.instances) for pool in fleet.site.pools)
    first = replace(views[0], intent=replace(views[0].intent, phase=Phase.DRAIN))
    assert serving_by_pool((first, *views[1:]), len(fleet.site.pools)) == (everyone[0] - 1, *everyone[1:])
    assert serving_by_pool((), 2) == (0, 0)
