"""Requests and answers over TLS, Unix sockets and IPv6 on both sides: all that holds over plain TCP holds here."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from pathlib import Path

import pytest

from router.proxy import client_side
from router.settings import RouterFile
from tests.fakes.certificates import Authority
from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave, chat
from tests.fakes.running import RawClient, until
from tests.fakes.ways import WAYS, Served, served

PLAIN = b'{"model":"qwen","messages":[]}'
STREAM = b'{"model":"qwen","messages":[],"stream":true}'
CHAT = "/v1/chat/completions"

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])
any_way = pytest.mark.parametrize("way", WAYS)


def on_chat(script: object) -> object:
    """Behave, but answer chat requests by `script`."""

    async def answering(request: Request, wire: Wire) -> None:
        await (script if request.target == CHAT else behave)(request, wire)  # type: ignore[operator]

    return answering


def works(found: Served) -> bool:
    """Whether the engine has begun to answer a chat request."""
    return CHAT in [request.target for request in found.engine.requests]


def busy(found: Served) -> int:
    """Requests in flight at the engine, as the router counts them."""
    return sum(view.in_flight for view in found.worker.report().instances)


@any_way
async def test_requests_and_streams(way: str, tmp_path: Path) -> None:
    async with served(way, tmp_path) as found, found.client() as client:
        for _ in range(3):
            await client.post(PLAIN)
            assert json.loads((await client.reply()).body)["object"] == "chat.completion"
        await client.post(STREAM)
        assert (await client.reply()).body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        await until(lambda: busy(found) == 0)


@any_way
async def test_probes_and_models(way: str, tmp_path: Path) -> None:
    async with served(way, tmp_path, health={"probe_interval_s": 0.02}) as found, found.client() as client:
        await until(lambda: "/metrics" in [request.target for request in found.engine.requests])
        assert [view.state for view in found.worker.report().instances] == ["up"]
        await client.send(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [model["id"] for model in json.loads((await client.reply()).body)["data"]] == ["qwen"]


@any_way
async def test_large_bodies_both_ways(way: str, tmp_path: Path) -> None:
    body = bytes(range(256)) * (4 << 12)

    async def echo(request: Request, wire: Wire) -> None:
        await wire.answer(200, request.body)

    async with served(way, tmp_path, on_chat(echo)) as found, found.client(limit=1 << 20) as client:
        for _ in range(2):
            await client.post(body)
            assert (await client.reply()).body == body


@any_way
@pytest.mark.parametrize("body", [PLAIN, STREAM])
@pytest.mark.parametrize("orderly", [True, False])
async def test_a_client_that_leaves_frees_the_engine(way: str, tmp_path: Path, body: bytes, orderly: bool) -> None:
    ended = asyncio.Event()

    async def endless(request: Request, wire: Wire) -> None:
        if request.json().get("stream"):
            await wire.begin_stream()
            await wire.event({"n": 1})
        await wire.wait_gone()
        ended.set()

    async with served(way, tmp_path, on_chat(endless)) as found:
        async with found.client() as client:
            await client.post(body)
            await until(lambda: works(found))
            if body is STREAM:
                await client.reader.readuntil(b'{"n": 1}')
            if orderly:
                client.writer.close()
                async with asyncio.timeout(5):
                    await ended.wait()
        async with asyncio.timeout(5):
            await ended.wait()
        await until(lambda: busy(found) == 0)


@any_way
async def test_a_reader_that_stops_halts_the_engine(way: str, tmp_path: Path) -> None:
    sent = 0

    async def flood(request: Request, wire: Wire) -> None:
        nonlocal sent
        await wire.begin_stream()
        for _ in range(4000):
            await wire.chunk(b"x" * 16_384)
            sent += 16_384
        await wire.end()

    async with served(way, tmp_path, on_chat(flood)) as found, found.client(limit=1 << 14) as client:
        await client.post(STREAM)
        await client.head()
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert 0 < sent < 32 << 20
        body = b""
        while not body.endswith(b"\r\n0\r\n\r\n"):
            body = body[-16:] + await client.reader.read(1 << 16)
        assert sent == 4000 * 16_384


@any_way
async def test_a_refusal_is_read_by_a_client_that_is_still_sending(way: str, tmp_path: Path) -> None:
    async with served(way, tmp_path, limits={"max_body_bytes": 1024}) as found, found.client() as client:
        await client.send(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
        client.writer.write(b"x" * 1_000_000)
        reply = await client.reply()
        assert reply.status == 413
        assert reply.get("connection") == "close"
        assert await client.rest() == b""


@any_way
async def test_a_refused_client_sees_the_end_at_once(way: str, tmp_path: Path) -> None:
    async with served(way, tmp_path) as found, found.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
        started_s = asyncio.get_running_loop().time()
        assert (await client.reply()).status == 400
        assert await client.reader.read() == b""
        assert asyncio.get_running_loop().time() - started_s < 1.5, "lingering must not delay the end"


@any_way
async def test_an_answer_that_ends_with_the_connection(way: str, tmp_path: Path) -> None:
    async def until_close(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n" + b"y" * 300_000)
        wire.close()

    async with served(way, tmp_path, on_chat(until_close)) as found, found.client() as client:
        await client.post(PLAIN)
        assert (await client.reply()).body == b"y" * 300_000


@any_way
async def test_an_engine_that_vanishes_within_such_an_answer_is_told_from_its_end(way: str, tmp_path: Path) -> None:
    async def vanish(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nabc")
        await asyncio.sleep(0.05)
        if way == "tls":
            # The end of the connection without TLS's own: anybody on the way can fake that, RFC 8446 §6.1.
            wire.is_over = True
            wire.writer.transport.abort()
        else:
            wire.reset()

    if way == "unix":
        pytest.skip("a Unix socket knows no reset: its end is always orderly")
    async with served(way, tmp_path, on_chat(vanish)) as found, found.client() as client:
        await client.post(PLAIN)
        assert (await client.head()).status == 200
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await client.reader.read()


@any_way
async def test_an_engine_that_dies_within_a_stream(way: str, tmp_path: Path) -> None:
    async def die(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.event({"n": 1})
        await asyncio.sleep(0.05)
        wire.reset() if way != "unix" else wire.writer.transport.abort()

    async with served(way, tmp_path, on_chat(die)) as found, found.client() as client:
        await client.post(STREAM)
        rest = await client.rest()
        assert b'{"n": 1}' in rest
        assert b'"error"' in rest
        assert not rest.endswith(b"0\r\n\r\n")


@any_way
async def test_an_idle_connection_that_the_engine_closed_costs_nothing(way: str, tmp_path: Path) -> None:
    async with served(way, tmp_path) as found, found.client() as client:
        found.engine.is_closing_idle = True
        for _ in range(5):
            await client.post(PLAIN)
            assert (await client.reply()).status == 200


@any_way
async def test_stopping_lets_a_stream_end_and_is_not_held_up_by_the_idle(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_side, "LINGER_S", 0.2)

    async def slow(request: Request, wire: Wire) -> None:
        await chat(request, wire, tokens=10, pause_s=0.02)

    async with (
        served(way, tmp_path, on_chat(slow), timeouts={"drain_s": 30.0}) as found,
        found.client() as client,
        found.client() as idle,
    ):
        await idle.post(PLAIN)
        await idle.reply()
        # It neither reads nor answers the end that it is told, as the pool of many an HTTP client.
        idle.writer.transport.pause_reading()
        await client.post(STREAM)
        await client.head()
        stopping = asyncio.ensure_future(found.worker.stop())
        assert (await client.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        client.writer.close()
        async with asyncio.timeout(10):
            await stopping


@any_way
async def test_connections_are_kept_and_closed_when_asked(way: str, tmp_path: Path) -> None:
    async with served(way, tmp_path, timeouts={"keep_alive_s": 0.2}) as found:
        async with found.client() as client:
            await client.post(PLAIN, "Connection: close")
            assert (await client.reply()).get("connection") == "close"
            assert await client.reader.read() == b""
        async with found.client() as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 200
            assert await client.reader.read() == b"", "closed when it has been idle for long enough"
        await until(lambda: not found.worker.gateway.clients)
        assert found.engine.connections < 4, "the engine's are kept as well"


async def test_a_client_over_tls_that_is_cut_without_a_word_frees_the_engine(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def endless(request: Request, wire: Wire) -> None:
        await wire.wait_gone()
        ended.set()

    async with served("tls", tmp_path, on_chat(endless)) as found, found.client() as client:
        await client.post(PLAIN)
        await until(lambda: works(found))
        sock = client.writer.get_extra_info("socket")
        raw = socket.socket(fileno=socket.dup(sock.fileno()))
        raw.shutdown(socket.SHUT_WR)
        raw.close()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_a_slow_reader_over_tls_gets_all_of_an_answer_that_closes(tmp_path: Path) -> None:
    body = bytes(range(256)) * (4 << 10)

    async def large(request: Request, wire: Wire) -> None:
        await wire.answer(200, body)

    async with served("tls", tmp_path, on_chat(large)) as found, found.client(limit=1 << 12) as client:
        await client.post(PLAIN, "Connection: close")
        head = await client.head()
        got = b""
        while len(got) < int(head.get("content-length") or 0):
            got += await client.reader.read(1 << 15)
            await asyncio.sleep(0.005)
        assert got == body


async def test_a_reader_over_tls_that_stopped_is_cut_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_side, "LINGER_S", 0.05)
    body = bytes(range(256)) * (64 << 10)

    async def large(request: Request, wire: Wire) -> None:
        await wire.answer(200, body)

    async with (
        served("tls", tmp_path, on_chat(large), timeouts={"inter_chunk_s": 0.3}) as found,
        found.client(limit=1 << 12) as client,
    ):
        await client.post(PLAIN, "Connection: close")
        await client.head()
        await until(lambda: not found.worker.gateway.clients)
        assert await client.rest() != body


async def test_a_changed_configuration_brings_in_engines_behind_another_authority(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    other = Authority(tmp_path / "new")
    async with (
        served("tls", tmp_path) as found,
        FakeEngine(tls=other.issue("engine").server()) as newer,
        found.client() as client,
    ):
        await client.post(PLAIN)
        assert (await client.reply()).status == 200
        pool = {"name": "bf16", "precision": "bf16", "instances": [newer.url], "tls": {"ca_file": str(other.file)}}
        await found.worker.reload(RouterFile.model_validate({"pools": [pool]}))
        await client.post(PLAIN)
        assert (await client.reply()).status == 200
        assert CHAT in [request.target for request in newer.requests]


async def test_connections_and_handshakes_are_counted(tmp_path: Path) -> None:
    async with served("tls", tmp_path) as found:
        async with RawClient.to(found.worker.port) as plain:
            await plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await plain.rest()
        async with found.client() as client:
            await client.post(PLAIN)
            await client.reply()
        counters = found.worker.report().counters
        assert counters["tls_handshakes_failed"] == 1
        assert counters["connections"] == 1
        assert found.worker.report().gauges["tls_certificate_expires_at_seconds"] > 0
