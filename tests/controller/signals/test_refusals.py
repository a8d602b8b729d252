from controller.errors import CallRefused
from controller.signals.call_log import CallLog
from controller.signals.refusals import Refusals
from tests.fakes.calls import call
from tests.fakes.controller_parts import NOW_S, ListRecorder


def test_the_same_refusal_is_told_once_and_another_cause_anew():
    recorder = ListRecorder()
    refusals = Refusals(CallLog(recorder))
    for cause in ("over", "over", "from_the_future", "too_many_changes", "too_many_changes"):
        refusals.take(call(), CallRefused("no", cause=cause), NOW_S, "{}")
    assert [record["cause"] for record in recorder.of("call_refused")] == [
        "over",
        "from_the_future",
        "too_many_changes",
        "too_many_changes",
    ]
    assert (refusals.counts["over"], refusals.counts["too_many_changes"]) == (1, 2)


def test_what_is_remembered_is_bounded():
    refusals = Refusals(CallLog(ListRecorder()))
    for n in range(1000):
        refusals.take(call(f"c{n}"), CallRefused("no", cause="over"), NOW_S, "")
    assert len(refusals._known) == 256
