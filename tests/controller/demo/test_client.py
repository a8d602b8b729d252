from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from controller.demo.answers import fault_of
from controller.demo.client import StreamClient
from tests.fakes.chat_stream import USAGE, WHOLE, event
from tests.fakes.emulated import MODEL, emulated

Answering = Callable[[int, asyncio.StreamWriter], Awaitable[None]]
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-wattroute-pool: fp8-east\r\n"
    b"x-wattroute-precision: fp8\r\ntransfer-encoding: chunked\r\n\r\n"
)


def chunked(body: bytes, *, end: bool = True) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body) + (b"0\r\n\r\n" if end else b"")


@asynccontextmanager
async def served(
    answer: Callable[[int, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[StreamClient, list[bytes]]]:
    """A server that reads requests and answers the n-th as told, and a client of it."""
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                requests.append(head + await reader.readexactly(length))
                await answer(len(requests) - 1, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    client = StreamClient("127.0.0.1", server.sockets[0].getsockname()[1], time.monotonic)
    try:
        yield client, requests
    finally:
        client.close()
        server.close()
        await server.wait_closed()


async def test_requests_go_out_on_one_kept_connection() -> None:
    seen: set[object] = set()

    async def answer(n: int, writer: asyncio.StreamWriter) -> None:
        seen.add(writer.get_extra_info("peername"))
        writer.write(HEAD + chunked(WHOLE))

    async with served(answer) as (client, requests):
        answers = [await client.post(b'{"n":%d}' % n, "flex") for n in range(3)]
    assert [fault_of(item, 2) for item in answers] == [None, None, None]
    assert {(item.pool, item.precision) for item in answers} == {("fp8-east", "fp8")}
    assert len(seen) == 1
    assert requests[2].endswith(b'{"n":2}')
    assert b"x-wattroute-class: flex" in requests[0]


async def test_gaps_between_tokens_are_measured() -> None:
    async def answer(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(event("") + event(" a"), end=False))
        await asyncio.sleep(0.05)
        writer.write(chunked(event(" b", "length") + USAGE + b"data: [DONE]\n\n"))

    async with served(answer) as (client, _):
        assert fault_of(await client.post(b"{}", "x"), 2) is None
        assert client.itl.count == 1
        assert (client.itl.quantile_s(1.0) or 0) >= 0.04


async def test_a_refusal_tells_when_to_come_again() -> None:
    async def answer(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nfull")

    async with served(answer) as (client, _):
        refused = await client.post(b"{}", "x")
    assert (refused.status, refused.retry_after_s, refused.error_text) == (503, 7.0, "full")


async def test_a_connection_that_breaks_in_the_stream_is_told() -> None:
    async def answer(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(event(" a"), end=False))
        await writer.drain()
        writer.close()

    async with served(answer) as (client, requests):
        fault = fault_of(await client.post(b"{}", "x"), 2)
        assert fault is not None
        assert "connection closed" in fault
        assert len(requests) == 1


async def test_a_kept_connection_that_the_server_has_closed_is_replaced() -> None:
    async def answer(n: int, writer: asyncio.StreamWriter) -> None:
        if n == 1:
            writer.transport.abort()
        else:
            writer.write(HEAD + chunked(WHOLE))

    async with served(answer) as (client, requests):
        answers = [await client.post(b"{}", "x") for _ in range(2)]
        assert [fault_of(item, 2) for item in answers] == [None, None]
        assert client.reconnects == 1
        assert len(requests) == 3


async def test_an_answer_that_is_no_http_is_told() -> None:
    async def answer(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")

    async with served(answer) as (client, _):
        answer_ = await client.post(b"{}", "x")
    assert answer_.status == 0
    assert answer_.problem is not None
    assert "not an HTTP answer" in answer_.problem


async def test_nobody_listening_is_told() -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    answer = await StreamClient("127.0.0.1", port, time.monotonic).post(b"{}", "x")
    assert answer.problem is not None
    assert "cannot connect" in answer.problem


async def test_an_emulated_engine_is_understood() -> None:
    async with emulated() as emulator:
        client = StreamClient("127.0.0.1", emulator.ports["bf16-0"], time.monotonic)
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "bada bada"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 5,
            "ignore_eos": True,
        }
        answer = await client.post(json.dumps(body).encode(), "x")
        client.close()
    assert fault_of(answer, 5) is None
    assert answer.usage_prompt_tokens == 9
