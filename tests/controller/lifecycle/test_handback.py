import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.lifecycle.handback import SETTLE_S, Sleeper, commanded, hand_back, still_asleep, unproven
from controller.model.observation import InstanceState
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId
from tests.fakes.controller_parts import NOW_S, curves, instance, pool, site

SITE = site(pool("bf16", tuple(f"http://127.0.0.1:{n}" for n in range(1, 5))), pue=1.2)
ADDED_W = 1.2 * (curves().p0_w - curves().sleeping_w)


def sleepers(*names):
    return tuple(Sleeper(InstanceId(name), NOW_S) for name in names)


def command(verb, name):
    return InstanceCommand(verb, InstanceId(name), "a test")


def seen(**states):
    return tuple(instance(name.replace("_", "-"), state) for name, state in states.items())


def back(who, states, headroom_w=None):
    return hand_back(SITE, who, states, headroom_w, reason="a test")


def test_what_is_commanded_to_sleep_or_to_stop_is_remembered_once():
    first = commanded((), (command(Verb.SLEEP, "bf16-1"), command(Verb.START, "bf16-0")), NOW_S)
    assert first == sleepers("bf16-1")
    assert commanded(first, (command(Verb.STOP, "bf16-1"),), NOW_S + 9) == (Sleeper(InstanceId("bf16-1"), NOW_S + 9),)


def test_one_that_is_told_to_wake_is_remembered_as_such_whoever_had_put_it_to_sleep_until_it_is_to_rest_again():
    woken = commanded(sleepers("bf16-1"), (command(Verb.WAKE, "bf16-1"), command(Verb.WAKE, "bf16-0")), NOW_S + 9)
    assert woken == (Sleeper(InstanceId("bf16-0"), NOW_S + 9, True), Sleeper(InstanceId("bf16-1"), NOW_S, True))
    assert unproven(woken) == ("bf16-0", "bf16-1")
    assert unproven(commanded(woken, (command(Verb.SLEEP, "bf16-0"),), NOW_S + 20)) == ("bf16-1",)


def test_one_that_serves_again_is_forgotten_but_not_while_it_falls_asleep():
    serving = seen(bf16_0=InstanceState.SERVING)
    who = sleepers("bf16-0")
    assert still_asleep(SITE, who, serving, (), NOW_S + 1) == who
    assert still_asleep(SITE, who, serving, ("bf16-0",), NOW_S + SETTLE_S + 1) == who
    assert still_asleep(SITE, who, serving, (), NOW_S + SETTLE_S + 1) == ()
    assert still_asleep(SITE, who, serving, (), NOW_S - SETTLE_S - 1) == ()  # the clock was set back


@pytest.mark.parametrize("state", [s for s in InstanceState if s is not InstanceState.SERVING])
def test_one_that_does_not_serve_stays_remembered(state):
    who = sleepers("bf16-0")
    assert still_asleep(SITE, who, seen(bf16_0=state), (), NOW_S + 3600) == who


def test_one_that_is_configured_no_more_is_forgotten():
    assert still_asleep(SITE, sleepers("gone-0"), (), (), NOW_S) == ()


def test_sleepers_are_woken_and_the_stopped_started_and_others_left_alone():
    states = seen(
        bf16_0=InstanceState.SLEEPING,
        bf16_1=InstanceState.OFF,
        bf16_2=InstanceState.SERVING,
        bf16_3=InstanceState.SLEEPING,
    )
    made = back(sleepers("bf16-0", "bf16-1", "bf16-2"), states)
    assert [(c.verb, c.instance_id) for c in made.commands] == [(Verb.WAKE, "bf16-0"), (Verb.START, "bf16-1")]
    assert made.left == ()


def test_one_that_does_not_answer_is_named():
    assert back(sleepers("bf16-0"), ()).left == (("bf16-0", "it does not answer"),)


@given(st.floats(-1e4, 2e4), st.lists(st.sampled_from(list(InstanceState)), min_size=4, max_size=4))
def test_under_a_limit_no_more_is_woken_than_it_leaves_room_for(headroom_w, states):
    who = sleepers(*(f"bf16-{n}" for n in range(4)))
    made = back(who, seen(**{f"bf16_{n}": state for n, state in enumerate(states)}), headroom_w)
    coming_w = sum(
        ADDED_W if state is InstanceState.WAKING else 1.2 * curves().p0_w
        for state in states
        if state in (InstanceState.WAKING, InstanceState.STARTING)
    )
    woken_w = sum(ADDED_W if c.verb is Verb.WAKE else 1.2 * curves().p0_w for c in made.commands)
    assert woken_w == 0 or coming_w + woken_w <= headroom_w * (1 + 1e-9)
    resting = sum(state in (InstanceState.SLEEPING, InstanceState.OFF, InstanceState.UNREACHABLE) for state in states)
    assert len(made.commands) + len(made.left) == resting


def test_room_for_one_wakes_one_and_says_why_not_the_other():
    states = seen(bf16_0=InstanceState.SLEEPING, bf16_1=InstanceState.SLEEPING)
    made = back(sleepers("bf16-0", "bf16-1"), states, ADDED_W * 1.5)
    assert [c.instance_id for c in made.commands] == ["bf16-0"]
    assert made.left == (("bf16-1", f"it would add {ADDED_W:.0f} W where {ADDED_W / 2:.0f} W are left"),)
