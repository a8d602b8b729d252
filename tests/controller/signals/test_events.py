import pytest

from controller.errors import StoreError
from controller.model.grid import EventState
from controller.signals import events
from controller.signals.events import EventBook, EventRefused, EventRequest, read_request
from tests.fakes.controller_parts import NOW_S, ListRecorder


def request(**changes):
    return EventRequest(**{"limit_w": 9000.0, "duration_s": 600.0, **changes})


def test_the_json_form_with_its_defaults():
    read = read_request({"limit_w": 9000, "duration_s": 600})
    assert read == EventRequest(9000.0, 600.0, start_in_s=0.0, ramp_s=30.0, event_id=None)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "a JSON object is expected, not list"),
        ({}, "limit_w is missing"),
        ({"limit_w": 1}, "duration_s is missing"),
        ({"limit_w": "9kW", "duration_s": 1}, "limit_w is '9kW'"),
        ({"limit_w": True, "duration_s": 1}, "limit_w is True"),
        ({"limit_w": float("nan"), "duration_s": 1}, "limit_w is nan"),
        ({"limit_w": -1, "duration_s": 1}, "limit_w is -1, outside 0 to 1e"),
        ({"limit_w": 1, "duration_s": 0}, "duration_s is 0, outside 1 to 604800"),
        ({"limit_w": 1, "duration_s": 1, "ramp_s": 1e9}, "ramp_s is 1000000000.0, outside"),
        ({"limit_w": 1, "duration_s": 1, "limit_kw": 2}, "unknown key 'limit_kw'; known are"),
        ({"limit_w": 1, "duration_s": 1, "event_id": "a b"}, "event_id 'a b' is not a name"),
    ],
)
def test_a_wrong_request_names_key_value_and_remedy(data, problem):
    with pytest.raises(EventRefused, match=problem) as caught:
        read_request(data)
    assert not caught.value.is_conflict


def test_an_event_is_pending_then_active_then_gone():
    book = EventBook(ListRecorder())
    event = book.add(request(start_in_s=60.0, event_id="e1"), NOW_S)
    assert (event.start_s, event.end_s, event.notice_s) == (NOW_S + 60, NOW_S + 660, NOW_S)
    assert [e.state(NOW_S) for e in book.current(NOW_S)] == [EventState.PENDING]
    assert [e.state(NOW_S + 60) for e in book.current(NOW_S + 60)] == [EventState.ACTIVE]
    assert book.current(NOW_S + 660) == ()
    assert book.recent() == (event,)
    assert book.current(NOW_S + 660 + events.KEEP_ENDED_S) == ()
    assert book.recent() == ()


def test_names_are_made_up_and_never_twice():
    book = EventBook(ListRecorder())
    assert len({book.add(request(), NOW_S).event_id for _ in range(5)}) == 5
    with pytest.raises(EventRefused, match="exists already") as caught:
        book.add(request(event_id=book.recent()[0].event_id), NOW_S)
    assert caught.value.is_conflict


def test_the_book_is_bounded(monkeypatch):
    monkeypatch.setattr(events, "MAX_EVENTS", 2)
    book = EventBook(ListRecorder())
    book.add(request(), NOW_S)
    book.add(request(), NOW_S)
    with pytest.raises(EventRefused, match="2 events are held"):
        book.add(request(), NOW_S)
    book.add(request(), NOW_S + 600 + events.KEEP_ENDED_S)


@pytest.mark.parametrize("start_in_s", [0.0, 60.0])
def test_cancelling_ends_an_event_now(start_in_s):
    book = EventBook(ListRecorder())
    book.add(request(event_id="e1", start_in_s=start_in_s), NOW_S)
    assert book.cancel("e1", NOW_S + 5).end_s == NOW_S + 5
    assert book.current(NOW_S + 5) == ()
    assert book.cancel("e1", NOW_S + 6) is None
    assert book.cancel("unknown", NOW_S) is None


def test_a_restarted_controller_knows_the_events_in_force():
    recorder = ListRecorder()
    book = EventBook(recorder)
    kept = book.add(request(event_id="kept"), NOW_S)
    book.add(request(event_id="cancelled"), NOW_S)
    book.cancel("cancelled", NOW_S + 1)
    again = EventBook(ListRecorder())
    assert again.restore(recorder.of(events.RECORD_KIND), NOW_S + 2) == 1
    assert again.current(NOW_S + 2) == (kept,)


def test_what_could_not_be_recorded_is_not_taken_in():
    recorder = ListRecorder()
    recorder.is_failing = True
    book = EventBook(recorder)
    with pytest.raises(StoreError):
        book.add(request(), NOW_S)
    assert book.recent() == ()


def test_an_event_that_lasts_is_recorded_again_before_old_records_go():
    recorder = ListRecorder()
    book = EventBook(recorder)
    event = book.add(request(duration_s=5 * 86_400.0), NOW_S)
    for hour in range(50):
        recorder.is_failing = hour == 24
        assert book.current(NOW_S + 3600 * hour) == (event,)
    assert [record["action"] for record in recorder.of(events.RECORD_KIND)] == ["added", "kept", "kept"]
    again = EventBook(ListRecorder())
    assert again.restore(recorder.of(events.RECORD_KIND)[-1:], NOW_S + 3600 * 50) == 1
