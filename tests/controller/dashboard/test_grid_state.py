import json

from controller.dashboard.grid_state import MAX_CALLS, grid_json
from controller.grid.site_limit import site_limit
from controller.loop.grid_desk import GridStatus
from controller.model.call import Asked
from controller.model.programme import Programme
from controller.signals.calls import CallBook
from controller.signals.references import References
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder

TERMS = {
    "operator": Programme("operator", changes_per_min=1000),
    "dr": Programme("dr", default_limit_w=5000.0, hold_s=60.0),
}


def told(book, now_s=NOW_S):
    limit = site_limit(book.current(now_s), 30_000.0, now_s, now_s + 86_400)
    return grid_json(GridStatus(now_s, book.calls(now_s), book.sources(now_s), limit))


def book_of():
    references = References()
    references.take(NOW_S, 20_000.0)
    return CallBook(ListRecorder(), TERMS, references)


def test_before_the_first_look_nothing_is_known():
    assert grid_json(None) is None


def test_the_limit_that_holds_the_next_one_and_whose_they_are():
    book = book_of()
    book.submit(call("c", interval(0.0, 600.0, Asked.BELOW_BASELINE_FRAC, 0.25)), NOW_S)
    state = told(book)
    assert (state["limit"]["limit_w"], state["limit"]["event_id"], state["limit"]["end_s"]) == (
        15_000.0,
        "c",
        NOW_S + 600,
    )
    assert (state["next_limit"]["limit_w"], state["next_limit"]["event_id"]) == (30_000.0, None)
    (shown,) = state["calls"]
    assert (shown["baseline_w"], shown["baseline_origin"], shown["limits_w"]) == (20_000.0, "present", [15_000.0])


def test_what_cannot_be_followed_or_is_not_and_who_is_silent():
    book = book_of()
    book.watch("vtn", ("dr",), NOW_S)
    book.submit(call("level", interval(0.0, 9.0, Asked.LEVEL, 2)), NOW_S)
    book.submit(call("out"), NOW_S)
    book.opt_out("operator", "out", "launch day", NOW_S)
    state = told(book, NOW_S + 5)
    shown = {entry["call_id"]: entry for entry in state["calls"]}
    assert "add it to levels" in shown["level"]["unresolved"][0]["reason"]
    assert (shown["out"]["state"], shown["out"]["opted_out"]) == ("opted_out", "launch day")
    assert state["sources"][0]["default_limit_w"] is None
    lost = told(book, NOW_S + 60)["sources"][0]
    assert (lost["is_lost"], lost["default_limit_w"], lost["silent_s"]) == (True, 5000.0, 60.0)


def test_it_is_json_and_bounded():
    book = book_of()
    for n in range(MAX_CALLS + 3):
        book.submit(call(f"c{n}", interval(float(n))), NOW_S)
    state = told(book)
    assert (len(state["calls"]), state["calls_not_shown"]) == (MAX_CALLS, 3)
    json.dumps(state, allow_nan=False)


def test_a_call_that_is_followed_in_part_says_so():
    book = book_of()
    book.submit(call("part"), NOW_S)
    book.follow_in_part("operator", "part", 11_000.0, "launch day", NOW_S)
    (shown,) = told(book, NOW_S + 5)["calls"]
    assert (shown["in_part"]["down_to_w"], shown["limits_w"]) == (11_000.0, [11_000.0])
