import dataclasses

import pytest

from controller.errors import CallRefused
from controller.grid import admit
from controller.grid.kept import KeptCall
from controller.model.programme import Programme
from controller.signals.admission import Admission
from controller.signals.call_log import CallLog
from controller.signals.gone import Gone
from controller.signals.kept_calls import KeptCalls
from controller.signals.refusals import Refusals
from tests.fakes.calls import call
from tests.fakes.controller_parts import NOW_S, ListRecorder

OPERATOR = Programme("operator", changes_per_min=3)


class Desk:
    def __init__(self):
        self.recorder = ListRecorder()
        told = CallLog(self.recorder)
        self.kept, self.refusals = KeptCalls(told), Refusals(told)
        self.admission = Admission({"operator": OPERATOR}, self.kept, self.refusals)


def test_a_message_is_taken_in_on_the_terms_of_its_programme():
    assert Desk().admission.admitted(call(), NOW_S, "{}") is OPERATOR


def test_what_is_refused_is_counted_and_recorded_but_not_where_it_is_only_looked_at():
    desk, unknown = Desk(), call(programme="nobody's")
    with pytest.raises(CallRefused):
        desk.admission.terms(unknown, NOW_S)
    assert (sum(desk.refusals.counts.values()), desk.recorder.of("call_refused")) == (0, [])
    with pytest.raises(CallRefused):
        desk.admission.admitted(unknown, NOW_S, "the message")
    assert desk.refusals.counts["unknown_programme"] == 1
    assert len(desk.recorder.of("call_refused")) == 1


def test_a_message_that_is_too_long_is_refused():
    desk = Desk()
    desk.admission.admitted(call(), NOW_S, "x" * admit.MAX_RAW_CHARS)
    with pytest.raises(CallRefused, match=f"more than {admit.MAX_RAW_CHARS}"):
        desk.admission.admitted(call(), NOW_S, "x" * (admit.MAX_RAW_CHARS + 1))


def test_what_was_taken_back_before_it_came_is_over():
    desk = Desk()
    desk.kept.overtaken(Gone("operator", "c1", NOW_S), NOW_S)
    with pytest.raises(CallRefused, match="'c1' is over") as caught:
        desk.admission.terms(call("c1", modified_s=NOW_S - 1), NOW_S)
    assert caught.value.is_conflict


def test_changes_of_a_programme_are_bounded_by_the_minute():
    desk = Desk()
    for n in range(OPERATOR.changes_per_min):
        desk.admission.admitted(call(f"c{n}"), NOW_S + n, "")
        desk.admission.changed(OPERATOR, NOW_S + n)
    with pytest.raises(CallRefused):
        desk.admission.admitted(call("more"), NOW_S + 5, "")
    assert desk.admission.admitted(call("more"), NOW_S + 61, "") is OPERATOR


def test_what_is_held_counts_but_for_the_call_itself(monkeypatch):
    monkeypatch.setattr(admit, "MAX_CALLS", 1)
    desk = Desk()
    desk.kept.keep(KeptCall(call("c1")), "added", NOW_S)
    assert desk.admission.terms(dataclasses.replace(call("c1"), modified_s=NOW_S), NOW_S) is OPERATOR
    with pytest.raises(CallRefused):
        desk.admission.terms(call("c2"), NOW_S)
