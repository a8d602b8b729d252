import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest

from router.proxy.client_side import ClientConnection
from tests.fakes.fake_engine import FakeEngine, Request, Wire, completion
from tests.fakes.running import RawClient, running, until

BODY = b'{"model":"qwen","messages":[]}'
GET = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"


async def echo(request: Request, wire: Wire) -> None:
    """Answers with what it got."""
    seen = {"target": request.target, "fields": request.fields, "body": request.body.decode()}
    await wire.answer(200, json.dumps(seen).encode())


async def test_requests_on_one_connection_are_answered_in_turn() -> None:
    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        for number in range(3):
            await client.post(b'{"n":%d}' % number)
            reply = await client.reply()
            assert json.loads(reply.body)["body"] == f'{{"n":{number}}}'
        assert engine.connections == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def slower_first(request: Request, wire: Wire) -> None:
        await asyncio.sleep(0.05 if request.target == "/0" else 0)
        await wire.answer(200, request.target.encode())

    async with FakeEngine(slower_first) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"".join(GET.replace(b"/version", b"/%d" % n) for n in range(4)))
        assert [(await client.reply()).body for _ in range(4)] == [b"/0", b"/1", b"/2", b"/3"]


async def test_the_refusal_is_readable_while_the_client_still_sends() -> None:
    limits = {"max_body_bytes": 1024}
    async with FakeEngine() as engine, running(engine, limits=limits) as router, RawClient.to(router.port) as client:
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 1_000_000)
        assert (await client.reply()).status == 413


@pytest.mark.parametrize("sent", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_a_head_that_does_not_end_is_timed_out(sent: bytes) -> None:
    timeouts = {"head_s": 0.05}
    async with (
        FakeEngine() as engine,
        running(engine, timeouts=timeouts) as router,
        RawClient.to(router.port) as client,
    ):
        await client.send(sent)
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (408, "head_timeout")
        assert await client.rest() == b""


async def test_a_body_that_stops_is_timed_out() -> None:
    timeouts = {"body_s": 0.05}
    async with (
        FakeEngine() as engine,
        running(engine, timeouts=timeouts) as router,
        RawClient.to(router.port) as client,
    ):
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (408, "body_timeout")
        assert engine.requests == []


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    timeouts = {"keep_alive_s": 0.05}
    async with FakeEngine(echo) as engine, running(engine, timeouts=timeouts) as router:
        async with RawClient.to(router.port) as fresh:
            assert await fresh.rest() == b""
        async with RawClient.to(router.port) as used:
            await used.send(GET)
            assert (await used.reply()).status == 200
            assert await used.rest() == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_the_connection_is_closed_where_the_client_asks_for_it(version: bytes) -> None:
    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"GET /x HTTP/" + version + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.get("connection")) == (200, "close")
        assert await client.rest() == b""


async def test_head_requests_get_no_body_and_keep_the_connection() -> None:
    async def about(request: Request, wire: Wire) -> None:
        if request.method == "HEAD":
            await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")
        else:
            await wire.answer(200, b"x")

    async with FakeEngine(about) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(b"HEAD /docs HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = await client.reply(to_head=True)
        assert (reply.status, reply.get("content-length")) == (200, "99")
        await client.send(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert (await client.reply(to_head=True)).status == 200
        assert (await client.reply()).body == b"x"


async def test_connections_beyond_the_limit_are_closed_at_once() -> None:
    limits = {"max_connections": 1}
    async with FakeEngine(echo) as engine, running(engine, limits=limits) as router:
        async with RawClient.to(router.port) as first:
            await first.send(GET)
            assert (await first.reply()).status == 200
            async with RawClient.to(router.port) as second:
                assert await second.rest() == b""
        await until(lambda: not router.gateway.clients)
        async with RawClient.to(router.port) as third:
            await third.send(GET)
            assert (await third.reply()).status == 200


async def test_a_client_that_leaves_within_its_body_leaves_nothing_behind() -> None:
    async with FakeEngine() as engine, running(engine) as router:
        async with RawClient.to(router.port) as client:
            await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
            await until(lambda: router.gateway.clients)
        await until(lambda: not router.gateway.clients)
        assert engine.requests == []
        assert router.in_flight() == 0


async def test_a_client_that_sent_far_ahead_and_leaves_frees_its_engine() -> None:
    gone = asyncio.Event()

    async def silent(request: Request, wire: Wire) -> None:
        await wire.wait_gone()
        gone.set()

    async with FakeEngine(silent) as engine, running(engine) as router:
        async with RawClient.to(router.port) as client:
            await client.post(BODY)
            await until(lambda: engine.requests)
            client.writer.write(GET * 2_000)
            await until(lambda: router.gateway.unheard)
        async with asyncio.timeout(5):
            await gone.wait()
        await until(lambda: not router.gateway.clients)
        assert router.gateway.unheard == set()


async def test_bytes_sent_ahead_of_an_answer_are_bounded() -> None:
    gate = asyncio.Event()

    async def wait(request: Request, wire: Wire) -> None:
        await gate.wait()
        await wire.answer(200, json.dumps(completion("x")).encode())

    limits = {"max_head_bytes": 1024}
    async with (
        FakeEngine(wait) as engine,
        running(engine, limits=limits) as router,
        RawClient.to(router.port) as client,
    ):
        await client.send(GET)
        await until(lambda: engine.requests)
        sending = asyncio.create_task(client.send(GET * 1_000_000))
        await asyncio.sleep(0.2)
        assert not sending.done()
        gate.set()
        assert (await client.reply()).status == 200
        assert (await client.reply()).status == 200
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


# Clients that read slowly.


class Draining:
    """A transport that has sent more each time it is looked at, until it is stuck."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = iter(sizes)

    def get_write_buffer_size(self) -> int:
        return next(self.sizes)

    def get_extra_info(self, _: str) -> None:
        return None

    def can_write_eof(self) -> bool:
        return True


async def test_a_client_that_reads_slowly_reads_on_and_one_that_stopped_does_not() -> None:
    async with FakeEngine() as engine, running(engine) as router:
        connection = ClientConnection(router.gateway)
        connection.transport = cast(asyncio.Transport, Draining(100, 60, 10, 10))
        connection.pause_writing()
        assert connection.reads_on()
        assert connection.reads_on()
        assert not connection.reads_on()


# Ends that must not look orderly.


async def test_a_client_that_half_closes_within_an_answer_without_length_is_reset() -> None:
    begun = asyncio.Event()

    async def endless(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nbegun")
        begun.set()
        await wire.wait_gone()

    async with FakeEngine(endless) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(BODY)
        assert (await client.head()).status == 200
        await begun.wait()
        client.writer.write_eof()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()
        await until(lambda: router.in_flight() == 0)


class Encrypting:
    """A transport of TLS: it does not tell what it has passed on, and closes when the peer agrees."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_aborted = False

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self.sock

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        self.is_aborted = True


@contextlib.asynccontextmanager
async def lingering_by_tls() -> AsyncIterator[tuple[ClientConnection, Encrypting, socket.socket]]:
    """A client whose last answer the system has not delivered yet."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with FakeEngine() as engine, running(engine) as router:
            connection, transport = ClientConnection(router.gateway), Encrypting(ours)
            connection.connection_made(cast(asyncio.Transport, transport))
            ours.send(b"x" * 1000)
            connection.finish(close=True)
            yield connection, transport, theirs
            router.gateway.clients.discard(connection)


async def test_a_client_by_tls_that_reads_slowly_has_the_time_it_has_within_an_answer() -> None:
    async with lingering_by_tls() as (connection, transport, theirs):
        connection.on_deadline(0.0)
        assert connection.patience_s == 60.0
        theirs.recv(1000)
        connection.on_deadline(0.0)
        assert not transport.is_aborted
        connection.on_deadline(0.0)
        assert transport.is_aborted, "all is read, and it does not confirm the end"


async def test_a_client_by_tls_that_stopped_reading_is_cut() -> None:
    async with lingering_by_tls() as (connection, transport, _):
        connection.on_deadline(0.0)
        assert not transport.is_aborted
        connection.on_deadline(0.0)
        assert transport.is_aborted
