"""A network in memory and a clock that moves only when told, for running the router's data path deterministically.

The router's protocol objects run unchanged on a `VirtualLoop`: its connections are pairs of a `VirtualTransport`, which
the router holds, and a `Peer`, which the test holds. A peer decides how many bytes arrive at a time, whether it reads,
and how it leaves; nothing happens before `VirtualLoop.settle`.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

MOST_TURNS = 10_000
RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER as set for an end by reset."""


class _NoSelector(selectors.BaseSelector):
    """Sees no file ever become ready, and never waits."""

    def __init__(self) -> None:
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list:
        return []

    def get_map(self) -> dict:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop without a network or a clock of its own.

    Attributes:
        now_s: what the loop takes for the time.
        listeners: who takes the connections that the router makes, by host and port.
        kernel_bytes: bytes on their way to a peer that does not read, before the router's transport holds them itself.
        problems: what the loop's exception handler was told.
        transports: the router's ends of all connections that are not closed.
    """

    def __init__(self) -> None:
        super().__init__(_NoSelector())
        self.now_s = 1_000.0
        self.listeners: dict[tuple[str, int], Listener] = {}
        self.kernel_bytes = 16_384
        self.problems: list[dict[str, Any]] = []
        self.transports: set[VirtualTransport] = set()
        self.set_exception_handler(lambda _, context: self.problems.append(context))

    def time(self) -> float:
        return self.now_s

    def settle(self) -> None:
        """Run until nothing is left to do at this moment."""
        for _ in range(MOST_TURNS):
            due = self._scheduled and self._scheduled[0].when() <= self.now_s  # type: ignore[attr-defined]
            if not self._ready and not due:  # type: ignore[attr-defined]
                return
            self.call_soon(self.stop)
            self.run_forever()
        raise AssertionError("the loop does not come to rest")

    def join(self, protocol: asyncio.Protocol) -> Peer:
        """A connection to a protocol that serves."""
        transport = VirtualTransport(self, protocol)
        self.call_soon(protocol.connection_made, transport)
        return transport.peer

    async def create_connection(  # type: ignore[override]
        self, factory: Callable[[], asyncio.Protocol], host: str | None = None, port: int | None = None, **_: Any
    ) -> tuple[VirtualTransport, asyncio.Protocol]:
        listener = self.listeners.get((host or "", port or 0))
        if listener is None or listener.is_refusing:
            raise ConnectionRefusedError(111, "Connection refused")
        while listener.is_hanging:
            await listener.wait()
        protocol = factory()
        transport = VirtualTransport(self, protocol)
        made = self.create_future()
        self.call_soon(protocol.connection_made, transport)
        self.call_soon(lambda: made.done() or made.set_result(None))
        listener.accepted(transport.peer)
        await made
        return transport, protocol


class Listener:
    """Takes connections at one address.

    Attributes:
        is_refusing: connections are refused.
        is_hanging: connections are neither made nor refused.
    """

    def __init__(self, loop: VirtualLoop, accepted: Callable[[Peer], None]) -> None:
        self._loop = loop
        self._waiting: list[asyncio.Future[None]] = []
        self.accepted = accepted
        self.is_refusing = False
        self.is_hanging = False

    async def wait(self) -> None:
        """Until connections are made again."""
        future = self._loop.create_future()
        self._waiting.append(future)
        await future

    def go_on(self) -> None:
        """Make the connections that hang."""
        self.is_hanging = False
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()


class Peer:
    """The test's end of a connection.

    Attributes:
        received: bytes the router sent and this end has read.
        is_reading: whether bytes are read as they come.
        is_ended: the router has ended its side, after all the bytes that were read.
        is_reset: the connection broke.
        queued: bytes that this end has sent and the network has not delivered yet.
    """

    def __init__(self, loop: VirtualLoop, transport: VirtualTransport) -> None:
        self._loop = loop
        self._transport = transport
        self._unread = bytearray()
        self._has_fin = False
        self._finishes = False
        self.received = bytearray()
        self.is_reading = True
        self.is_ended = False
        self.is_reset = False
        self.is_gone = False
        self.queued = bytearray()

    # What this end does.

    def send(self, data: bytes) -> None:
        """Hand bytes to the network; `deliver` brings them to the router."""
        self.queued += data

    def deliver(self, most: int | None = None) -> None:
        """Let the router receive up to `most` of the bytes sent, in one piece."""
        piece = bytes(self.queued[: len(self.queued) if most is None else most])
        del self.queued[: len(piece)]
        if piece:
            self._transport.arrive(piece)
        if self._finishes and not self.queued:
            self._finishes = False
            self._transport.arrive_end()

    def finish(self) -> None:
        """Send no more; what was sent still arrives."""
        self._finishes = True
        self.deliver(0)

    def close(self) -> None:
        """Close: what was sent still arrives, what comes later meets nobody."""
        self.is_gone = True
        self.deliver()
        if self._unread:
            # A socket closed with bytes in it that nobody read says so by a reset.
            self._transport.arrive_reset()
        else:
            self._transport.arrive_end()

    def reset(self) -> None:
        """Break the connection; undelivered bytes are lost."""
        self.is_gone = True
        self.queued.clear()
        self._transport.arrive_reset()

    def stop_reading(self) -> None:
        """Leave what comes in the network."""
        self.is_reading = False

    def read(self, most: int | None = None) -> None:
        """Read up to `most` bytes; without it, all that come from now on."""
        if most is None:
            self.is_reading = True
        taken = self._unread[: len(self._unread) if most is None else most]
        del self._unread[: len(taken)]
        self.received += taken
        self._note_end()
        self._loop.call_soon(self._transport.writable)

    @property
    def has_unread(self) -> bool:
        """Whether the router has still to read something that was delivered."""
        return self._transport.has_inbound

    # What the network does.

    @property
    def room(self) -> int:
        """Bytes the network takes now."""
        return 1 << 30 if self.is_reading else self._loop.kernel_bytes - len(self._unread)

    def take(self, data: bytes) -> None:
        if self.is_reading:
            self.received += data
        else:
            self._unread += data

    def end(self) -> None:
        self._has_fin = True
        self._note_end()

    def broken(self) -> None:
        # A reset overtakes what was not read yet.
        self._unread.clear()
        self.is_reset = True

    def _note_end(self) -> None:
        self.is_ended = self._has_fin and not self._unread


class VirtualTransport(asyncio.Transport):
    """The router's end of a connection; keeps asyncio's promises on when a protocol is told what."""

    def __init__(self, loop: VirtualLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        # A real one that is connected to nothing, so that any option can be set.
        self._socket = socket.socket()
        self._inbound: list[bytes | Exception | None] = []
        self._outbound = bytearray()
        self._high = 65_536
        self._low = 16_384
        self._is_reading = True
        self._is_pumping = False
        self._is_paused = False
        self._is_closing = False
        self._is_lost = False
        self._is_write_ended = False
        self.most_held = 0
        self.peer = Peer(loop, self)
        loop.transports.add(self)

    # What the network brings.

    @property
    def has_inbound(self) -> bool:
        return bool(self._inbound) and not self._is_lost

    def arrive(self, data: bytes) -> None:
        self._inbound.append(data)
        self._wake()

    def arrive_end(self) -> None:
        self._inbound.append(None)
        self._wake()

    def arrive_reset(self) -> None:
        error = ConnectionResetError(104, "Connection reset by peer")
        if self._outbound:
            # Whoever waits to write learns of it at once, even where reading is paused.
            self._loop.call_soon(self._fail, error)
        else:
            self._inbound.append(error)
            self._wake()

    def _wake(self) -> None:
        if self._inbound and self._is_reading and not self._is_pumping and not self._is_closing:
            self._is_pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        if not self._inbound or not self._is_reading or self._is_closing:
            return
        item = self._inbound.pop(0)
        if isinstance(item, Exception):
            self._fail(item)
        elif item is None:
            if not self._protocol.eof_received():
                self.close()
        else:
            try:
                self._protocol.data_received(item)
            except Exception as error:
                self._loop.call_exception_handler({"message": "data_received failed", "exception": error})
                self._fail(error)
        self._wake()

    def writable(self) -> None:
        """The peer has made room."""
        if self._is_lost:
            return
        self._push()
        if self._is_paused and len(self._outbound) <= self._low:
            self._is_paused = False
            self._protocol.resume_writing()
        self._finish_sending()

    # What the router asks for.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_write_ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_lost or self._is_closing or not data:
            return
        if self.peer.is_gone:
            self._loop.call_soon(self._fail, BrokenPipeError(32, "Broken pipe"))
            return
        self._outbound += data
        self._push()
        self.most_held = max(self.most_held, len(self._outbound))
        if len(self._outbound) > self._high and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def write_eof(self) -> None:
        self._is_write_ended = True
        self._finish_sending()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._finish_sending()

    def abort(self) -> None:
        if self._is_lost:
            return
        self._outbound.clear()
        self._is_closing = True
        self._lose(None)

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        self._wake()

    def is_reading(self) -> bool:
        return self._is_reading and not self._is_closing

    def is_closing(self) -> bool:
        return self._is_closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65_536 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return len(self._outbound)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": self._socket, "peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 2)}.get(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol  # type: ignore[assignment]

    # The end.

    def _push(self) -> None:
        piece = bytes(self._outbound[: self.peer.room])
        if piece:
            del self._outbound[: len(piece)]
            self.peer.take(piece)

    def _finish_sending(self) -> None:
        if self._outbound:
            return
        if self._is_write_ended:
            self.peer.end()
        if self._is_closing:
            self._lose(None)

    def _fail(self, error: Exception) -> None:
        if not self._is_lost:
            self._outbound.clear()
            self._is_closing = True
            self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self._loop.call_soon(self._protocol.connection_lost, error)
        self._loop.transports.discard(self)
        lingers_not = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(RESETS)) == RESETS
        self.dispose()
        # See Peer.close.
        if lingers_not or error is not None or any(isinstance(item, bytes) for item in self._inbound):
            self.peer.broken()
        else:
            self.peer.end()

    def dispose(self) -> None:
        """Let go of the socket."""
        self._socket.close()


@contextlib.contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    """A loop that is closed afterwards, its tasks cancelled."""
    loop = VirtualLoop()
    try:
        yield loop
    finally:
        close(loop)


def close(loop: VirtualLoop) -> None:
    """Cancel what still runs on `loop` and close it."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.settle()
    for transport in loop.transports:
        transport.dispose()
    loop.close()
