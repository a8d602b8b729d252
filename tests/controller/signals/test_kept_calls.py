import pytest

from controller.errors import StoreError
from controller.grid import admit
from controller.grid.kept import KeptCall
from controller.signals.call_log import CallLog
from controller.signals.gone import Gone
from controller.signals.kept_calls import KEEP_ENDED_S, KeptCalls
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder


def test_a_call_is_recorded_before_it_is_held():
    recorder = ListRecorder()
    calls = KeptCalls(CallLog(recorder))
    calls.keep(KeptCall(call("a")), "added", NOW_S)
    recorder.is_failing = True
    with pytest.raises(StoreError):
        calls.keep(KeptCall(call("b")), "added", NOW_S)
    assert (len(calls), calls.get("operator", "b")) == (1, None)


def test_what_has_long_been_over_is_let_go_but_for_its_last_change():
    calls = KeptCalls(CallLog(ListRecorder()))
    calls.keep(KeptCall(call("ended")), "added", NOW_S)
    calls.keep(KeptCall(call("cancelled", interval(0.0, 9999.0)), cancelled_s=NOW_S + 600), "added", NOW_S)
    assert calls.forget(NOW_S + 600 + KEEP_ENDED_S - 1) == []
    assert sorted(calls.forget(NOW_S + 600 + KEEP_ENDED_S)) == [("operator", "cancelled"), ("operator", "ended")]
    assert {(gone.call_id, gone.is_cancelled) for gone in calls.gone.kept()} == {("ended", False), ("cancelled", True)}


def test_where_there_are_too_many_those_go_first_that_ended_first(monkeypatch):
    monkeypatch.setattr(admit, "MAX_CALLS", 2)
    calls = KeptCalls(CallLog(ListRecorder()))
    for n in range(4):
        calls.keep(KeptCall(call(f"c{n}", interval(0.0, 60.0 + n))), "added", NOW_S)
    assert calls.forget(NOW_S + 62) == [("operator", "c0"), ("operator", "c1")]


def test_a_step_of_the_clock_concerns_what_is_not_over_and_is_recorded():
    recorder = ListRecorder()
    calls = KeptCalls(CallLog(recorder))
    calls.keep(KeptCall(call("over", interval(0.0, 60.0))), "added", NOW_S)
    calls.keep(KeptCall(call("on", interval(0.0, 6000.0))), "added", NOW_S)
    calls.step(-900.0, NOW_S + 100 - 900)
    assert (calls.get("operator", "over").courses_s, calls.get("operator", "on").courses_s) == ((), (-900.0,))
    assert calls.by_former_course == 1
    again = KeptCalls(CallLog(ListRecorder()))
    again.restore(recorder.of("call"))
    assert again.get("operator", "on").courses_s == (-900.0,)
    calls.trust(NOW_S + 200)
    assert calls.by_former_course == 0


def test_what_is_held_over_does_not_come_again_by_a_clock_that_was_set_back():
    recorder = ListRecorder()
    calls = KeptCalls(CallLog(recorder))
    calls.keep(KeptCall(call("over"), cancelled_s=NOW_S + 60, restore_frac=0.5), "cancelled", NOW_S + 60)
    calls.step(-7200.0, NOW_S + 70 - 7200)
    assert calls.get("operator", "over").restore_frac == 0.0
    again = KeptCalls(CallLog(ListRecorder()))
    again.restore(recorder.of("call"))
    assert again.get("operator", "over").restore_frac == 0.0


def test_a_cancellation_of_what_is_not_known_is_recorded_once():
    recorder = ListRecorder()
    calls = KeptCalls(CallLog(recorder))
    for _ in range(3):
        calls.overtaken(Gone("vtn", "c1", NOW_S), NOW_S)
    assert len(recorder.of("call_gone")) == 1
    for n in range(100):
        calls.overtaken(Gone("vtn", f"flood-{n}", NOW_S), NOW_S + 1)
    assert len(recorder.of("call_gone")) == 30
    recorder.is_failing = True
    calls.overtaken(Gone("vtn", "c2", NOW_S), NOW_S + 100)
    assert calls.gone.bars(call("c2", source="vtn"))
