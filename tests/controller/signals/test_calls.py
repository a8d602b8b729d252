import dataclasses
import random

import pytest

from controller.errors import CallRefused, StoreError
from controller.grid import admit
from controller.model.call import Asked, CallState
from controller.model.programme import Programme
from controller.signals import call_log, calls, kept_calls
from controller.signals.calls import CallBook
from controller.signals.references import References
from router.contract import EventState
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder

VTN = "openadr:utility"
DR = Programme("dr", default_limit_w=5000.0, hold_s=300.0, least_w=1000.0, most_w=1e6)
PROGRAMMES = {"operator": Programme("operator"), "dr": DR}


def book_of(recorder=None, drawn_w=20_000.0, **options):
    references = References()
    if drawn_w is not None:
        references.take(NOW_S - 1, drawn_w)
    return CallBook(recorder or ListRecorder(), PROGRAMMES, references, **options)


def of_vtn(call_id="v1", *intervals, **changes):
    return call(call_id, *intervals, **{"source": VTN, "programme": "dr", **changes})


def test_a_call_is_pending_then_active_then_gone():
    book = book_of()
    taken = book.submit(call("c1", interval(60.0)), NOW_S)
    (event,) = book.current(NOW_S)
    assert (event.start_s, event.end_s, event.notice_s, event.limit_w) == (NOW_S + 60, NOW_S + 660, NOW_S, 9000.0)
    assert event.state(NOW_S) is EventState.PENDING
    assert [e.state(NOW_S + 60) for e in book.current(NOW_S + 60)] == [EventState.ACTIVE]
    assert book.current(NOW_S + 660) == ()
    assert [view.call for view in book.calls(NOW_S + 660)] == [taken]
    assert book.calls(NOW_S + 660 + kept_calls.KEEP_ENDED_S) == ()


def test_the_same_message_again_changes_nothing():
    recorder = ListRecorder()
    book = book_of(recorder)
    taken = book.submit(of_vtn(), NOW_S)
    for later in range(5):
        assert book.submit(of_vtn(), NOW_S + later) == taken
    assert len(recorder.of("call")) == 1
    assert sum(book.refused.values()) == 0


def test_a_message_that_was_overtaken_changes_nothing():
    book = book_of()
    newer = of_vtn("v1", interval(value=7000.0), modified_s=NOW_S + 2)
    older = of_vtn("v1", interval(value=50_000.0), modified_s=NOW_S + 1)
    book.submit(newer, NOW_S + 2)
    assert book.submit(older, NOW_S + 3).intervals[0].commitment.value == 7000.0
    assert [event.limit_w for event in book.current(NOW_S + 3)] == [7000.0]


def test_a_change_keeps_the_notice_and_the_frozen_baseline():
    book = book_of()
    ask = (Asked.BELOW_BASELINE_FRAC, 0.25)
    book.submit(of_vtn("v1", interval(0.0, 600.0, *ask)), NOW_S)
    (event,) = book.current(NOW_S)
    assert (event.limit_w, event.baseline_w) == (15_000.0, 20_000.0)
    book._views._references.take(NOW_S + 50, 16_000.0)
    longer = of_vtn("v1", interval(0.0, 1200.0, *ask), received_s=NOW_S + 60, modified_s=NOW_S + 60)
    book.submit(longer, NOW_S + 60)
    (event,) = book.current(NOW_S + 61)
    assert (event.limit_w, event.end_s, event.notice_s) == (15_000.0, NOW_S + 1200, NOW_S)


@pytest.mark.parametrize("start_in_s", [0.0, 60.0])
def test_cancelling_ends_a_call_now(start_in_s):
    book = book_of()
    book.submit(call("c1", interval(start_in_s)), NOW_S)
    assert book.cancel("operator", "c1", NOW_S + 5) is not None
    assert book.current(NOW_S + 5) == ()
    (view,) = book.calls(NOW_S + 5)
    assert (view.state, view.events[0].end_s) == (CallState.CANCELLED, NOW_S + 5)
    assert book.cancel("operator", "c1", NOW_S + 6) is None
    assert book.cancel("operator", "unknown", NOW_S) is None


def test_a_cancellation_that_was_overtaken_changes_nothing():
    book = book_of()
    book.submit(of_vtn(modified_s=NOW_S + 2), NOW_S + 2)
    assert book.cancel(VTN, "v1", NOW_S + 3, modified_s=NOW_S + 1) is None
    assert len(book.current(NOW_S + 3)) == 1
    book.cancel(VTN, "v1", NOW_S + 4, modified_s=NOW_S + 4)
    replayed = book.submit(of_vtn(modified_s=NOW_S + 2), NOW_S + 5)
    assert replayed.call_id == "v1"
    assert book.current(NOW_S + 5) == ()
    book.submit(of_vtn(modified_s=NOW_S + 6), NOW_S + 6)
    assert len(book.current(NOW_S + 6)) == 1


def test_a_call_that_its_sender_ends_in_the_past_is_over():
    recorder = ListRecorder()
    book = book_of(recorder)
    book.submit(of_vtn("v1", interval(0.0, 3600.0)), NOW_S)
    from_the_future = of_vtn("v1", interval(0.0, 50.0), modified_s=NOW_S + 9999)
    with pytest.raises(CallRefused):
        book.submit(from_the_future, NOW_S + 60)
    assert len(book.current(NOW_S + 60)) == 1
    book.submit(of_vtn("v1", interval(0.0, 50.0), modified_s=NOW_S + 60), NOW_S + 60)
    assert book.current(NOW_S + 60) == ()
    assert recorder.of("call")[-1]["reason"] == "ended by its sender"


@pytest.mark.parametrize("modified_s", [NOW_S + 1e9, float("nan"), float("inf")])
def test_a_cancellation_from_the_future_does_not_shut_the_sender_out(modified_s):
    book = book_of()
    book.submit(of_vtn(), NOW_S)
    book.cancel(VTN, "v1", NOW_S + 1, modified_s=modified_s)
    assert book.current(NOW_S + 1) == ()
    later_s = NOW_S + admit.MAX_SKEW_S + 10
    book.submit(of_vtn(modified_s=later_s), later_s)
    assert len(book.current(later_s)) == 1


def test_a_call_that_is_long_over_is_not_revived_by_a_replay():
    book = book_of()
    lasting = of_vtn("v1", interval(0.0, 86_400.0))
    book.submit(lasting, NOW_S)
    book.cancel(VTN, "v1", NOW_S + 1)
    later_s = NOW_S + 2 + kept_calls.KEEP_ENDED_S
    assert book.calls(later_s) == ()
    with pytest.raises(CallRefused) as caught:
        book.submit(lasting, later_s)
    assert caught.value.cause == "replayed"
    assert book.current(later_s) == ()


def test_opting_out_and_in_again_concerns_that_call_alone():
    recorder = ListRecorder()
    book = book_of(recorder)
    book.submit(of_vtn("v1", interval(value=7000.0)), NOW_S)
    book.submit(of_vtn("v2", interval(value=8000.0)), NOW_S)
    book.opt_out(VTN, "v1", "a customer's launch", NOW_S + 10)
    assert [event.event_id for event in book.current(NOW_S + 10)] == [f"{VTN}/v2"]
    states = {view.call.call_id: (view.state, view.call.opted_out) for view in book.calls(NOW_S + 10)}
    assert states["v1"] == (CallState.OPTED_OUT, "a customer's launch")
    changed = of_vtn("v1", interval(value=6000.0), modified_s=NOW_S + 11)
    book.submit(changed, NOW_S + 11)
    assert len(book.current(NOW_S + 11)) == 1
    assert book.opt_in(VTN, "v1", NOW_S + 20).opted_out is None
    assert sorted(event.limit_w for event in book.current(NOW_S + 20)) == [6000.0, 8000.0]
    assert [r["action"] for r in recorder.of("call") if r["action"].startswith("opted")] == ["opted_out", "opted_in"]
    assert book.opt_out(VTN, "v3", "", NOW_S) is None


def test_what_is_refused_is_counted_recorded_once_and_not_followed():
    recorder = ListRecorder()
    book = book_of(recorder)
    insane = of_vtn("v1", interval(value=9e6))
    for _ in range(3):
        with pytest.raises(CallRefused, match="outside 1000 to 1e"):
            book.submit(insane, NOW_S, raw='{"id": "v1"}')
    assert book.refused["out_of_bounds"] == 1
    (record,) = recorder.of("call_refused")
    assert (record["cause"], record["raw"]) == ("out_of_bounds", '{"id": "v1"}')
    assert book.calls(NOW_S) == ()


def test_a_flood_of_refusals_does_not_fill_the_ledger():
    recorder = ListRecorder()
    book = book_of(recorder)
    for n in range(200):
        with pytest.raises(CallRefused):
            book.submit(of_vtn(f"v{n}", interval(value=9e6)), NOW_S + n / 100)
    assert len(recorder.of("call_refused")) == call_log.REFUSALS_PER_MIN
    assert book.refused["out_of_bounds"] == 200


def test_too_many_changes_are_refused_until_a_minute_has_gone():
    slow = {"operator": dataclasses.replace(Programme("operator"), changes_per_min=2)}
    book = CallBook(ListRecorder(), slow)
    book.submit(call("a"), NOW_S)
    book.submit(call("b"), NOW_S + 1)
    for _ in range(2):
        with pytest.raises(CallRefused, match="changes_per_min") as caught:
            book.submit(call("c"), NOW_S + 2)
        assert caught.value.is_conflict
    book.cancel("operator", "a", NOW_S + 3)
    assert book.submit(call("c", interval(60.0)), NOW_S + 61).call_id == "c"


def test_the_book_is_bounded(monkeypatch):
    monkeypatch.setattr(admit, "MAX_CALLS", 2)
    book = book_of()
    book.submit(call("a"), NOW_S)
    book.submit(call("b"), NOW_S)
    with pytest.raises(CallRefused, match="2 calls are held"):
        book.submit(call("c"), NOW_S)
    book.submit(call("c", interval(601.0)), NOW_S + 601)
    assert {view.call.call_id for view in book.calls(NOW_S + 601)} > {"c"}


def test_a_restarted_controller_knows_calls_offsets_and_frozen_baselines():
    recorder = ListRecorder()
    book = book_of(recorder, draws=random.Random(7))
    ask = (Asked.BELOW_BASELINE_W, 4000.0)
    book.submit(of_vtn("kept", interval(0.0, 6000.0, *ask)), NOW_S)
    book.submit(of_vtn("random", interval(60.0), randomize_s=300.0), NOW_S)
    book.submit(of_vtn("cancelled"), NOW_S)
    book.cancel(VTN, "cancelled", NOW_S + 1)
    before = book.current(NOW_S + 2)
    again = CallBook(ListRecorder(), PROGRAMMES, References())
    assert again.restore(recorder.of("call"), NOW_S + 3) == 2
    assert again.current(NOW_S + 3) == before
    assert {event.event_id: event.limit_w for event in before}[f"{VTN}/kept"] == 16_000.0


def test_a_record_that_cannot_be_read_costs_no_other(caplog):
    recorder = ListRecorder()
    book_of(recorder).submit(call("c1"), NOW_S)
    records = [{"action": "added", "kept": {"call": 3}}, {}, *recorder.of("call")]
    assert book_of().restore(records, NOW_S) == 1
    assert sum("call not restored" in r.message for r in caplog.records) == 2


def test_what_could_not_be_recorded_is_not_taken_in():
    recorder = ListRecorder()
    recorder.is_failing = True
    book = book_of(recorder)
    with pytest.raises(StoreError):
        book.submit(call(), NOW_S)
    assert book.calls(NOW_S) == ()


def test_a_call_that_lasts_is_recorded_again_before_old_records_go():
    recorder = ListRecorder()
    book = book_of(recorder)
    book.submit(call("c1", interval(0.0, 5 * 86_400.0)), NOW_S)
    for hour in range(50):
        recorder.is_failing = hour == 24
        assert len(book.current(NOW_S + 3600 * hour)) == 1
    assert [r["action"] for r in recorder.of("call")] == ["added", "frozen", "kept", "kept"]
    assert book_of().restore(recorder.of("call")[-1:], NOW_S + 3600 * 50) == 1


def test_a_start_is_drawn_once_and_stays(monkeypatch):
    book = book_of(draws=random.Random(3))
    first = book.submit(of_vtn("v1", interval(60.0), randomize_s=600.0), NOW_S)
    put_off_s = first.start_s - (NOW_S + 60)
    assert 0.0 < put_off_s < 600.0
    again = of_vtn("v1", interval(60.0, 900.0), randomize_s=600.0, modified_s=NOW_S + 5)
    changed = book.submit(again, NOW_S + 5)
    assert changed.start_s == first.start_s
    assert changed.end_s - changed.start_s == pytest.approx(900.0)


def test_what_cannot_be_resolved_is_told_and_tried_again(caplog):
    book = book_of(drawn_w=None)
    book.submit(of_vtn("v1", interval(0.0, 600.0, Asked.BELOW_BASELINE_FRAC, 0.5)), NOW_S)
    book.submit(of_vtn("v2", interval(0.0, 600.0, Asked.LEVEL, 9)), NOW_S)
    for look in range(3):
        assert book.current(NOW_S + look) == ()
    reasons = {view.call.call_id: view.unresolved[0].reason for view in book.calls(NOW_S + 3)}
    assert reasons["v1"] == "the baseline is not known"
    assert "add it to levels" in reasons["v2"]
    assert sum("cannot be followed" in r.message for r in caplog.records) == 2
    book._views._references.take(NOW_S + 4, 10_000.0)
    assert [event.limit_w for event in book.current(NOW_S + 5)] == [5000.0]
    assert book.steps == {"present": 1}


def test_a_call_of_a_programme_that_left_the_configuration_is_still_followed(caplog):
    recorder = ListRecorder()
    book_of(recorder).submit(of_vtn("v1"), NOW_S)
    again = CallBook(ListRecorder())
    again.restore(recorder.of("call"), NOW_S)
    assert [event.limit_w for event in again.current(NOW_S)] == [9000.0]
    assert any("without its programme" in r.message for r in caplog.records)


def test_a_lost_source_means_its_default_limit_once_its_schedule_is_exhausted():
    book = book_of()
    book.watch(VTN, ("dr",), NOW_S)
    book.heard(VTN, NOW_S)
    book.submit(of_vtn("v1", interval(0.0, 600.0)), NOW_S)
    assert [event.limit_w for event in book.current(NOW_S + 299)] == [9000.0]
    held = book.current(NOW_S + 400)
    assert [(event.limit_w, event.start_s) for event in held] == [(9000.0, NOW_S), (5000.0, NOW_S + 600)]
    assert [event.limit_w for event in book.current(NOW_S + 700)] == [5000.0]
    assert book.sources(NOW_S + 700)[0].is_lost
    book.heard(VTN, NOW_S + 701)
    assert book.current(NOW_S + 701) == ()


def test_a_default_limit_that_a_source_tells_is_bounded(caplog):
    book = book_of()
    book.watch(VTN, ("dr",), NOW_S)
    assert not book.subscribe(VTN, "dr", 1e9, NOW_S)
    assert not book.subscribe(VTN, "unknown", 4000.0, NOW_S)
    assert book.refused["out_of_bounds"] == 1
    assert book.subscribe(VTN, "dr", 4000.0, NOW_S)
    assert [event.limit_w for event in book.current(NOW_S + 301)] == [4000.0]
    assert book.subscribe(VTN, "dr", None, NOW_S)
    assert [event.limit_w for event in book.current(NOW_S + 301)] == [5000.0]


def test_the_planner_is_told_what_is_near_and_everything_in_force(monkeypatch):
    monkeypatch.setattr(calls, "MAX_EVENTS", 3)
    book = book_of()
    book.submit(call("far", interval(calls.AHEAD_S)), NOW_S)
    book.submit(call("many", *(interval(60.0 * n, 30.0) for n in range(1, 9))), NOW_S)
    for name in ("now", "also"):
        book.submit(call(name), NOW_S)
    assert [event.event_id for event in book.current(NOW_S)] == ["also", "now", "many#0"]
    assert "far" in {view.call.call_id for view in book.calls(NOW_S)}
    monkeypatch.undo()
    assert "far" in {event.event_id for event in book.current(NOW_S + 1)}


def test_what_was_out_of_its_time_is_taken_once_the_clock_was_set_right():
    book = book_of()
    sent = of_vtn("v1", interval(7200.0, 600.0), modified_s=NOW_S + 7200)
    for _ in range(3):
        with pytest.raises(CallRefused, match="set the clocks"):
            book.submit(sent, NOW_S)
    assert book.refused["from_the_future"] == 1
    book.step(7200.0, NOW_S + 7200)
    assert book.submit(sent, NOW_S + 7200).call_id == "v1"
    assert len(book.current(NOW_S + 7200)) == 1


def test_a_call_that_was_over_by_a_clock_that_ran_ahead_is_taken_again():
    book = book_of()
    sent = of_vtn("v1", interval(7200.0, 600.0))
    book.submit(sent, NOW_S)
    ahead_s = NOW_S + 7200 + 600 + kept_calls.KEEP_ENDED_S
    assert book.calls(ahead_s) == ()
    with pytest.raises(CallRefused) as caught:
        book.submit(sent, ahead_s)
    assert caught.value.cause == "over"
    book.step(NOW_S - ahead_s, NOW_S)
    assert book.submit(sent, NOW_S).call_id == "v1"


def test_a_change_by_its_sender_does_not_lose_a_call_to_a_clock_that_jumped():
    book = book_of()
    book.submit(of_vtn("v1", interval(0.0, 1800.0)), NOW_S)
    book.step(7200.0, NOW_S + 7260)
    changed = of_vtn("v1", interval(0.0, 1800.0, value=7000.0), modified_s=NOW_S + 60)
    book.submit(changed, NOW_S + 7260)
    (event,) = book.current(NOW_S + 7260)
    assert (event.limit_w, event.start_s, event.end_s) == (7000.0, NOW_S + 7200, NOW_S + 9000)


def test_what_was_cancelled_stays_so_however_the_clock_is_set():
    book = book_of()
    book.submit(of_vtn("v1", interval(0.0, 3600.0)), NOW_S)
    book.cancel(VTN, "v1", NOW_S + 60)
    book.step(-7200.0, NOW_S - 7000)
    assert book.current(NOW_S - 7000) == ()
    assert book.cancel(VTN, "v1", NOW_S - 6999) is None
    assert book.current(NOW_S + 10) == ()


def test_what_is_drawn_is_still_known_after_the_clock_was_set():
    references = References()
    for n in range(120):
        references.take(NOW_S - 120 + n, 20_000.0 if n < 60 else 12_000.0)
    references.shift(-7200.0)
    book = CallBook(ListRecorder(), PROGRAMMES, references)
    now_s = NOW_S - 7200
    references.take(now_s, 12_000.0)
    book.submit(call("c", interval(-7200.0, 600.0, Asked.BELOW_PRESENT_W, 2000.0), modified_s=now_s), now_s)
    assert [event.limit_w for event in book.current(now_s)] == [10_000.0]


def test_a_clock_that_is_set_makes_no_source_silent():
    for step_s in (-7200.0, 7200.0):
        book = book_of()
        book.watch(VTN, ("dr",), NOW_S)
        book.heard(VTN, NOW_S + 50)
        book.step(step_s, NOW_S + 60 + step_s)
        (state,) = book.sources(NOW_S + 60 + step_s)
        assert (state.silent_s, state.is_lost) == (10.0, False)
        assert book.sources(NOW_S + 360 + step_s)[0].is_lost


def test_references_freeze_as_a_call_begins_by_any_course_of_the_clock():
    book = book_of()
    book.submit(of_vtn("v1", interval(600.0, 600.0, Asked.BELOW_PRESENT_W, 5000.0)), NOW_S)
    book.step(-7200.0, NOW_S - 7200)
    book._views._references.shift(-7200.0)
    now_s = NOW_S - 7200 + 600
    book._views._references.take(now_s, 18_000.0)
    (event,) = book.current(now_s)
    assert (event.limit_w, event.start_s) == (13_000.0, now_s)
    assert book.calls(now_s)[0].frozen.present[0].value_w == 18_000.0


def test_sites_of_a_programme_do_not_return_at_the_same_second():
    terms = {"dr": dataclasses.replace(DR, restore_random_s=300.0)}
    ends, recorder = set(), ListRecorder()
    for seed in range(5):
        book = CallBook(recorder, terms, draws=random.Random(seed))
        book.submit(of_vtn("v1", interval(0.0, 600.0)), NOW_S)
        _, held = book.current(NOW_S + 1)
        assert (held.start_s, held.limit_w) == (NOW_S + 600, 9000.0)
        ends.add(held.end_s)
        assert [event.is_held_over for event in book.current(NOW_S + 600)] == [True]
        assert book.current(held.end_s) == ()
    assert len(ends) == 5
    assert all(NOW_S + 600 < end_s < NOW_S + 900 for end_s in ends)
    again = CallBook(ListRecorder(), terms)
    again.restore(recorder.of("call"), NOW_S + 600)
    assert {event.end_s for event in again.current(NOW_S + 600)} < ends


def test_what_is_cancelled_returns_as_late_and_what_is_opted_out_of_at_once():
    terms = {"dr": dataclasses.replace(DR, restore_random_s=300.0)}
    book = CallBook(ListRecorder(), terms, draws=random.Random(1))
    book.submit(of_vtn("v1", interval(0.0, 3600.0)), NOW_S)
    book.submit(of_vtn("v2", interval(0.0, 3600.0)), NOW_S)
    book.submit(of_vtn("v3", interval(600.0, 3600.0)), NOW_S)
    for call_id in ("v1", "v3"):
        book.cancel(VTN, call_id, NOW_S + 60)
    book.opt_out(VTN, "v2", "a launch", NOW_S + 60)
    (held,) = book.current(NOW_S + 60)
    assert (held.event_id, held.start_s, held.limit_w) == (f"{VTN}/v1#held", NOW_S + 60, 9000.0)
    assert 0.0 < held.end_s - held.start_s < 300.0


def test_a_call_is_followed_in_part_through_changes_of_it_and_a_restart_until_it_is_opted_in_to():
    recorder = ListRecorder()
    book = book_of(recorder)
    book.submit(of_vtn("v1", interval(value=5000.0)), NOW_S)
    book.follow_in_part(VTN, "v1", 8000.0, "a launch", NOW_S + 10)
    book.submit(of_vtn("v1", interval(value=4000.0), modified_s=NOW_S + 11), NOW_S + 11)
    again = book_of(ListRecorder())
    assert again.restore(recorder.of("call"), NOW_S + 12) == 1
    for held in (book, again):
        (limit,) = held.current(NOW_S + 12)
        assert (limit.limit_w, limit.asked_limit_w) == (8000.0, 4000.0)
        (view,) = held.calls(NOW_S + 12)
        assert (view.state, view.easings[-1].from_s, view.easings[-1].reason) == (
            CallState.ACTIVE,
            NOW_S + 10,
            "a launch",
        )
    book.follow_in_part(VTN, "v1", 6000.0, "less of it", NOW_S + 20)
    assert book.current(NOW_S + 20)[0].limit_w == 6000.0
    book.opt_in(VTN, "v1", NOW_S + 30)
    assert [(e.limit_w, e.asked_limit_w) for e in book.current(NOW_S + 30)] == [(4000.0, None)]
    actions = [record["action"] for record in recorder.of("call") if record["action"].startswith("opted")]
    assert actions == ["opted_out_in_part", "opted_out_in_part", "opted_in"]


def test_the_part_and_the_whole_of_an_opt_out_take_each_others_place():
    book = book_of()
    book.submit(of_vtn("v1", interval(value=5000.0)), NOW_S)
    book.opt_out(VTN, "v1", "all of it", NOW_S + 10)
    assert book.follow_in_part(VTN, "v1", 8000.0, "a launch", NOW_S + 20).opted_out is None
    assert [event.limit_w for event in book.current(NOW_S + 20)] == [8000.0]
    book.opt_out(VTN, "v1", "all of it", NOW_S + 30)
    assert book.current(NOW_S + 30) == ()
    (view,) = book.calls(NOW_S + 30)
    assert (view.state, view.easings[-1].until_s, view.events[0].limit_w) == (CallState.OPTED_OUT, NOW_S + 30, 8000.0)
    assert book.opt_in(VTN, "v1", NOW_S + 40).opted_out is None
    assert [event.limit_w for event in book.current(NOW_S + 40)] == [5000.0]


def test_what_is_not_held_or_not_sane_or_not_recorded_is_not_followed_in_part():
    recorder = ListRecorder()
    book = book_of(recorder)
    book.submit(of_vtn("v1", interval(value=5000.0)), NOW_S)
    assert book.follow_in_part(VTN, "none", 8000.0, "a launch", NOW_S) is None
    assert book.follow_in_part(VTN, "v1", 8000.0, "too late", NOW_S + 600) is None
    for wrong_w in (0.0, 999.0, 1.1e6):
        with pytest.raises(CallRefused, match="to follow all of it opt in"):
            book.follow_in_part(VTN, "v1", wrong_w, "a launch", NOW_S + 1)
    count = len(recorder.of("call"))
    book.follow_in_part(VTN, "v1", 8000.0, "a launch", NOW_S + 2)
    book.follow_in_part(VTN, "v1", 8000.0, "a launch", NOW_S + 3)
    assert len(recorder.of("call")) == count + 1, "the same again says nothing new"
