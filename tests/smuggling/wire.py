"""A router in a thread, an engine that keeps every byte it gets, and a client that sends any bytes at all."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvloop

from tests.fakes.running import Running, running

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE)
PATIENCE_S = 10.0
GAP_S = 0.005
"""Time between the pieces of an answer: enough for them to arrive apart."""


@dataclass(frozen=True)
class Arrival:
    """A request as the engine got it: its bytes, and over which connection."""

    raw: bytes
    body: bytes
    connection: int

    @property
    def method(self) -> bytes:
        return self.raw.split(b" ", 1)[0]

    @property
    def target(self) -> bytes:
        return self.raw.split(b" ", 2)[1]

    @property
    def lines(self) -> list[bytes]:
        """Field lines."""
        return self.raw.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]


def take_arrival(received: bytearray, start: int, connection: int) -> Arrival | None:
    """The request that begins at `start` of what a connection brought, read in the plainest way; None if unfinished."""
    end = received.find(b"\r\n\r\n", start) + 4
    if end < 4:
        return None
    length = _LENGTH.search(received, start, end)
    stop = end + (int(length[1]) if length else 0)
    if len(received) < stop:
        return None
    return Arrival(bytes(received[start:stop]), bytes(received[end:stop]), connection)


@dataclass(frozen=True)
class Reply:
    """What the engine sends: pieces that arrive apart, and what it does with its connection then."""

    pieces: tuple[bytes, ...]
    end: str = "keep"


OK = Reply((b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",))


@dataclass
class RecordingEngine:
    """An engine for the router under test.

    Attributes:
        script: the answer to a request.
        arrivals: requests in the order of their end.
        raw: bytes received, by connection.
        problem: what the engine could not read as a request of its own plain form.
    """

    script: Callable[[Arrival], Reply] = lambda arrival: OK
    arrivals: list[Arrival] = field(default_factory=list)
    raw: list[bytearray] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def unread(self) -> bytes:
        """Bytes received that belong to no whole request."""
        return b"".join(self.raw)[sum(len(arrival.raw) for arrival in self.arrivals) :]

    @contextlib.asynccontextmanager
    async def listening(self) -> Any:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _EngineSide(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


class _EngineSide(asyncio.Protocol):
    def __init__(self, engine: RecordingEngine) -> None:
        self._engine = engine
        self._number = len(engine.raw)
        self._raw = bytearray()
        self._taken = 0
        engine.raw.append(self._raw)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._raw += data
        while (arrival := take_arrival(self._raw, self._taken, self._number)) is not None:
            self._taken += len(arrival.raw)
            self._engine.arrivals.append(arrival)
            self._play(self._engine.script(arrival), 0)

    def _play(self, reply: Reply, number: int) -> None:
        if number < len(reply.pieces):
            self._transport.write(reply.pieces[number])
            wait_s = GAP_S if number + 1 < len(reply.pieces) else 0.0
            loop = asyncio.get_running_loop()
            if wait_s:
                loop.call_later(wait_s, self._play, reply, number + 1)
            else:
                self._play(reply, number + 1)
        elif reply.end == "close":
            self._transport.close()
        elif reply.end == "reset":
            asyncio.get_running_loop().call_later(GAP_S, self._reset)

    def _reset(self) -> None:
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


@dataclass
class Bench:
    """A router that serves in front of one engine.

    Attributes:
        problems: what the event loop's exception handler was told.
    """

    engine: RecordingEngine
    router: Running
    problems: list[dict[str, Any]]

    @property
    def port(self) -> int:
        return self.router.port

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for `condition`."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, what
            time.sleep(0.001)


@contextlib.contextmanager
def bench(**sections: dict) -> Iterator[Bench]:
    """Run a router and its engine in a thread, on the event loop that serves in production."""
    ready: list[Bench] = []
    is_ready, is_over = threading.Event(), threading.Event()
    loop = uvloop.new_event_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))

    async def serve() -> None:
        engine = RecordingEngine()
        async with engine.listening(), running(engine, **sections) as router:  # type: ignore[arg-type]
            ready.append(Bench(engine, router, problems))
            is_ready.set()
            while not is_over.is_set():
                await asyncio.sleep(0.02)

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            is_ready.set()
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        is_ready.wait()
        yield ready[0]
    finally:
        is_over.set()
        thread.join()


class Client:
    """A client on a socket of its own.

    Attributes:
        received: all bytes that came.
        is_ended: the router closed its side.
        is_reset: the connection broke.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.is_ended = False
        self.is_reset = False

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, pieces: Iterable[bytes]) -> None:
        """Send pieces, as far as the router takes them."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                self._socket.sendall(piece)

    def finish(self) -> None:
        """Send no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read(self, until: Callable[[bytes], bool] = lambda _: False) -> bytes:
        """Read until what came satisfies `until`, or to the end."""
        while not self.is_ended and not until(self.received):
            try:
                data = self._socket.recv(1 << 16)
            except ConnectionResetError:
                self.is_reset = self.is_ended = True
                break
            self.is_ended = not data
            self.received += data
        return self.received
