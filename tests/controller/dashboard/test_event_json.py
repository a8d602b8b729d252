from controller.dashboard.event_json import call_json, limits_json
from controller.dashboard.event_request import read_request
from controller.signals.calls import CallBook
from tests.fakes.controller_parts import NOW_S, ListRecorder


def book_with(**requests) -> CallBook:
    book = CallBook(ListRecorder())
    for name, data in requests.items():
        book.submit(read_request(data).call(name, NOW_S), NOW_S)
    return book


def test_what_is_told_of_a_call_that_was_cancelled_or_opted_out_of():
    cap = {"limit_w": 9000, "duration_s": 600}
    book = book_with(a=cap, b=cap)
    book.cancel("operator", "a", NOW_S + 5)
    book.opt_out("operator", "b", "a customer's launch", NOW_S + 6)
    told = [limits_json(view, NOW_S + 10)[0] for view in book.calls(NOW_S + 10)]
    assert [(t["state"], t["end_s"]) for t in told] == [("cancelled", NOW_S + 5), ("opted_out", NOW_S + 6)]
    assert call_json(book.calls(NOW_S + 10)[1], NOW_S + 10)["opted_out"] == "a customer's launch"


def test_the_limit_in_force_is_shown_before_the_next_one():
    intervals = [{"limit_w": 900, "duration_s": 60}, {"limit_w": 700, "duration_s": 60}]
    book = book_with(a={"intervals": intervals})
    assert [call_json(book.calls(NOW_S + at_s)[0], NOW_S + at_s)["limit_w"] for at_s in (0, 59, 60, 119, 130)] == [
        900.0,
        900.0,
        700.0,
        700.0,
        700.0,
    ]


def test_what_cannot_be_followed_says_why_and_has_no_limit():
    book = book_with(a={"level": 2, "duration_s": 60})
    told = call_json(book.calls(NOW_S)[0], NOW_S)
    assert (told["limit_w"], told["limits"]) == (None, [])
    assert "does not say what level 2 asks for" in told["unresolved"][0]["reason"]


def test_what_is_told_of_a_call_that_is_followed_in_part():
    book = book_with(a={"limit_w": 9000, "duration_s": 600})
    assert call_json(book.calls(NOW_S)[0], NOW_S)["in_part"] is None
    book.follow_in_part("operator", "a", 11_000.0, "a launch", NOW_S + 5)
    told = call_json(book.calls(NOW_S + 6)[0], NOW_S + 6)
    assert told["in_part"] == {"down_to_w": 11_000.0, "since_s": NOW_S + 5, "reason": "a launch"}
    assert (told["limit_w"], told["limits"][0]["asked_limit_w"], told["state"]) == (11_000.0, 9000.0, "active")
