import logging

import pytest

from controller.errors import ConfigError
from controller.grid.loss import GRACE_S
from controller.model.programme import Programme
from controller.signals.links import FORGET_S, MAX_LINKS, KeptLinks, Links
from controller.store.plain import from_plain, to_plain
from tests.fakes.controller_parts import NOW_S

TERMS = {"dr": Programme("dr", default_limit_w=5000.0, hold_s=300.0)}


def watched(heard_s=NOW_S):
    links = Links()
    links.watch("vtn", ("dr",), NOW_S)
    if heard_s is not None:
        links.heard("vtn", heard_s)
    return links


def state(links, now_s):
    (only,) = links.states(TERMS, (), now_s)
    return only


def test_a_source_counts_once_it_is_watched():
    links = Links()
    links.heard("vtn", NOW_S)
    assert links.states(TERMS, (), NOW_S + 1e6) == ()


def test_loss_and_return_are_logged_once(caplog):
    caplog.set_level(logging.INFO)
    links = watched()
    for later_s in (100, 301, 302, 303):
        state(links, NOW_S + later_s)
    links.heard("vtn", NOW_S + 304)
    for later_s in (305, 306):
        state(links, NOW_S + later_s)
    assert [r.message.split(":")[0] for r in caplog.records] == [
        "source of calls is lost",
        "source of calls is heard again",
    ]


def test_the_next_process_knows_who_was_lost_and_gives_the_others_a_moment():
    links = watched()
    assert state(links, NOW_S + 301).is_lost
    kept = from_plain(KeptLinks, to_plain(links.kept(NOW_S + 301)))
    again = Links()
    again.resume(kept, NOW_S + 310)
    again.watch("vtn", ("dr",), NOW_S + 310)
    assert state(again, NOW_S + 311).is_lost

    alive = Links()
    alive.resume(watched().kept(NOW_S + 1), NOW_S + 9000)
    alive.watch("vtn", ("dr",), NOW_S + 9000)
    assert not state(alive, NOW_S + 9000 + GRACE_S - 1).is_lost
    assert state(alive, NOW_S + 9000 + GRACE_S).is_lost


def test_a_restart_does_not_begin_the_hold_time_anew():
    links = Links()
    links.resume(watched().kept(NOW_S + 200), NOW_S + 210)
    links.watch("vtn", ("dr",), NOW_S + 210)
    assert state(links, NOW_S + 300).is_lost


def test_a_source_from_the_file_may_have_been_watched_before_it_was_read():
    links = Links()
    links.watch("vtn", ("dr",), NOW_S + 210)
    links.resume(watched().kept(NOW_S + 200), NOW_S + 210)
    assert state(links, NOW_S + 300).is_lost


def test_a_clock_that_was_set_back_does_not_make_a_source_immortal():
    links = Links()
    links.resume(watched(NOW_S + 1e9).kept(NOW_S), NOW_S)
    links.watch("vtn", ("dr",), NOW_S)
    assert state(links, NOW_S + 301).is_lost


def test_silence_counts_from_the_moment_at_which_the_clock_was_set_back():
    links = watched(NOW_S + 7200)
    assert not state(links, NOW_S).is_lost
    assert state(links, NOW_S + 300).is_lost


def test_a_process_that_ends_before_it_watches_a_source_takes_nothing_from_the_next_one():
    lost = watched()
    assert state(lost, NOW_S + 301).is_lost
    brief = Links()
    brief.resume(lost.kept(NOW_S + 301), NOW_S + 310)
    again = Links()
    again.resume(brief.kept(NOW_S + 311), NOW_S + 320)
    again.watch("vtn", ("dr",), NOW_S + 320)
    assert state(again, NOW_S + 320).is_lost
    assert brief.kept(NOW_S + FORGET_S).links == ()


def test_there_is_room_for_so_many():
    links = Links()
    for n in range(MAX_LINKS):
        links.watch(f"vtn{n}", ("dr",), NOW_S)
    with pytest.raises(ConfigError, match="configure fewer"):
        links.watch("one more", ("dr",), NOW_S)
    links.watch("vtn0", ("dr",), NOW_S)


def test_a_source_that_is_not_followed_for_a_while_is_not_lost_and_goes_on_from_when_it_was_heard():
    links = Links()
    links.watch("vtn", ("operator",), NOW_S)
    links.heard("vtn", NOW_S + 10)
    links.rest()
    assert links.states({}, (), NOW_S + 5000) == ()
    links.watch("vtn", ("operator",), NOW_S + 5000)
    assert links.states({}, (), NOW_S + 5000)[0].silent_s == pytest.approx(4990.0)
