import pytest

from controller.errors import CallRefused, StoreError
from controller.grid.freeze import freeze
from controller.grid.kept import KeptCall
from controller.grid.resolve import Resolved
from controller.model.call import Asked
from controller.model.programme import Programme
from controller.signals import call_log
from controller.signals.call_log import CallLog, read
from controller.signals.references import References
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder

KEPT = KeptCall(call())
TERMS = Programme("operator")


def test_a_record_says_what_was_done_and_brings_the_call_back():
    recorder = ListRecorder()
    CallLog(recorder).write(KEPT, "added", NOW_S, {"raw": "{}"})
    (record,) = recorder.of("call")
    assert (record["action"], record["raw"]) == ("added", "{}")
    assert list(read([record])) == [KEPT]


def test_what_cannot_be_written_is_said():
    recorder = ListRecorder()
    recorder.is_failing = True
    log = CallLog(recorder)
    with pytest.raises(StoreError):
        log.write(KEPT, "added", NOW_S, {})
    assert not log.frozen(KEPT, Resolved(()), NOW_S)


def test_what_lasts_is_written_again_after_a_day_or_after_many_others(monkeypatch):
    monkeypatch.setattr(call_log, "RENEW_RECORDS", 5)
    recorder = ListRecorder()
    log = CallLog(recorder)
    log.write(KEPT, "added", NOW_S, {})
    log.renew(KEPT, NOW_S + 10)
    assert len(recorder.of("call")) == 1
    for n in range(5):
        log.write(KeptCall(call(f"other{n}")), "added", NOW_S, {})
    log.renew(KEPT, NOW_S + 10)
    log.renew(KEPT, NOW_S + 11)
    assert [r["action"] for r in recorder.of("call") if r["kept"]["call"]["call_id"] == "c1"] == ["added", "kept"]
    log.renew(KEPT, NOW_S + 10 + call_log.RENEW_S)
    assert len(recorder.of("call")) == 8


def test_a_frozen_reference_that_was_not_written_is_written_at_the_next_look():
    recorder = ListRecorder()
    log = CallLog(recorder)
    log.write(KEPT, "added", NOW_S, {})
    recorder.is_failing = True
    log.frozen(KEPT, Resolved(()), NOW_S + 1)
    recorder.is_failing = False
    log.renew(KEPT, NOW_S + 2)
    assert [r["action"] for r in recorder.of("call")] == ["added", "kept"]


def test_long_messages_are_cut_in_the_record_of_a_refusal():
    recorder = ListRecorder()
    log = CallLog(recorder)
    log.refused(call("x" * 5000), CallRefused("too long"), NOW_S, "r" * 1_000_000)
    (record,) = recorder.of("call_refused")
    assert len(record["call_id"]) == 128
    assert len(record["raw"]) == 65_536


def test_what_froze_is_recorded_with_the_limits_it_decided():
    recorder = ListRecorder()
    log = CallLog(recorder)
    asked = call("c", interval(0.0, 60.0, Asked.BELOW_PRESENT_W, 1.0), interval(60.0, 60.0, Asked.BELOW_PRESENT_W, 2.0))
    source = References()
    source.take(NOW_S, 100.0)
    first = freeze(KeptCall(asked), TERMS, source, NOW_S)
    log.frozen(first.kept, first.kept.resolved(TERMS, first.references), NOW_S)
    second = freeze(first.kept, TERMS, source, NOW_S + 60)
    log.frozen(second.kept, second.kept.resolved(TERMS, second.references), NOW_S + 60)
    told = [[event["limit_w"] for event in record["resolved"]["events"]] for record in recorder.of("call")]
    assert told == [[99.0, 98.0], [98.0]]
