"""The admin port's HTTP, against a client that speaks it and against bytes that do not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from router import admin_port
from router.admin_port import AdminPort, Request, Response


async def echo(request: Request) -> Response:
    if request.path == "/fail":
        raise RuntimeError("broken")
    if request.path == "/slow":
        await asyncio.sleep(0.05)
    return Response(f"{request.method} {request.path} {request.body.decode()}".encode(), content_type="text/plain")


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[AdminPort, int]]:
    port = AdminPort(echo)
    sock = socket.create_server(("127.0.0.1", 0))
    await port.start(sock)
    try:
        yield port, sock.getsockname()[1]
    finally:
        await port.close()


async def send(number: int, data: bytes) -> bytes:
    """All that comes back until the port closes or has answered `data`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.write(data)
    try:
        async with asyncio.timeout(10):
            if writer.can_write_eof():
                writer.write_eof()
            return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()


async def test_one_connection_serves_request_after_request() -> None:
    async with serving() as (port, number), aiohttp.ClientSession(f"http://127.0.0.1:{number}") as client:
        for path in ("/a", "/slow", "/b?query=1"):
            async with client.get(path) as answer:
                assert (answer.status, await answer.text()) == (200, f"GET {path.partition('?')[0]} ")
                assert answer.headers["Cache-Control"] == "no-store"
        async with client.post("/c", data=b"body") as answer:
            assert await answer.text() == "POST /c body"
        async with client.head("/d") as answer:
            assert (answer.status, answer.content_length, await answer.read()) == (200, 8, b"")
        assert len(port.connections) == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as (_, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            answers = await reader.read()
        writer.close()
        assert answers.index(b"GET /slow") < answers.index(b"GET /b")
        assert answers.count(b"HTTP/1.1 200 OK") == 2
        assert answers.count(b"connection: close") == 1


async def test_a_chunked_body_is_read() -> None:
    async with serving() as (_, number):
        request = b"POST /c HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        assert (await send(number, request + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")).endswith(b"POST /c abc")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 70_000 + b"\r\n\r\n", 413),
        (b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 70000\r\n\r\n" + b"x" * 70_000, 413),
        (b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 501),
    ],
)
async def test_what_is_no_request_is_refused_and_the_connection_closed(request_: bytes, status: int) -> None:
    async with serving() as (port, number):
        answer = await send(number, request_)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()) or f"\r\nHTTP/1.1 {status} ".encode() in answer
        assert b"connection: close" in answer
        assert not port.connections


async def test_a_handler_that_fails_is_logged_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (_, number), aiohttp.ClientSession(f"http://127.0.0.1:{number}") as client:
        async with client.get("/fail") as answer:
            assert answer.status == 500
            assert "broken" not in await answer.text()
        async with client.get("/a") as answer:
            assert answer.status == 200
    [record] = [record for record in caplog.records if record.message == "admin request failed"]
    assert record.exc_info is not None


async def test_connections_are_bounded_and_idle_ones_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_port, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(admin_port, "IDLE_S", 0.05)
    async with serving() as (port, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        assert await send(number, b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n") == b""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert not port.connections


async def test_closing_ends_what_is_in_progress() -> None:
    async with serving() as (port, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.sleep(0.01)
        await port.close()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(OSError, match=str(number)):
            await asyncio.open_connection("127.0.0.1", number)
