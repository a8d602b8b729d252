import asyncio
import json

import pytest

from router.proxy.reception import Reception
from tests.fakes.fake_engine import FakeEngine, Request, Wire
from tests.fakes.running import RawClient, running, until

GET = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"


async def echo(request: Request, wire: Wire) -> None:
    """Answers with what it got."""
    seen = {"target": request.target, "fields": request.fields, "body": request.body.decode()}
    await wire.answer(200, json.dumps(seen).encode())


async def test_many_pipelined_requests_that_the_router_answers_itself() -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(GET.replace(b"/version", b"/health") * 2000)
        for _ in range(2000):
            assert (await client.reply()).status == 200
        assert engine.requests == []


async def test_a_head_that_arrives_byte_by_byte() -> None:
    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        for at in range(len(GET)):
            await client.send(GET[at : at + 1])
            await asyncio.sleep(0)
        assert (await client.reply()).status == 200


async def test_a_body_that_arrives_in_pieces_after_the_head() -> None:
    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        for piece in (b"0123", b"45", b"6789" + GET):
            await asyncio.sleep(0.01)
            await client.send(piece)
        assert json.loads((await client.reply()).body)["body"] == "0123456789"
        assert json.loads((await client.reply()).body)["target"] == "/version"


async def test_a_chunked_body_reaches_the_engine_with_a_length() -> None:
    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4")
        await asyncio.sleep(0.01)
        await client.send(b";q=1\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n" + GET)
        assert json.loads((await client.reply()).body)["body"] == "abcdefg"
        assert engine.requests[0].get("content-length") == "7"
        assert engine.requests[0].get("transfer-encoding") is None
        assert (await client.reply()).status == 200


async def test_empty_lines_before_a_request_are_skipped() -> None:
    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"\r\n\r\n" + GET)
        assert (await client.reply()).status == 200


async def test_many_empty_lines_are_skipped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    take_head = Reception._take_head

    def counted(self: Reception, scan_from: int) -> bool:
        nonlocal looks
        looks += 1
        return take_head(self, scan_from)

    monkeypatch.setattr(Reception, "_take_head", counted)
    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"\r\n" * 100_000 + GET)
        assert (await client.reply()).status == 200
    assert looks < 1000  # not one for each line: each look copies what is left


async def test_expect_100_continue() -> None:
    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.head()).status == 100
        await client.send(b"ok")
        reply = await client.reply()
        assert json.loads(reply.body)["body"] == "ok"
        assert engine.requests[0].get("expect") is None


async def test_a_body_too_large_is_refused_before_it_is_sent() -> None:
    limits = {"max_body_bytes": 1024}
    async with FakeEngine() as engine, running(engine, limits=limits) as router, RawClient.to(router.port) as client:
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n")
        reply = await client.reply()
        assert reply.status == 413
        assert json.loads(reply.body)["error"]["code"] == 413
        assert reply.get("x-wattroute-reason") == "body_too_large"
        assert await client.rest() == b""
        assert engine.requests == []
        assert router.refusals() == {"body_too_large": 1}


async def test_a_chunked_body_too_large_is_refused() -> None:
    limits = {"max_body_bytes": 1024}
    async with FakeEngine() as engine, running(engine, limits=limits) as router, RawClient.to(router.port) as client:
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.send(b"200\r\n" + b"x" * 512 + b"\r\n" + b"201\r\n" + b"x" * 513 + b"\r\n")
        assert (await client.reply()).status == 413
        assert engine.requests == []


async def test_a_malformed_chunk_is_refused() -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        reply = await client.reply()
        assert (reply.status, reply.get("connection")) == (400, "close")
        assert engine.requests == []


@pytest.mark.parametrize(
    "start", [b"GET /" + b"a" * 2000, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 2000 + b"\r\n\r\n"]
)
async def test_a_head_too_large_is_refused(start: bytes) -> None:
    limits = {"max_head_bytes": 1024}
    async with FakeEngine() as engine, running(engine, limits=limits) as router, RawClient.to(router.port) as client:
        await client.send(start)
        assert (await client.reply()).status == 431
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"GET /x HTTP/1.1\nHost: a\n\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ],
)
async def test_ambiguous_requests_are_refused_and_what_follows_is_not_read(raw: bytes) -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(raw + GET)
        reply = await client.reply()
        assert (reply.status, reply.get("connection")) == (400, "close")
        assert json.loads(reply.body)["error"]["type"] == "BadRequestError"
        assert await client.rest() == b""
        assert engine.requests == []


async def test_bodies_beyond_what_may_be_held_are_refused_before_they_are_read() -> None:
    limits = {"max_held_body_bytes": 1 << 20}
    async with (
        FakeEngine() as engine,
        running(engine, limits=limits) as router,
        RawClient.to(router.port) as first,
        RawClient.to(router.port) as second,
    ):
        length = 700_000
        begun = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length
        await first.send(begun + b"{")
        await until(lambda: router.gateway.held_body_bytes == length)
        await second.send(begun + b"{")
        reply = await second.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (503, "bodies_too_large")
        assert reply.get("retry-after") == "1"
        await first.send(b" " * (length - 2) + b"}")
        assert (await first.reply()).status == 200
        assert router.gateway.held_body_bytes == 0


async def test_a_client_that_leaves_within_its_body_frees_what_it_held() -> None:
    async with FakeEngine() as engine, running(engine) as router:
        async with RawClient.to(router.port) as client:
            await client.send(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await until(lambda: router.gateway.held_body_bytes == 5)
        await until(lambda: router.gateway.held_body_bytes == 0)


async def test_a_refusal_of_a_head_request_has_no_body() -> None:
    limits = {"max_body_bytes": 1024}
    async with FakeEngine() as engine, running(engine, limits=limits) as router, RawClient.to(router.port) as client:
        await client.send(b"HEAD /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n")
        assert (await client.head()).status == 413
        assert await client.reader.read() == b""
