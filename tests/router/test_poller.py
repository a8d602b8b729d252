"""A document polled over HTTP: sent again only where it is another or of no use, and never read for ever."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

import router.poller
from router.errors import PollError
from router.poller import HELD_S, JITTER_FRAC, Document, Poller, jittered_s

DOCUMENT = Document("a test", "/v1/test", 100)


class Controller:
    """Serves a body with an ETag, or without one."""

    def __init__(self) -> None:
        self.body = b"one"
        self.etag: str | None = '"1"'
        self.asked: list[str | None] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("If-None-Match"))
        if self.etag and self.asked[-1] == self.etag:
            return web.Response(status=304)
        return web.Response(body=self.body, headers={"ETag": self.etag} if self.etag else {})


Polled = tuple[Controller, Poller]


@pytest.fixture
async def polled() -> AsyncIterator[Polled]:
    fake = Controller()
    app = web.Application()
    app.router.add_get("/v1/test", fake.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield fake, Poller(session, str(server.make_url("/v1/test")), 0.01, rng=random.Random(1))


async def test_an_unchanged_document_is_not_sent_again(polled: Polled) -> None:
    fake, poller = polled
    assert [await poller.fetch(DOCUMENT) for _ in range(2)] == [b"one", None]
    fake.body, fake.etag = b"two", '"2"'
    assert await poller.fetch(DOCUMENT) == b"two"
    assert fake.asked == [None, '"1"', '"1"']


async def test_a_line_that_carries_nothing_is_left_before_an_answer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(router.poller, "CONNECT_S", 0.05)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # the kernel answers no further attempt once those that nobody takes are too many
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{full.getsockname()[1]}/v1/test"
            with pytest.raises(PollError, match=r"no connection within 0\.05 s"):
                await Poller(session, url, 0.01, rng=random.Random(1)).fetch(DOCUMENT)


async def test_one_that_was_of_no_use_is(polled: Polled) -> None:
    fake, poller = polled
    await poller.fetch(DOCUMENT)
    poller.forget()
    assert await poller.fetch(DOCUMENT) == b"one"
    assert fake.asked == [None, None]


async def test_a_controller_without_tags_is_asked_each_time(polled: Polled) -> None:
    fake, poller = polled
    fake.etag = None
    assert [await poller.fetch(DOCUMENT) for _ in range(2)] == [b"one", b"one"]


async def test_a_failure_keeps_what_is_known(polled: Polled) -> None:
    fake, poller = polled
    await poller.fetch(DOCUMENT)
    fake.body, fake.etag = b" " * 101, '"2"'
    with pytest.raises(PollError, match=r"more than 100 bytes; point it at the /v1/test of a controller"):
        await poller.fetch(DOCUMENT)
    fake.etag = '"1"'
    assert await poller.fetch(DOCUMENT) is None


@given(st.floats(1e-3, 1e3), st.integers())
def test_polls_are_spread_about_their_interval(interval_s: float, seed: int) -> None:
    spread = [jittered_s(interval_s, random.Random(seed + n)) / interval_s for n in range(5)]
    assert all(1 - 1.01 * JITTER_FRAC <= one <= 1 + 1.01 * JITTER_FRAC for one in spread)
    assert len(set(spread)) > 1


async def test_credentials_of_the_address_are_sent_and_told_nowhere() -> None:
    fake, sent = Controller(), []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization", ""))
        return await fake.answer(request)

    app = web.Application()
    app.router.add_get("/v1/test", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = str(server.make_url("/v1/test")).replace("//", "//user:hunter2@")
        poller = Poller(session, url, 0.01, rng=random.Random(1))
        assert await poller.fetch(DOCUMENT) == b"one"
        fake.body, fake.etag = b" " * 101, '"2"'
        with pytest.raises(PollError) as caught:
            await poller.fetch(DOCUMENT)
    assert sent == ["Basic dXNlcjpodW50ZXIy"] * 2
    assert "hunter2" not in f"{poller.url} {caught.value}"
    assert poller.url == url.replace("user:hunter2@", "")


class Holding(Controller):
    """Holds its answer back until there is another document, or says so and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.changed, self.held = asyncio.Event(), asyncio.Event()
        self.holds = True

    async def answer(self, request: web.Request) -> web.Response:
        is_known = self.etag is not None and request.headers.get("If-None-Match") == self.etag
        if is_known and request.headers["Prefer"] == f"wait={HELD_S}" and self.holds:
            self.held.set()
            await self.changed.wait()
        answer = await super().answer(request)
        if is_known:
            answer.headers["Preference-Applied"] = f"wait={HELD_S}"
        return answer


async def test_a_document_comes_as_soon_as_there_is_another_where_the_controller_holds_the_answer() -> None:
    fake = Holding()
    app = web.Application()
    app.router.add_get("/v1/test", fake.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        poller = Poller(session, str(server.make_url("/v1/test")), 3600.0, rng=random.Random(1), held=True)
        await poller.fetch(DOCUMENT)
        coming = asyncio.ensure_future(poller.fetch(DOCUMENT))
        await fake.held.wait()
        fake.body, fake.etag = b"two", '"2"'
        fake.changed.set()
        assert await coming == b"two"
        async with asyncio.timeout(10.0):
            await poller.pause()


async def test_one_that_says_it_held_and_did_not_is_not_asked_without_end() -> None:
    fake = Holding()
    fake.holds = False
    app = web.Application()
    app.router.add_get("/v1/test", fake.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        poller = Poller(session, str(server.make_url("/v1/test")), 3600.0, rng=random.Random(1), held=True)
        assert [await poller.fetch(DOCUMENT) for _ in range(2)] == [b"one", None]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await poller.pause()
