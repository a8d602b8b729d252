"""Tables over HTTP: unchanged ones cost little, wrong ones are refused, and nothing ends the polling."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from router import clock
from router.contract import MAX_ENCODED_BYTES, AllocationTable, encode
from router.errors import TableSourceError
from router.poller import Poller
from router.settings import ClientTlsSettings
from router.table_source import HttpTableSource, TableReporter
from router.transport.credentials import Credentials
from tests.fakes.certificates import Authority
from tests.fakes.fake_engine import FakeEngine, Request, Wire
from tests.fakes.routing import NOW_S, table
from tests.fakes.table_sink import RecordingSink


class Controller:
    """Serves what a test sets."""

    def __init__(self) -> None:
        self.table: AllocationTable | None = None
        self.raw: bytes | None = None
        self.status = 200
        self.now_s = NOW_S
        self.asked: list[str | None] = []
        self.statuses: list[int] = []

    async def allocation(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("If-None-Match"))
        answer = self._answer(request)
        self.statuses.append(answer.status)
        answer.headers["Date"] = formatdate(self.now_s, usegmt=True)
        return answer

    def _answer(self, request: web.Request) -> web.Response:
        if self.raw is not None:
            return web.Response(body=self.raw, headers={"ETag": '"raw"'})
        if self.status != 200 or self.table is None:
            return web.Response(status=self.status if self.status != 200 else 503)
        etag = f'"{self.table.sequence}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(body=encode(self.table), headers={"ETag": etag})


@pytest.fixture
async def controller() -> AsyncIterator[tuple[Controller, str]]:
    fake = Controller()
    app = web.Application()
    app.router.add_get("/v1/allocation", fake.allocation)
    async with TestServer(app) as server:
        yield fake, str(server.make_url("/v1/allocation"))


def polling(
    session: aiohttp.ClientSession, url: str, sink: RecordingSink, credentials: Credentials | None = None
) -> HttpTableSource:
    poller = Poller(session, url, 0.01, rng=random.Random(1), credentials=credentials)
    return HttpTableSource(poller, sink=sink, steady_s=lambda: NOW_S, max_ttl_s=600.0)


@contextlib.asynccontextmanager
async def source_of(url: str, sink: RecordingSink) -> AsyncIterator[HttpTableSource]:
    async with aiohttp.ClientSession() as session:
        yield polling(session, url, sink)


@contextlib.asynccontextmanager
async def running(source: HttpTableSource) -> AsyncIterator[None]:
    task = asyncio.create_task(source.run())
    try:
        yield
    finally:
        assert not task.done(), "polling has ended"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_table_is_handed_on_and_confirmed_without_being_sent_again(controller: tuple[Controller, str]) -> None:
    fake, url = controller
    fake.table = table({"standard": {"bf16": 1.0}}, sequence=3)
    sink = RecordingSink()
    async with source_of(url, sink) as source:
        await source.poll()
        await source.poll()
    assert sink.tables == [fake.table, fake.table]
    assert (fake.asked, fake.statuses) == ([None, '"3"'], [200, 304])


async def test_new_tables_are_followed(controller: tuple[Controller, str]) -> None:
    fake, url = controller
    sink = RecordingSink()
    async with source_of(url, sink) as source, running(source):
        for sequence in (1, 2, 3):
            fake.table = table(sequence=sequence)
            await sink.until(lambda sequence=sequence: sequence in sink.sequences)  # type: ignore[misc]
    assert sink.sequences == [1, 2, 3]


@pytest.mark.parametrize("raw", [b"", b"{}", b"<html>", b"[" * 100_000, encode(table()).replace(b":1,", b":9,", 1)])
async def test_a_malformed_table_is_refused_counted_and_not_kept(
    controller: tuple[Controller, str], raw: bytes
) -> None:
    fake, url = controller
    fake.table = table(sequence=1)
    sink = RecordingSink()
    async with source_of(url, sink) as source:
        await source.poll()
        fake.raw = raw
        with pytest.raises(TableSourceError, match="the last good one stays"):
            await source.poll()
        assert (len(sink.tables), sink.refused) == (1, ["malformed"])
        fake.raw = None
        await source.poll()
    assert len(sink.tables) == 2
    assert fake.asked[-1] is None, "a malformed table must not be confirmed by a later 304"


async def test_an_endless_answer_is_cut_off(controller: tuple[Controller, str]) -> None:
    fake, url = controller
    fake.raw = b" " * (MAX_ENCODED_BYTES + 1)
    sink = RecordingSink()
    async with source_of(url, sink) as source:
        with pytest.raises(TableSourceError, match="more than"):
            await source.poll()
    assert sink.tables == []


@pytest.mark.parametrize("status", [503, 404, 302, 204])
async def test_an_answer_without_a_table_is_an_error(controller: tuple[Controller, str], status: int) -> None:
    fake, url = controller
    fake.status = status
    async with source_of(url, RecordingSink()) as source:
        with pytest.raises(TableSourceError, match=f"answered {status}"):
            await source.poll()


async def test_an_unreachable_controller_is_an_error_and_polling_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    port = unused_port()
    sink = RecordingSink()
    caplog.set_level(logging.INFO, "router.table_source")
    async with source_of(f"http://127.0.0.1:{port}/v1/allocation", sink) as source:
        with pytest.raises(TableSourceError, match=r"Connect"):
            await source.poll()
        async with running(source):
            await until(lambda: "allocation not fetched" in caplog.messages)
            fake = Controller()
            fake.table = table(sequence=9)
            app = web.Application()
            app.router.add_get("/v1/allocation", fake.allocation)
            async with TestServer(app, port=port):
                await sink.until(lambda: bool(sink.tables))
    assert "allocation source answers again" in caplog.messages


async def test_lasting_trouble_is_logged_once(
    controller: tuple[Controller, str], caplog: pytest.LogCaptureFixture
) -> None:
    fake, url = controller
    caplog.set_level(logging.INFO, "router.table_source")
    async with source_of(url, RecordingSink()) as source, running(source):
        await until(lambda: len(fake.asked) >= 5)
    assert caplog.messages == ["allocation not fetched"]
    assert caplog.records[0].__dict__["reason"] == "answered 503, 200 with a table is expected"


def test_a_table_that_runs_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "router.table_source")
    times_s = iter([NOW_S, NOW_S, NOW_S + 1, NOW_S + 19, NOW_S + 20, NOW_S + 40, NOW_S + 41, NOW_S + 42])
    reporter = TableReporter("redis://r:6379/0", RecordingSink(), lambda: next(times_s), 20.0)
    silent = TableSourceError("redis://r:6379/0", "gone")
    reporter.failed(silent)
    reporter.confirm(table(sequence=1, issued_at_s=NOW_S, ttl_s=600), None)
    caplog.clear()
    for _ in range(4):
        reporter.failed(silent)
    assert caplog.messages == ["allocation not fetched", "allocation expired, static weights hold"]
    reporter.confirm(table(sequence=1, issued_at_s=NOW_S, ttl_s=1), None)
    caplog.clear()
    reporter.failed(silent)
    assert caplog.messages == ["allocation not fetched"], "one that came too late was never obeyed"


@pytest.mark.parametrize("behind_s", [7200.0, -7200.0])
async def test_the_tables_of_a_controller_with_another_clock_are_held_by_that_and_it_is_told_once(
    behind_s: float, controller: tuple[Controller, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "router.table_source")
    fake, url = controller
    sink = RecordingSink()
    async with source_of(url, sink) as source:
        for sequence in (1, 1, 2):
            fake.now_s = NOW_S - behind_s
            fake.table = table(sequence=sequence, issued_at_s=fake.now_s)
            await source.poll()
        fake.now_s = NOW_S + 1.0
        fake.table = table(sequence=3)
        await source.poll()
    assert sink.aheads_s == [behind_s, behind_s, behind_s, 0.0]
    told = [(each.message, each.__dict__.get("ahead_s")) for each in caplog.records if "clock" in each.message]
    assert told == [
        ("the controller's clock is another one; its tables are held by it", behind_s),
        ("the controller's clock is this machine's again", 0.0),
    ]


async def test_a_304_that_was_not_asked_for_is_an_error(controller: tuple[Controller, str]) -> None:
    fake, url = controller
    fake.status = 304
    async with source_of(url, RecordingSink()) as source:
        with pytest.raises(TableSourceError, match="answered 304"):
            await source.poll()


# A controller behind TLS.


async def give_table(request: Request, wire: Wire) -> None:
    await wire.answer(200, encode(table({"standard": {"bf16": 1.0}})))


@pytest.mark.parametrize("whose", ["its own", "another"])
async def test_a_controller_behind_tls_is_verified(whose: str, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    believed = ClientTlsSettings(ca_file=(authority if whose == "its own" else other).file)
    sink = RecordingSink()
    async with (
        FakeEngine(give_table, tls=authority.issue("controller").server()) as controller,
        aiohttp.ClientSession() as session,
    ):
        credentials = Credentials("table.tls", believed, clock.wall_s)
        source = polling(session, f"{controller.url}/v1/allocation", sink, credentials)
        if whose == "its own":
            await source.poll()
            assert len(sink.tables) == 1
        else:
            with pytest.raises(TableSourceError, match="CertificateError"):
                await source.poll()
            assert not controller.requests
