import pytest

from controller.dashboard.event_request import EventRequest, chosen_id, events_json, read_request
from controller.errors import CallRefused
from controller.signals.calls import CallBook
from tests.fakes.controller_parts import NOW_S, ListRecorder


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
    with pytest.raises(CallRefused, match=problem) as caught:
        read_request(data)
    assert not caught.value.is_conflict


def test_a_request_becomes_a_call_of_the_operator():
    call = EventRequest(9000.0, 600.0, start_in_s=60.0, ramp_s=5.0).call("e1", NOW_S)
    assert (call.source, call.start_s, call.end_s, call.ramp_s) == ("operator", NOW_S + 60, NOW_S + 660, 5.0)
    assert call.intervals[0].commitment.value == 9000.0


def test_names_are_made_up_and_never_twice():
    book, names = CallBook(ListRecorder()), set()
    for _ in range(5):
        name = chosen_id(EventRequest(1.0, 60.0), book.calls(NOW_S), NOW_S)
        book.submit(EventRequest(1.0, 60.0).call(name, NOW_S), NOW_S)
        names.add(name)
    assert len(names) == 5
    with pytest.raises(CallRefused, match="exists already") as caught:
        chosen_id(EventRequest(1.0, 60.0, event_id=names.pop()), book.calls(NOW_S), NOW_S)
    assert caught.value.is_conflict


def test_what_is_told_of_a_call_that_was_cancelled_or_opted_out_of():
    book = CallBook(ListRecorder())
    for name in ("a", "b"):
        book.submit(EventRequest(9000.0, 600.0).call(name, NOW_S), NOW_S)
    book.cancel("operator", "a", NOW_S + 5)
    book.opt_out("operator", "b", "a customer's launch", NOW_S + 6)
    told = [events_json(view, NOW_S + 10)[0] for view in book.calls(NOW_S + 10)]
    assert [(t["state"], t["end_s"]) for t in told] == [("ended", NOW_S + 5), ("opted_out", NOW_S + 6)]
