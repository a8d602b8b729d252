import asyncio
import json

import pytest

from tests.fakes.fake_engine import (
    GET,
    PLAIN,
    STREAM,
    FakeEngine,
    Request,
    Wire,
    completion,
    delta,
)
from tests.fakes.running import RawClient, running, until


async def test_the_client_is_told_how_it_was_served() -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        reply = await client.reply()
        assert json.loads(reply.body) == completion("w0 w1 w2")
        assert reply.get("x-wattroute-pool") == "bf16"
        assert reply.get("x-wattroute-precision") == "bf16"
        assert reply.get("x-wattroute-degraded") == "false"
        assert reply.get("x-wattroute-allocation") == "static"
        assert float(reply.get("x-wattroute-overhead-ms") or "-1") >= 0


async def test_bytes_that_come_later_than_the_answer_spoil_the_connection_only() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.answer(200, b"ok")
        await asyncio.sleep(0.02)
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(GET)
        assert (await client.reply()).body == b"ok"
        await asyncio.sleep(0.1)
        await client.send(GET)
        assert (await client.reply()).body == b"ok"
        assert engine.connections == 2


# Failing after the first byte.


async def test_a_stream_that_falls_silent_ends_with_an_error_event() -> None:
    async def silent(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.event(delta("a"))
        await wire.wait_gone()

    timeouts = {"inter_chunk_s": 0.1}
    async with FakeEngine(silent) as one, FakeEngine(silent) as two, running(one, two, timeouts=timeouts) as router:
        async with RawClient.to(router.port) as client:
            await client.post(STREAM)
            await client.head()
            size = int(await client.reader.readuntil(b"\r\n"), 16)
            assert (await client.reader.readexactly(size + 2)).startswith(b"data: ")
            size = int(await client.reader.readuntil(b"\r\n"), 16)
            event = await client.reader.readexactly(size)
            assert event.startswith(b"data: {")
            assert event.endswith(b"}\n\n")
            assert json.loads(event.removeprefix(b"data: "))["error"]["code"] == 500
            assert await client.rest() == b"\r\n"
        assert len(one.requests) + len(two.requests) == 1
        assert router.in_flight() == 0


async def test_a_stream_that_is_reset_ends_with_an_error_event_and_no_end() -> None:
    async def die(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.event(delta("a"))
        await asyncio.sleep(0.05)
        wire.reset()

    async with FakeEngine(die) as one, FakeEngine(die) as two, running(one, two) as router:
        async with RawClient.to(router.port) as client:
            await client.post(STREAM)
            await client.head()
            body = await client.rest()
            assert b'data: {"error":' in body
            assert b"[DONE]" not in body
            assert not body.endswith(b"0\r\n\r\n")
        assert len(one.requests) + len(two.requests) == 1


@pytest.mark.parametrize("partial", [b"40\r\ndata: {", b"4", b"7\r\ndata: a"])
async def test_within_a_chunk_nothing_can_be_said(partial: bytes) -> None:
    async def stall(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.event("a")
        await wire.send(partial)
        await wire.wait_gone()

    timeouts = {"inter_chunk_s": 0.1}
    async with (
        FakeEngine(stall) as engine,
        running(engine, timeouts=timeouts) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(STREAM)
        await client.head()
        assert await client.rest() == b"9\r\ndata: a\n\n\r\n" + partial


async def test_an_event_cut_in_two_is_closed_before_the_error() -> None:
    async def stall(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.chunk(b'data: {"half":')
        await wire.wait_gone()

    timeouts = {"inter_chunk_s": 0.1}
    async with (
        FakeEngine(stall) as engine,
        running(engine, timeouts=timeouts) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(STREAM)
        await client.head()
        assert b'data: {"half":\r\n' in (body := await client.rest())
        assert b'\r\n\n\ndata: {"error":' in body


@pytest.mark.parametrize("framing", [b"content-length: 100", b"transfer-encoding: chunked"])
async def test_a_plain_answer_that_breaks_off_does_not_look_complete(framing: bytes) -> None:
    async def die(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n5\r\n{....\r\n")
        await asyncio.sleep(0.05)
        wire.reset()

    async with FakeEngine(die) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        await client.head()
        assert await client.rest() == b"5\r\n{....\r\n"
        assert len(engine.requests) == 1
        assert router.in_flight() == 0


async def test_a_close_delimited_answer_that_breaks_off_is_reset() -> None:
    async def die(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await wire.wait_gone()

    timeouts = {"inter_chunk_s": 0.1}
    async with (
        FakeEngine(die) as engine,
        running(engine, timeouts=timeouts) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(PLAIN)
        await client.head()
        assert await client.reader.readexactly(4) == b"half"
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)


# The end of a connection.


async def test_a_client_that_still_sends_gets_its_last_answer_whole() -> None:
    answer = b"x" * 200_000

    async def script(request: Request, wire: Wire) -> None:
        await wire.answer(200, answer)

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN, "Connection: close")
        await client.send(b"POST /more HTTP/1.1\r\n" * 10_000)
        reply = await client.reply()
        assert reply.body == answer
        await until(lambda: len(engine.requests) == 1)
