from __future__ import annotations

from controller.model.perf import Evidence
from controller.profile.cells import Rest
from controller.profile.design import Limits
from controller.profile.states import Given, context, states


def test_what_was_not_measured_promises_no_saving() -> None:
    found = states(Rest(800.0), Given())
    assert found.sleeping_w == found.off_w == found.idle_w == 800.0
    assert found.group.evidence is Evidence.ESTIMATED
    assert "sleeping power assumed to be the idle power" in found.group.source


def test_measured_goes_before_given_and_given_before_assumed() -> None:
    found = states(Rest(800.0, 500.0, 1.5, 2.5), Given(sleeping_w=1.0, off_w=300.0, start_s=90.0))
    assert (found.sleeping_w, found.off_w, found.sleep_s, found.wake_s, found.start_s) == (500.0, 300.0, 1.5, 2.5, 90.0)
    assert found.group.evidence is Evidence.MEASURED
    assert "power of a stopped process given by the operator" in found.group.source


def test_limits_are_the_engine_s_own_or_what_was_seen() -> None:
    assert context(Limits(None, 5000, 64), 10, 900)[:2] == (5000, 64)
    tokens, seqs, group = context(Limits(), 10, 900)
    assert (tokens, seqs) == (900, 10)
    assert group.evidence is Evidence.ESTIMATED
