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
    chat,
    delta,
    raw,
)
from tests.fakes.running import RawClient, running, until


async def test_a_stream_arrives_byte_for_byte() -> None:
    sent = b'7;x="y"\r\ndata: a\r\n2\r\n\n\n\r\n10\r\ndata: [DONE]  \n\n\r\n0\r\nX-Trailer: 1\r\n\r\n'

    async def script(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        for at in range(len(sent)):
            await wire.send(sent[at : at + 1])
            await asyncio.sleep(0)

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(STREAM)
        head = await client.head()
        assert head.get("transfer-encoding") == "chunked"
        assert head.get("content-type") == "text/event-stream; charset=utf-8"
        assert await client.reader.readexactly(len(sent)) == sent
        await client.send(GET)
        assert (await client.head()).status == 200
        assert engine.connections == 1


async def test_a_close_delimited_answer() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nall of ")
        await asyncio.sleep(0.01)
        await wire.send(b"it")
        wire.close()

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        reply = await client.reply()
        assert (reply.get("connection"), reply.body) == ("close", b"all of it")


async def test_an_empty_close_delimited_answer() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        wire.close()

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        assert (await client.reply()).status == 200


async def test_chunks_are_taken_apart_for_an_old_client() -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        length = len(STREAM)
        await client.send(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % length + STREAM)
        reply = await client.reply()
        assert reply.get("transfer-encoding") is None
        events = reply.body.split(b"\n\n")
        assert events[-2:] == [b"data: [DONE]", b""]
        assert json.loads(events[0].removeprefix(b"data: ")) == delta("w0 ")


async def test_an_answer_longer_than_it_says_does_not_leak_into_the_next_one() -> None:
    script = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        for _ in range(2):
            await client.send(GET)
            assert (await client.reply()).body == b"ok"
        assert engine.connections == 2


async def test_garbage_within_a_stream_is_not_passed_on() -> None:
    async def garbage(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.event(delta("a"))
        await asyncio.sleep(0.05)
        await wire.send(b"0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")

    async with FakeEngine(garbage) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(STREAM)
        await client.head()
        assert b"evil" not in await client.rest()


async def test_slow_chunks_are_no_silence() -> None:
    async def slow(request: Request, wire: Wire) -> None:
        await chat(request, wire, tokens=8, pause_s=0.1)

    timeouts = {"inter_chunk_s": 0.4, "first_byte_s": 0.4}
    async with (
        FakeEngine(slow) as engine,
        running(engine, timeouts=timeouts) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(STREAM)
        assert b"[DONE]" in (await client.reply()).body


def failed_event(code: int) -> bytes:
    event = json.dumps({"error": {"message": "EngineCore encountered an issue", "param": None, "code": code}}).encode()
    return b"data: " + event + b"\n\n"


MESSAGES_FAILED = b'event: error\ndata: {"type":"error","error":{"type":"internal_error","message":"no"}}\n\n'


def fail_in_queue(event: bytes):
    async def script(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.chunk(event)
        await wire.chunk(b"data: [DONE]\n\n")
        await wire.end()

    return script


@pytest.mark.parametrize("event", [failed_event(500), MESSAGES_FAILED], ids=["OpenAI", "Anthropic"])
async def test_a_stream_that_failed_in_the_engines_queue_is_tried_elsewhere(event: bytes) -> None:
    async with FakeEngine(fail_in_queue(event)) as bad, FakeEngine() as good, running(bad, good, apart=True) as router:
        for _ in range(4):
            async with RawClient.to(router.port) as client:
                await client.post(STREAM)
                reply = await client.reply()
                assert reply.status == 200
                assert b"error" not in reply.body
        assert bad.requests
        assert router.in_flight() == 0


@pytest.mark.parametrize(("code", "outcome"), [(500, "engine_error"), (400, "ok")])
async def test_a_failed_stream_without_another_engine_is_passed_on_as_it_is(code: int, outcome: str) -> None:
    async with (
        FakeEngine(fail_in_queue(failed_event(code))) as bad,
        running(bad) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(STREAM)
        reply = await client.reply()
        assert reply.status == 200
        assert failed_event(code) in reply.body
        assert reply.body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        [traffic] = router.dispatcher.state(0.0).traffic
        assert traffic.outcomes == {outcome: 1}


# Streams that an engine opens before it works on them.

CREATED = b'event: response.created\ndata: {"type":"response.created"}\n\n'
IN_PROGRESS = b'event: response.in_progress\ndata: {"type":"response.in_progress"}\n\n'
MESSAGE_FAILED = b'event: error\ndata: {"type":"error","error":{"type":"internal_error","message":"no"}}\n\n'


def open_and(last: bytes, *, opening: tuple[bytes, ...] = (CREATED, IN_PROGRESS), pause_s: float = 0.0):
    async def script(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        for event in opening:
            await wire.chunk(event)
            await asyncio.sleep(pause_s)
        if not last:
            wire.reset()
            return
        await wire.chunk(last)
        await wire.end()

    return script


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
@pytest.mark.parametrize("last", [b"", failed_event(500), MESSAGE_FAILED])
async def test_a_stream_that_was_only_opened_is_tried_elsewhere(last: bytes, pause_s: float) -> None:
    async with (
        FakeEngine(open_and(last, pause_s=pause_s)) as bad,
        FakeEngine() as good,
        running(bad, good, apart=True) as router,
    ):
        for _ in range(2):
            async with RawClient.to(router.port) as client:
                await client.post(STREAM)
                reply = await client.reply()
                assert b"response.created" not in reply.body
                assert b"[DONE]" in reply.body
        assert bad.requests


async def test_what_was_held_back_of_an_opened_stream_arrives_with_its_first_event() -> None:
    delta_event = b'event: response.output_text.delta\ndata: {"delta":"x"}\n\n'
    async with (
        FakeEngine(open_and(delta_event, pause_s=0.02)) as engine,
        running(engine) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(STREAM)
        body = (await client.reply()).body
        assert body.index(CREATED) < body.index(IN_PROGRESS) < body.index(delta_event)
        assert body.endswith(b"0\r\n\r\n")


async def test_a_failure_of_a_message_without_another_engine_is_passed_on() -> None:
    script = open_and(MESSAGE_FAILED, opening=())
    async with FakeEngine(script) as bad, running(bad) as router, RawClient.to(router.port) as client:
        await client.post(STREAM)
        assert MESSAGE_FAILED in (await client.reply()).body


@pytest.mark.parametrize("framing", ["Content-Length: %d", "X-Nothing: %d"])
async def test_a_failed_event_outside_of_chunks_is_no_reason_to_try_again(framing: str) -> None:
    body = b"5d\r\n" + failed_event(500)

    async def script(request: Request, wire: Wire) -> None:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + framing % len(body) + "\r\n\r\n"
        await wire.send(head.encode() + body)
        wire.writer.close()

    async with FakeEngine(script) as engine, FakeEngine(script) as other, running(engine, other) as router:
        async with RawClient.to(router.port) as client:
            await client.post(STREAM)
            assert (await client.head()).status == 200
            assert await client.reader.readexactly(len(body)) == body
        await until(lambda: router.in_flight() == 0)
        assert len(engine.requests) + len(other.requests) == 1
