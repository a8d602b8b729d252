import pytest

from controller.lifecycle.memory import Intent, Phase
from controller.lifecycle.wanted import is_wanted
from controller.model.observation import InstanceState
from controller.model.plan import Verb
from router.contract import InstanceId

NAME, NOW_S = InstanceId("a-0"), 100.0
SERVING, SLEEPING, OFF = InstanceState.SERVING, InstanceState.SLEEPING, InstanceState.OFF


@pytest.mark.parametrize("verb", list(Verb))
def test_nothing_is_wanted_of_an_instance_that_is_gone(verb):
    assert not is_wanted(verb, None, SERVING, is_sleeper=True)


@pytest.mark.parametrize(
    ("verb", "phase", "state", "wanted"),
    [
        (Verb.WAKE, Phase.WAKE, SLEEPING, True),
        (Verb.WAKE, Phase.WAKE, InstanceState.UNREACHABLE, True),
        (Verb.START, Phase.WAKE, OFF, True),
        (Verb.START, Phase.WAKE, None, True),
        (Verb.WAKE, Phase.SERVE, SERVING, False),
        (Verb.WAKE, Phase.SLEEP, SLEEPING, False),
        (Verb.START, Phase.OFF, OFF, False),
        (Verb.SLEEP, Phase.DRAIN, SERVING, True),
        (Verb.SLEEP, Phase.SERVE, SERVING, False),
        (Verb.SLEEP, Phase.SLEEP, SLEEPING, False),
        (Verb.STOP, Phase.OFF, SLEEPING, True),
        (Verb.STOP, Phase.OFF, OFF, False),
        (Verb.STOP, Phase.SLEEP, SLEEPING, False),
        (Verb.STOP, Phase.WAKE, SLEEPING, False),
    ],
)
def test_a_command_is_wanted_while_its_end_is_and_has_not_come_about(verb, phase, state, wanted):
    assert is_wanted(verb, Intent(NAME, phase, NOW_S), state, is_sleeper=False) is wanted


@pytest.mark.parametrize(("verb", "state"), [(Verb.SLEEP, SERVING), (Verb.STOP, SLEEPING)])
def test_one_that_was_told_to_rest_is_still_to(verb, state):
    assert is_wanted(verb, Intent(NAME, Phase.SLEEP, NOW_S, commanded_s=NOW_S), state, is_sleeper=False)


def test_one_that_is_to_be_given_back_is_to_wake_whatever_its_state_says_of_it():
    assert is_wanted(Verb.WAKE, Intent(NAME, Phase.SLEEP, NOW_S), SLEEPING, is_sleeper=True)
    assert not is_wanted(Verb.WAKE, Intent(NAME, Phase.SERVE, NOW_S), SERVING, is_sleeper=True)
