import contextlib
import dataclasses
import logging

import pytest
from prometheus_client import CollectorRegistry

from controller.clock import VirtualClock, boot_name
from controller.errors import CallRefused, StoreError
from controller.loop.grid_desk import LINKS_NAME, GridDesk, LinkFile, open_calls
from controller.loop.status import Status
from controller.metrics.grid import GridMetrics
from controller.model.call import Asked
from controller.model.observation import Missing
from controller.model.programme import Programme
from controller.signals.calls import CallBook
from controller.signals.references import References
from controller.store.ledger import Ledger
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder, observation, reading

TERMS = {"operator": Programme("operator"), "dr": Programme("dr", default_limit_w=5000.0, hold_s=300.0)}


def desk(recorder=None, **options):
    references = References()
    book = CallBook(recorder or ListRecorder(), TERMS, references)
    return book, GridDesk(book, references, GridMetrics(CollectorRegistry()), **options)


def look(book, grid, now_s, power_w):
    power = Missing("meter", "gone", now_s) if power_w is None else reading(power_w, now_s)
    seen = dataclasses.replace(observation(now_s), site_power=power, events=book.current(now_s))
    grid.take(Status(seen, None, (), 0.0))
    return seen.events


def test_a_call_is_counted_from_what_was_drawn_before_it():
    book, grid = desk()
    for n in range(10):
        look(book, grid, NOW_S - 10 + n, 20_000.0)
    book.submit(call("c", interval(0.0, 600.0, Asked.BELOW_PRESENT_W, 5000.0)), NOW_S)
    assert [event.limit_w for event in look(book, grid, NOW_S, 20_000.0)] == [15_000.0]
    assert [event.limit_w for event in look(book, grid, NOW_S + 60, 14_000.0)] == [15_000.0]


def test_without_a_reading_nothing_is_remembered():
    book, grid = desk()
    look(book, grid, NOW_S, None)
    book.submit(call("c", interval(0.0, 600.0, Asked.BELOW_PRESENT_W, 5000.0)), NOW_S)
    assert look(book, grid, NOW_S + 1, None) == ()
    assert grid.status.calls[0].unresolved[0].reason == "what is drawn is not known"


def test_the_status_tells_the_limit_with_the_standing_one():
    book, grid = desk(standing_limit_w=12_000.0)
    book.submit(call("c", interval(60.0)), NOW_S)
    look(book, grid, NOW_S, 20_000.0)
    limit = grid.status.limit
    assert [limit.at(NOW_S + t).limit_w for t in (0, 60, 660)] == [12_000.0, 9000.0, 12_000.0]


def test_each_change_of_the_limit_is_logged_once(caplog):
    caplog.set_level(logging.INFO)
    book, grid = desk(standing_limit_w=12_000.0)
    book.submit(call("c", interval(60.0)), NOW_S)
    for t in (0, 1, 60, 61, 660, 661):
        look(book, grid, NOW_S + t, 8000.0)
    told = [(r.limit_w, r.event_id) for r in caplog.records if r.message == "another limit holds"]
    assert told == [(9000.0, "c"), (12_000.0, None)]


async def test_the_next_process_knows_when_a_source_was_heard(tmp_path):
    book, _ = desk()
    book.watch("vtn", ("dr",), NOW_S)
    book.heard("vtn", NOW_S + 50)
    kept = []

    async def keep(memory, sleepers, now_s):
        kept.append(now_s)

    await LinkFile(tmp_path, book).keeping(keep)(None, (), NOW_S + 60)
    assert kept == [NOW_S + 60]
    again, _ = desk()
    LinkFile(tmp_path, again).take_up(NOW_S + 70)
    again.watch("vtn", ("dr",), NOW_S + 70)
    (state,) = again.sources(NOW_S + 70)
    assert (state.heard_s, state.silent_s) == (NOW_S + 50, 20.0)


async def test_no_file_is_written_where_what_comes_before_it_fails(tmp_path):
    book, _ = desk()

    async def keep(memory, sleepers, now_s):
        raise StoreError("disk")

    with pytest.raises(StoreError, match="disk"):
        await LinkFile(tmp_path, book).keeping(keep)(None, (), NOW_S)
    assert not (tmp_path / LINKS_NAME).exists()


def test_a_damaged_file_is_set_aside(tmp_path, caplog):
    (tmp_path / LINKS_NAME).write_text("{")
    book, _ = desk()
    LinkFile(tmp_path, book).take_up(NOW_S)
    assert not (tmp_path / LINKS_NAME).exists()
    assert any("links not restored" in r.message for r in caplog.records)


async def test_the_next_process_knows_what_is_over_and_that_the_clock_was_set(tmp_path):
    clock = VirtualClock(NOW_S)

    async def keep(memory, sleepers, now_s):
        pass

    with contextlib.closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        book, links, _ = open_calls(tmp_path, ledger, TERMS, References(), clock)
        book.submit(call("c", interval(0.0, 7200.0)), NOW_S)
        book.submit(call("long gone", interval(0.0, 9 * 86_400.0), source="vtn", programme="dr"), NOW_S)
        book.cancel("vtn", "long gone", NOW_S)
        book.cancel("vtn", "overtaken", NOW_S, modified_s=NOW_S)
        clock.advance(7000.0)
        assert len(book.calls(clock.wall_s())) == 1
        await links.keeping(keep)(None, (), clock.wall_s())
    (tmp_path / "ledger.sqlite").rename(tmp_path / "older.sqlite")  # as old records go
    clock.advance(60.0)
    moved = clock.monotonic_s()
    clock.wall_s = lambda: moved - 5 * 3600
    with contextlib.closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        again, _, steps = open_calls(tmp_path, ledger, TERMS, References(), clock)
        assert steps.count == (1 if boot_name() else 0)
        for call_id in ("long gone", "overtaken"):
            older = call(call_id, interval(0.0, 9 * 86_400.0), source="vtn", programme="dr")
            with pytest.raises(CallRefused, match="is over"):
                again.submit(older, clock.wall_s())


async def test_a_cancellation_that_came_before_its_call_outlasts_a_killed_process(tmp_path):
    clock = VirtualClock(NOW_S)
    with contextlib.closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        book, _, _ = open_calls(tmp_path, ledger, TERMS, References(), clock)
        book.cancel("vtn", "c1", NOW_S, modified_s=NOW_S)
    with contextlib.closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        again, _, _ = open_calls(tmp_path, ledger, TERMS, References(), clock)
        with pytest.raises(CallRefused, match="is over"):
            again.submit(call("c1", source="vtn", programme="dr", modified_s=NOW_S - 1), NOW_S)
