import pytest

from controller.errors import StoreError
from controller.evidence import listing
from controller.evidence.listing import find, is_about, list_events
from controller.evidence.read import read_event
from controller.store.ledger_check import opened, rows_of
from controller.utc_text import utc_text
from tests.fakes.played_event import LENGTH_S, LIMIT_W, START_S, Player, call_record, event, played


def test_events_are_listed_and_found(tmp_path):
    path = played(tmp_path)
    (listed,) = list_events(path)
    assert (listed.event_id, listed.state, listed.rows) == ("evening", "added", 1)
    assert listed.size_bytes > 10_000
    assert find(path, "openadr:vtn/evening") == listed
    assert find(path, "evening#0") == listed
    with pytest.raises(StoreError, match=r"no event 'x'; the latest are: evening"):
        find(path, "x")


def test_rows_are_about_an_event_by_its_name_or_by_their_time(tmp_path):
    player = Player(tmp_path)
    player.call()
    player.play(START_S + 20, event())
    player.desk.record("call_refused", START_S, {"raw": "x"})
    player.close()
    listed = find(player.path, "evening")
    with opened(player.path) as db:
        about = {row.kind: is_about(row, listed) for row in rows_of(db)}
    assert about["call_refused"] is False
    assert all(about[kind] for kind in ("call", "tick", "limits", "software"))


def test_a_file_of_more_events_than_are_listed_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "MAX_LISTED", 1)
    player = Player(tmp_path)
    player.play(START_S + 10, event(), event(source="operator"))
    player.close()
    with pytest.raises(StoreError, match="more than 1 events"):
        list_events(player.path)


def test_an_event_that_was_cancelled_before_it_began_ends_no_earlier_than_it_would_have_begun(tmp_path):
    player = Player(tmp_path)
    player.call("cancelled", cancelled_s=START_S - 50)
    player.close()
    (listed,) = list_events(player.path)
    assert (listed.start_s, listed.end_s, listed.state) == (START_S, START_S, "cancelled")


def test_events_that_have_the_same_id_one_after_the_other_are_told_apart(tmp_path):
    player = Player(tmp_path)
    player.call()
    player.play(START_S + LENGTH_S + 60.0, event())
    later_s = player.now_s + 90_000.0
    player.now_s = later_s - 60.0
    call = call_record()
    (interval,) = call["kept"]["call"]["intervals"]
    interval |= {"start_s": later_s, "end_s": later_s + 300.0}
    player.desk.record("call", player.now_s, call)
    player.play(later_s + 120.0, event(limit_w=3000.0, start_s=later_s, end_s=later_s + 300.0))
    player.close()
    first, second = list_events(player.path)
    assert [(each.start_s, each.end_s) for each in (first, second)] == [
        (START_S, START_S + LENGTH_S),
        (later_s, later_s + 300.0),
    ]
    assert find(player.path, "evening") == second
    assert find(player.path, f"evening@{utc_text(START_S)[:10]}") == first
    assert find(player.path, f"openadr:vtn/evening@{utc_text(later_s)[:16]}") == second
    with pytest.raises(StoreError, match="no event"):
        find(player.path, "evening@2020-01-01")
    earlier = read_event(player.path, f"evening@{utc_text(START_S)}")
    assert [(each.limit_w, each.end_s) for each in earlier.events] == [(LIMIT_W, START_S + LENGTH_S)]
    assert len(earlier.calls) == 1
    assert [each.limit_w for each in read_event(player.path, "evening").events] == [3000.0]
