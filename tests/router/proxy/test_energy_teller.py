import asyncio
import json
import re

import pytest

from router import clock
from router.contract import InstanceId
from router.contract_rates import EnergyRate, EnergyRates
from router.energy import EnergyBook
from router.openai import Usage
from router.proxy.energy_teller import EnergyTeller
from tests.fakes.fake_engine import PLAIN, STREAM, FakeEngine, Request, Wire, chat, completion, raw, reset, status
from tests.fakes.running import RawClient, running

ASKS = "X-Wattroute-Energy: 1"
USAGE = b'{"model":"qwen","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
TOLD = re.compile(rb": x-wattroute-energy: ([0-9.]+|unknown)(?:;unit=J;source=([a-z]+);idle=([a-z]+))?\n\n")


def rates(quality="emulated"):
    now_s = clock.wall_s()
    row = EnergyRate(InstanceId("bf16-0"), 0.5, 2.0, quality)
    return EnergyRates(now_s, now_s + 30, "shared", (row, EnergyRate(InstanceId("bf16-1"), 0.5, 2.0, quality)))


def know(router):
    router.dispatcher.apply_rates(rates(), clock.wall_s())


async def streamed(script, body=USAGE, *fields, known=True):
    """A stream as it came, and the same without its comment."""
    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        if known:
            know(router)
        await client.post(body, *(fields or (ASKS,)))
        head = await client.head()
        sent = await asyncio.wait_for(client.reader.readuntil(b"0\r\n\r\n"), 5)
        assert router.in_flight() == 0
    return head, sent


def without_comment(sent: bytes) -> bytes:
    return re.sub(rb"[0-9a-f]+\r\n: x-wattroute-energy[^\n]*\n\n\r\n", b"", sent)


def engine_bytes(events, *, joined=False):
    chunks = [f"data: {event}\n\n".encode() for event in events]
    chunks = [b"".join(chunks)] if joined else chunks
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def sends(*pieces: bytes):
    async def script(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        for piece in pieces:
            await wire.send(piece)
            await asyncio.sleep(0.02)

    return script


EVENTS = ['{"a":1}', '{"b":2}', '{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}', "[DONE]"]


async def test_a_plain_answer_tells_its_energy_in_the_head():
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        know(router)
        await client.post(PLAIN, ASKS)
        reply = await client.reply()
    # 7 prompt tokens at 0.5 J, 3 output tokens at 2 J.
    assert reply.get("x-wattroute-energy") == "9.500;unit=J;source=emulated;idle=shared"
    assert json.loads(reply.body) == completion("w0 w1 w2")


async def test_nobody_is_told_who_did_not_ask():
    for body in (PLAIN, STREAM):
        async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
            know(router)
            await client.post(body)
            assert b"x-wattroute-energy" not in (await client.reply()).head


async def test_an_operator_may_have_nobody_told():
    async with (
        FakeEngine() as engine,
        running(engine, tell_energy=False) as router,
        RawClient.to(router.port) as client,
    ):
        know(router)
        await client.post(PLAIN, ASKS)
        assert (await client.reply()).get("x-wattroute-energy") is None


async def test_what_is_not_known_is_said_to_be_unknown():
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN, ASKS)
        assert (await client.reply()).get("x-wattroute-energy") == "unknown"
        assert router.dispatcher.energy.unknown == 1


async def test_a_plain_answer_in_pieces_is_gathered_and_told():
    body = json.dumps(completion("x" * 5000)).encode()

    async def script(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 1000):
            await wire.send(body[at : at + 1000])
            await asyncio.sleep(0.01)

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        know(router)
        for _ in range(2):  # the engine's connection and the client's go on
            await client.post(PLAIN, ASKS)
            reply = await client.reply()
            assert (reply.get("x-wattroute-energy"), reply.body) == ("9.500;unit=J;source=emulated;idle=shared", body)
        assert engine.connections == 1


async def test_a_plain_answer_that_breaks_off_while_it_is_gathered_is_tried_elsewhere():
    async def broken(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        await asyncio.sleep(0.02)
        wire.reset()

    async with FakeEngine(broken) as one, FakeEngine() as two, running(one, two) as router:
        know(router)
        async with RawClient.to(router.port) as client:
            for _ in range(2):
                await client.post(PLAIN, ASKS)
                reply = await client.reply()
                assert (reply.status, json.loads(reply.body)) == (200, completion("w0 w1 w2"))
        assert len(one.requests) >= 1


async def test_an_answer_too_large_to_be_gathered_goes_on_and_tells_nothing():
    body = b"x" * ((1 << 20) + 1)
    async with FakeEngine(status(200, body)) as engine, running(engine) as router:
        know(router)
        async with RawClient.to(router.port, limit=1 << 22) as client:
            await client.post(PLAIN, ASKS)
            reply = await client.reply()
            assert (reply.get("x-wattroute-energy"), reply.body == body) == ("unknown", True)


async def test_a_compressed_answer_is_not_looked_into():
    body = b'\x1f\x8b "usage":{"prompt_tokens":7,"completion_tokens":3}'
    script = status(200, body, "content-encoding: gzip")
    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        know(router)
        await client.post(PLAIN, ASKS)
        reply = await client.reply()
        assert (reply.get("x-wattroute-energy"), reply.body) == ("unknown", body)


async def test_a_refusal_of_the_engines_tells_no_energy():
    script = status(400, b'{"error":"bad"}')
    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        know(router)
        await client.post(PLAIN, ASKS)
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-energy")) == (400, None)


async def test_a_stream_tells_its_energy_in_a_comment_before_done():
    _, sent = await streamed(chat)
    (found,) = TOLD.finditer(sent)
    assert found.groups() == (b"9.500", b"emulated", b"shared")
    assert sent[found.end() :].startswith(b"\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


async def test_tokens_that_the_engine_did_not_tell_are_estimated():
    _, sent = await streamed(chat, STREAM)
    (found,) = TOLD.finditer(sent)
    assert found[2] == b"estimated"
    assert float(found[1]) > 0


@pytest.mark.parametrize("joined", [False, True])
async def test_all_bytes_of_the_engines_stay_as_they_are(joined):
    original = engine_bytes(EVENTS, joined=joined)
    _, sent = await streamed(sends(original))
    assert without_comment(sent) == original
    assert len(TOLD.findall(sent)) == 1
    assert b"9.500" in sent


@pytest.mark.parametrize("cut", range(1, len(engine_bytes(EVENTS)), 7))
async def test_wherever_the_stream_is_cut_no_byte_of_it_is_lost(cut):
    original = engine_bytes(EVENTS)
    _, sent = await streamed(sends(original[:cut], original[cut:]))
    assert without_comment(sent) == original
    assert len(TOLD.findall(sent)) == 1


async def test_a_stream_without_done_is_told_before_its_last_chunk():
    original = engine_bytes(EVENTS[:-1])
    _, sent = await streamed(sends(original))
    assert without_comment(sent) == original
    assert TOLD.search(sent)
    assert sent.endswith(b"\n\n\r\n0\r\n\r\n")


async def test_a_comment_never_stands_within_an_event():
    pieces = [b'data: {"a', b'":1}\n\ndata: {}\n', b"data: [DONE]\n\n"]
    original = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    _, sent = await streamed(sends(original))
    assert without_comment(sent) == original
    (found,) = TOLD.finditer(sent)
    assert sent[found.end() :] == b"\r\n0\r\n\r\n"


async def test_a_compressed_stream_is_left_alone():
    original = engine_bytes(["x"])

    async def script(request: Request, wire: Wire) -> None:
        await wire.begin_stream("content-encoding: gzip")
        await wire.send(original)

    head, sent = await streamed(script)
    assert (head.get("x-wattroute-energy"), sent) == ("unknown", original)


async def test_a_stream_with_a_length_says_that_it_is_not_known():
    body = b"data: a\n\n" + b"data: [DONE]\n\n"

    async def script(request: Request, wire: Wire) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body)
        await wire.send(head + body[:5])
        await asyncio.sleep(0.02)
        await wire.send(body[5:])

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        know(router)
        await client.post(STREAM, ASKS)
        reply = await client.reply()
        assert (reply.get("x-wattroute-energy"), reply.body) == ("unknown", body)


async def test_an_old_client_gets_the_comment_in_its_unchunked_stream():
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        know(router)
        length = len(USAGE)
        lines = b"POST /v1/chat/completions HTTP/1.0\r\nX-Wattroute-Energy: 1\r\nContent-Length: %d\r\n\r\n" % length
        await client.send(lines + USAGE)
        whole = await client.reader.read(-1)
    body = whole.partition(b"\r\n\r\n")[2]
    (found,) = TOLD.finditer(body)
    assert found[1] == b"9.500"
    assert body[found.end() :] == b"data: [DONE]\n\n"


async def test_the_instance_that_served_counts_after_a_failover():
    async with FakeEngine(reset) as one, FakeEngine() as two, running(one, two) as router:
        now_s = clock.wall_s()
        row = EnergyRate(InstanceId("bf16-1"), 1.0, 1.0, "direct")
        router.dispatcher.apply_rates(EnergyRates(now_s, now_s + 30, "kept", (row,)), now_s)
        async with RawClient.to(router.port) as client:
            for _ in range(3):
                await client.post(PLAIN, ASKS)
                assert (await client.reply()).get("x-wattroute-energy") == "10.000;unit=J;source=direct;idle=kept"


async def test_a_broken_stream_stays_broken():
    async def script(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.event("{}")
        wire.reset()

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        know(router)
        await client.post(STREAM, ASKS)
        await client.head()
        sent = await client.reader.read(-1)
        assert not sent.endswith(b"0\r\n\r\n")


async def test_malformed_chunks_end_the_answer_as_ever():
    script = raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        know(router)
        await client.post(STREAM, ASKS)
        assert (await client.head()).status == 502


def test_a_comment_is_told_once():
    book = EnergyBook()
    book.apply(rates(), 0.0)
    teller = EnergyTeller(book)
    teller.sent("bf16-0", 0.0)

    def tokens(data):
        return Usage(1, 1), True

    first = teller.weave(b"e\r\ndata: [DONE]\n\n\r\n", tokens, 1.0)
    assert TOLD.search(first)
    assert teller.weave(b"0\r\n\r\n", tokens, 1.0) == b"0\r\n\r\n"
    assert teller.weave_payload(b"data: [DONE]\n\n", tokens, 1.0) == b"data: [DONE]\n\n"
    assert (book.told, book.unknown) == (1, 0)


def test_events_that_end_in_crlf_have_their_place_too():
    book = EnergyBook()
    teller = EnergyTeller(book)
    data = b"d\r\ndata: {}\r\n\r\n\r\n".replace(b"d\r\n", b"c\r\n", 1) + b"10\r\ndata: [DONE]\r\n\r\n\r\n"
    assert TOLD.search(teller.weave(data, lambda _: (Usage(1, 1), True), 1.0))
