import pytest

from controller.errors import StoreError
from controller.evidence.listing import list_events
from controller.evidence.read import Kept, read_event
from controller.grid.kept import KeptCall
from controller.grid.resolve import References, resolve
from controller.store.plain import from_plain
from tests.fakes.played_event import (
    BASELINE_W,
    LENGTH_S,
    LIMIT_W,
    PROGRAMME,
    START_S,
    Player,
    call_record,
    event,
    flowing,
    played,
)


def test_everything_of_an_event_comes_back(tmp_path):
    path = played(tmp_path)
    evidence = read_event(path, "evening")
    assert (evidence.source, evidence.event_id, evidence.programme.name) == ("openadr:vtn", "evening", "utility")
    assert [each.limit_w for each in evidence.events] == [LIMIT_W]
    assert (evidence.start_s, evidence.end_s) == (START_S, START_S + LENGTH_S)
    assert evidence.calls[0].payload["raw"] == '{"eventName": "evening"}'
    assert evidence.software[0].payload["wattroute"] == "1.2.3"
    assert evidence.events[0].baseline_w == BASELINE_W
    assert evidence.rows["tick"] == len(flowing(path, "evening", Kept))


def test_the_limits_of_a_call_are_found_under_the_name_by_which_the_book_tells_them(tmp_path):
    player = Player(tmp_path)
    player.call()
    call = from_plain(KeptCall, call_record()["kept"]).call
    player.play(START_S + 60.0, *resolve(call, PROGRAMME, References(BASELINE_W)).events)
    player.close()
    assert [(each.event_id, each.source) for each in list_events(player.path)] == [("evening", "openadr:vtn")]
    assert [each.limit_w for each in read_event(player.path, "evening").events] == [LIMIT_W]


def test_two_sources_with_the_same_id_are_told_apart(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 10, event(), event(source="operator", limit_w=3000.0))
    player.close()
    with pytest.raises(StoreError, match="known of openadr:vtn, operator; write SOURCE/evening"):
        read_event(player.path, "evening")
    assert read_event(player.path, "operator/evening").events[0].limit_w == 3000.0


def test_a_call_that_was_cancelled_ends_there(tmp_path):
    player = Player(tmp_path)
    player.call()
    player.play(START_S + 100, event())
    player.call("cancelled", cancelled_s=START_S + 100)
    player.play(START_S + 200)
    player.close()
    evidence = read_event(player.path, "evening")
    assert evidence.end_s == START_S + 100
    assert evidence.call.cancelled_s == START_S + 100
    assert list_events(player.path)[0].state == "cancelled"


def test_a_call_that_was_cancelled_before_it_began_has_no_limits(tmp_path):
    player = Player(tmp_path, from_s=START_S - 300)
    player.call()
    player.play(START_S - 200, event())
    player.call("cancelled", cancelled_s=START_S - 200)
    player.play(START_S + 60)
    player.close()
    evidence = read_event(player.path, "evening")
    assert evidence.events == ()


def test_a_limit_without_a_call_is_an_event_too(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 60, event(event_id="lost:openadr:vtn:utility", source="openadr:vtn"))
    player.close()
    evidence = read_event(player.path, "lost:openadr:vtn:utility")
    assert (evidence.call, len(evidence.events)) == (None, 1)


def test_an_interval_that_was_taken_back_is_gone(tmp_path):
    player = Player(tmp_path)
    player.play(
        START_S - 10,
        event(event_id="evening#0"),
        event(event_id="evening#1", start_s=START_S + 700, end_s=START_S + 800),
    )
    player.play(START_S + 10, event(event_id="evening#0"))
    player.close()
    assert [each.event_id for each in read_event(player.path, "evening").events] == ["evening#0"]


def test_a_limit_that_was_changed_under_way_is_settled_as_it_was_until_then_and_as_it_is_from_then_on(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 300.0, event())
    player.play(START_S + 600.0, event(limit_w=3000.0))
    player.play(START_S + 660.0, event(limit_w=3000.0, end_s=START_S + LENGTH_S + 300.0))
    player.close()
    before, after = read_event(player.path, "evening").events
    assert (before.limit_w, before.start_s, before.end_s) == (LIMIT_W, START_S, START_S + 300.0)
    assert (after.limit_w, after.start_s, after.end_s) == (3000.0, START_S + 300.0, START_S + LENGTH_S + 300.0)
    assert before.event_id == "evening until 2026-09-21T14:18:20Z"
    assert after.event_id == "evening"


def test_a_limit_that_changes_as_its_baseline_is_frozen_is_one(tmp_path):
    player = Player(tmp_path)
    player.play(START_S, event(limit_w=4100.0))
    player.play(START_S + 60.0, event())
    player.close()
    assert [(each.limit_w, each.start_s) for each in read_event(player.path, "evening").events] == [(LIMIT_W, START_S)]


def test_an_interval_that_was_taken_back_under_way_was_in_force_until_then(tmp_path):
    player = Player(tmp_path)
    first = event(event_id="evening#0", end_s=START_S + 400.0)
    later = event(event_id="evening#1", limit_w=3000.0, start_s=START_S + 200.0)
    player.play(START_S + 200.0, first)
    player.play(START_S + 300.0, later)
    player.close()
    told = [(each.event_id, each.end_s - START_S) for each in read_event(player.path, "evening").events]
    assert told == [("evening#0", 200.0), ("evening#1", LENGTH_S)]


def test_a_call_followed_in_part_is_judged_by_what_held_and_by_what_was_asked_for_without_a_gap(tmp_path):
    player = Player(tmp_path)
    eased = {"limit_w": 4500.0, "asked_limit_w": LIMIT_W}
    player.play(START_S + 120.0, event())
    player.play(START_S + 300.0, event(**eased))
    player.play(START_S + 450.0, event())
    player.play(START_S + LENGTH_S + 10.0, event(limit_w=3000.0))
    player.close()
    told = [
        (each.start_s - START_S, each.end_s - START_S, each.limit_w, each.due_w, each.ramp_s)
        for each in read_event(player.path, "evening").events
    ]
    assert told == [
        (0.0, 120.0, LIMIT_W, LIMIT_W, 30.0),
        (120.0, 300.0, 4500.0, LIMIT_W, 0.0),
        (300.0, 450.0, LIMIT_W, LIMIT_W, 0.0),
        (450.0, LENGTH_S, 3000.0, 3000.0, 30.0),
    ]


def test_what_its_sender_changes_while_it_is_followed_in_part_is_owed_from_then_on(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 120.0, event(limit_w=4500.0, asked_limit_w=LIMIT_W))
    player.play(START_S + LENGTH_S + 10.0, event(limit_w=4500.0, asked_limit_w=3000.0))
    player.close()
    told = [(each.start_s - START_S, each.due_w) for each in read_event(player.path, "evening").events]
    assert told == [(0.0, LIMIT_W), (120.0, 3000.0)]
