from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.clock import SystemClock
from controller.simulation import vllm_http
from controller.simulation.vllm_http import Exchange, Handler, HttpServer

_HEAD_BEGINS = b"GET / HTTP/1.1\r\nA: "
ONE_BYTE_TOO_MUCH = _HEAD_BEGINS.ljust(vllm_http.MAX_HEAD_BYTES + 1, b"a")
"""Nothing comes after what makes the server close: bytes that it left unread would reset the connection."""


def echo(exchange: Exchange) -> None:
    exchange.respond(200, f"{exchange.method} {exchange.path}?{exchange.query} ".encode() + exchange.body)


@asynccontextmanager
async def served(handler: Handler = echo) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server with this handler."""
    http = HttpServer(handler, SystemClock())
    server = await asyncio.get_running_loop().create_server(http.connection, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    try:
        yield reader, writer
    finally:
        writer.close()
        http.abort()
        server.close()


async def answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next((int(line.split(": ")[1]) for line in head.split("\r\n") if line.startswith("content-length")), 0)
    return head, await reader.readexactly(length)


async def test_an_answer_has_the_heads_lines_of_a_real_server_and_the_mark() -> None:
    async with served() as (reader, writer):
        writer.write(b"GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        head, body = await answer(reader)
    names = [line.split(":")[0] for line in head.rstrip().split("\r\n")]
    assert names == [
        "HTTP/1.1 200 OK",
        *("date", "server", "content-length", "content-type", "vary", "x-wattroute-emulated"),
    ]
    assert "server: uvicorn\r\n" in head
    assert body == b"GET /a b?x=1 "


async def test_split_and_pipelined_requests_are_answered_in_order() -> None:
    waiting: list[Exchange] = []
    async with served(waiting.append) as (reader, writer):
        for part in (
            b"POST /1 HTTP/1.1\r\nHo",
            b"st: h\r\nContent-Length: 4\r\n\r\nab",
            b"cdGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        ):
            writer.write(part)
            await asyncio.sleep(0.01)
        assert [(exchange.path, exchange.body) for exchange in waiting] == [("/1", b"abcd")]
        waiting[0].respond(200, b"one")
        assert (await answer(reader))[1] == b"one"
        assert waiting[1].path == "/2"
        waiting[1].respond(200, b"two")
        assert (await answer(reader))[1] == b"two"


async def test_connection_close_is_obeyed_and_told() -> None:
    async with served() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        head, _ = await answer(reader)
        assert "connection: close\r\n" in head
        assert await reader.read() == b""


async def test_a_head_request_gets_no_body() -> None:
    async with served() as (reader, writer):
        writer.write(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\n")


async def test_expect_100_continue_is_answered_before_the_body() -> None:
    async with served() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await answer(reader))[1] == b"POST /? ok"


async def test_a_stream_is_chunked() -> None:
    def stream(exchange: Exchange) -> None:
        exchange.begin_stream("text/event-stream; charset=utf-8")
        exchange.write(b"2\r\nab\r\n")
        exchange.end(b"0\r\n\r\n")
        exchange.write(b"ignored")

    async with served(stream) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.endswith(b"connection: close\r\ntransfer-encoding: chunked")
    assert b"content-type: text/event-stream; charset=utf-8\r\n" in head
    assert body == b"2\r\nab\r\n0\r\n\r\n"


@pytest.mark.parametrize("half_close", [True, False])
async def test_a_client_that_leaves_or_half_closes_is_reported_once(half_close: bool) -> None:
    gone = asyncio.Event()
    taken: list[Exchange] = []

    def take(exchange: Exchange) -> None:
        taken.append(exchange)
        exchange.on_disconnect = gone.set

    async with served(take) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await writer.drain()
        while not taken:
            await asyncio.sleep(0.001)
        if half_close:
            writer.write_eof()
        else:
            writer.close()
        await gone.wait()
        if half_close:
            assert await reader.read() == b""
        taken[0].respond(200, b"too late")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (ONE_BYTE_TOO_MUCH, b"HTTP/1.1 431 Request Header Fields Too Large"),
    ],
)
async def test_malformed_requests_are_refused_and_the_connection_closed(raw: bytes, status: bytes) -> None:
    async with served() as (reader, writer):
        writer.write(raw)
        assert (await reader.read()).startswith(status)


async def test_too_large_a_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_http, "MAX_BODY_BYTES", 10)
    async with served() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n" + b"a" * 100)
        assert (await reader.read()).startswith(b"HTTP/1.1 413")


async def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_http, "KEEP_ALIVE_S", 0.02)
    async with served() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await answer(reader)
        assert await reader.read() == b""


async def test_a_flood_of_pipelined_requests_is_cut_off() -> None:
    taken: list[Exchange] = []
    async with served(taken.append) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 50)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert len(taken) == 1
