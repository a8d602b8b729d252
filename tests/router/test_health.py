"""The state machine of an instance."""

from __future__ import annotations

import pytest

from router.exchange import Outcome
from router.health import FAILURES, Health, HealthState
from router.settings import HealthSettings

UP, SUSPECT, EJECTED = HealthState.UP, HealthState.SUSPECT, HealthState.EJECTED


def machine(**settings: int) -> Health:
    return Health(HealthSettings.model_validate(settings))


def fail(health: Health, times: int = 1, outcome: Outcome = Outcome.RESET) -> None:
    for _ in range(times):
        health.request_ended(outcome)


def test_an_instance_starts_up_so_that_the_first_request_needs_no_probe() -> None:
    assert machine().state is UP


@pytest.mark.parametrize("outcome", sorted(FAILURES))
def test_failures_in_a_row_make_it_suspect_and_then_eject_it(outcome: Outcome) -> None:
    health = machine(suspect_after=2, eject_after=4)
    states = []
    for _ in range(5):
        health.request_ended(outcome)
        states.append(health.state)
    assert states == [UP, SUSPECT, SUSPECT, EJECTED, EJECTED]


@pytest.mark.parametrize("outcome", [Outcome.CLIENT_ERROR, Outcome.ENGINE_BUSY, Outcome.CLIENT_GONE])
def test_what_is_not_the_engines_fault_never_counts(outcome: Outcome) -> None:
    health = machine()
    fail(health, 100, outcome)
    assert health.state is UP
    fail(health, 2)
    fail(health, 1, outcome)
    assert health.state is SUSPECT
    fail(health, 1)
    assert health.state is EJECTED


def test_an_answer_ends_the_row_of_failures() -> None:
    health = machine()
    for _ in range(10):
        fail(health, 2)
        health.request_ended(Outcome.OK)
    assert health.state is UP


def test_an_ejected_instance_comes_back_by_probes_only() -> None:
    health = machine(recover_after=2)
    fail(health, 3)
    health.request_ended(Outcome.OK)  # one that was still running when it was ejected
    assert health.state is EJECTED
    health.probed(True)
    assert health.state is EJECTED
    health.probed(False)
    health.probed(True)
    assert health.state is EJECTED, "the good probes were not in a row"
    health.probed(True)
    assert health.state is UP
    fail(health, 2)
    assert health.state is SUSPECT, "a returned instance starts with a clean slate"


def test_good_probes_before_the_ejection_do_not_count_for_the_return() -> None:
    health = machine(recover_after=2)
    for _ in range(5):
        health.probed(True)
    fail(health, 3)
    health.probed(True)
    assert health.state is EJECTED


def test_failing_probes_alone_eject() -> None:
    health = machine()
    for _ in range(3):
        health.probed(False)
    assert health.state is EJECTED


def test_an_engine_that_answers_probes_but_no_request_is_ejected_nevertheless() -> None:
    health = machine()
    for _ in range(2):
        fail(health, 1, Outcome.TIMED_OUT)
        health.probed(True)
        assert health.state is UP, "a good probe lifts the suspicion"
    fail(health, 1, Outcome.TIMED_OUT)
    assert health.state is EJECTED


def test_changes_are_told_so_that_others_need_not_compare() -> None:
    health = machine()
    told = [health.request_ended(Outcome.RESET) for _ in range(4)] + [health.probed(True) for _ in range(3)]
    assert told == [True, False, True, False, False, True, False]


def test_an_ejected_instance_that_answered_its_last_probe_is_known_until_something_fails() -> None:
    health = machine(recover_after=3)
    fail(health, 3)
    assert not health.is_answering
    health.probed(ok=True)
    assert (health.state, health.is_answering) == (EJECTED, True)
    fail(health)
    assert not health.is_answering, "what it says of itself is not what requests meet"
    health.probed(ok=True)
    assert health.is_answering
    health.probed(ok=False)
    assert not health.is_answering
    health.probed(ok=True)
    heir = machine(recover_after=3)
    heir.adopt(health)
    assert heir.is_answering
