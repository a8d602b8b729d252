"""Loads over HTTP: what is new is handed on, what is malformed is refused and told."""

from __future__ import annotations

import logging
import random

import aiohttp
import pytest

from router.contract_loads import Loads, encode_loads
from router.load_source import FRESH_S, LoadReporter, fresh_s, http_loads, loads_url, read_every_s
from router.poller import Poller
from tests.fakes.fake_engine import FakeEngine, Request, Wire


class Sink:
    def __init__(self) -> None:
        self.heard_of: list[int] = []

    def heard(self, loads: Loads) -> None:
        self.heard_of.append(loads.sequence)


def document(sequence: int) -> bytes:
    return encode_loads(Loads(sequence, 2, ()))


def test_what_was_there_before_does_not_count_and_neither_does_what_stays_the_same() -> None:
    sink = Sink()
    reporter = LoadReporter("redis", sink)
    for sequence in (5, 5, 6, 6, 3):
        assert reporter.deliver(document(sequence))
    assert sink.heard_of == [6, 3]


def test_the_number_of_routers_counts_from_the_first_document_on() -> None:
    heard: list[int] = []
    reporter = LoadReporter("http", Sink(), heard.append)
    for routers in (4, 4, 3):
        reporter.deliver(encode_loads(Loads(len(heard), routers, ())))
    reporter.deliver(b"{}")
    assert heard == [4, 4, 3]


def test_what_is_malformed_is_refused_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "router.load_source")
    sink = Sink()
    reporter = LoadReporter("redis", sink)
    assert not reporter.deliver(b"{}")
    assert not reporter.deliver(b"{}")
    reporter.failed("gone")
    reporter.deliver(document(1))
    reporter.deliver(document(2))
    assert (reporter.refused, sink.heard_of) == (2, [2])
    assert caplog.messages == ["engines' loads not told", "engines' loads not told", "engines' loads are told again"]


def test_the_address_is_beside_the_tables() -> None:
    assert loads_url("https://c:8090/v1/allocation") == "https://c:8090/v1/engine-loads"
    assert loads_url("http://c/elsewhere") is None


def test_a_table_that_is_read_seldom_has_loads_that_are_read_as_seldom() -> None:
    assert (read_every_s(0.1), fresh_s(0.1)) == (2.0, FRESH_S)
    assert (read_every_s(10.0), fresh_s(10.0)) == (10.0, 30.0)


async def test_it_asks_again_and_again_and_bears_every_answer() -> None:
    answers = [(503, b""), (200, document(1)), (200, document(2)), (304, b""), (200, b"{"), (200, document(3))]
    tags: list[str | None] = []

    async def controller(request: Request, wire: Wire) -> None:
        tags.append(request.get("if-none-match"))
        code, body = answers[len(tags) - 1]
        await wire.answer(code, body, f'ETag: "{len(tags)}"')

    sink = Sink()
    async with FakeEngine(controller) as engine, aiohttp.ClientSession() as session:
        reporter = LoadReporter(engine.url, sink)
        source = http_loads(Poller(session, engine.url, 0.01, rng=random.Random(1)), reporter)
        for _ in answers:
            await source.poll()
    assert sink.heard_of == [2, 3]
    assert reporter.refused == 1
    assert tags == [None, None, '"2"', '"3"', '"3"', None]
