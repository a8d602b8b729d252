"""Connections to engines: one protocol object each, kept for reuse while idle."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from router.http1.chunked import ChunkWatcher
from router.transport.addresses import Address
from router.transport.dialing import Dial


class EngineUser(Protocol):
    """Who has taken an engine's connection."""

    def engine_connected(self, engine: EngineConnection) -> None:
        """A connection asked for by `EnginePool.connect` stands."""

    def engine_refused(self, reason: str, told: str | None = None) -> None:
        """A connection asked for by `EnginePool.connect` could not be made; clients learn `told` where it is given."""

    def engine_lost(self, error: Exception | None) -> None:
        """The connection in use has ended; None is an orderly end."""


class EngineConnection(asyncio.Protocol):
    """One TCP connection to an engine.

    Attributes:
        address: host and port of the engine.
        receive: where arriving bytes go; set by the user of the connection.
        user: who uses it now, None while it is idle.
        is_reused: an earlier answer came over it, so the engine may be closing it at this moment.
        idle_since_s: monotonic time at which it became idle.
        watcher: finds the end of chunked answers; made when the first one comes.
        transport: the connection's transport.
    """

    __slots__ = (
        "_has_ended",
        "_is_made",
        "_is_paused",
        "_pool",
        "address",
        "idle_since_s",
        "is_reused",
        "receive",
        "transport",
        "user",
        "watcher",
    )

    def __init__(self, pool: EnginePool, address: Address) -> None:
        self._pool = pool
        self._has_ended = False
        self._is_made = False
        self._is_paused = False
        self.address = address
        self.idle_since_s = 0.0
        self.is_reused = False
        self.user: EngineUser | None = None
        self.receive: Callable[[bytes], None] | None = None
        self.watcher: ChunkWatcher | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        self.transport = cast(asyncio.Transport, transport)
        self._is_made = True
        self._pool.open += 1

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the user; bytes that nobody asked for end the connection."""
        if self.receive is None:
            self.transport.abort()
        else:
            self.receive(data)

    def eof_received(self) -> None:
        """The engine has said that nothing more comes."""
        self._has_ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the user, or leave the pool."""
        self._pool.open -= 1
        if exc is None and not self._has_ended and not self.transport.can_write_eof():
            # An end of the connection that TLS does not confirm may be anybody's doing, RFC 8446 §6.1.
            exc = ConnectionResetError("the connection ended without TLS's end")
        user = self.user
        self.user = self.receive = None
        if user is None:
            self._pool.forget(self)
        else:
            user.engine_lost(exc)
        self._let_go()

    def begin_chunked(self) -> ChunkWatcher:
        """A watcher for the chunked body that comes now."""
        if self.watcher is None:
            self.watcher = ChunkWatcher()
        self.watcher.begin()
        return self.watcher

    def pause(self) -> None:
        """Take no more bytes from the engine for now."""
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Take bytes again."""
        if self._is_paused and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        """End the connection at once; its user is not told."""
        self._let_go()
        self.transport.abort()

    def discard(self) -> None:
        """End a connection that may not even stand yet."""
        if self._is_made:
            self.abort()

    def park(self, now_s: float) -> None:
        """Become idle."""
        self.user = None
        self.receive = None
        self.is_reused = True
        self.idle_since_s = now_s
        if self._is_paused:
            self.resume()

    def _let_go(self) -> None:
        self.user = None
        self.receive = None
        if self.watcher is not None:
            self.watcher.forget()
            self.watcher = None


class EnginePool:
    """Idle connections by engine, the latest used first, and the making of new ones.

    The number of idle connections is bounded by the most requests that were in flight within `keep_alive_s`.

    Args:
        keep_alive_s: idle time after which a connection is not used again. Less than the engine's own, else the engine
            closes just as a request is sent.
        dial: makes new connections.

    Attributes:
        open: connections that stand, idle or in use.
    """

    def __init__(self, keep_alive_s: float, dial: Dial) -> None:
        self.keep_alive_s = keep_alive_s
        self.open = 0
        self._dial = dial
        self._idle: dict[Address, dict[EngineConnection, None]] = {}
        self._connecting: set[asyncio.Task[None]] = set()

    def take(self, address: Address, now_s: float) -> EngineConnection | None:
        """An idle connection, or None."""
        idle = self._idle.get(address)
        while idle:
            engine, _ = idle.popitem()
            if now_s - engine.idle_since_s < self.keep_alive_s and not engine.transport.is_closing():
                return engine
            engine.abort()
        return None

    def give_back(self, engine: EngineConnection, now_s: float) -> None:
        """Keep a connection whose answer is complete."""
        if engine.transport.is_closing() or engine.transport.get_write_buffer_size():
            # An answer that came before the request was wholly sent leaves the rest of the request in between.
            engine.abort()
            return
        engine.park(now_s)
        idle = self._idle.get(engine.address)
        if idle is None:
            idle = self._idle[engine.address] = {}
        idle[engine] = None

    def idle(self) -> int:
        """How many connections are idle."""
        return sum(map(len, self._idle.values()))

    def connect(self, address: Address, user: EngineUser) -> asyncio.Task[None]:
        """Make a new connection and tell `user`; cancel the task to give up."""
        task = asyncio.get_running_loop().create_task(self._connect(address, user))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return task

    async def _connect(self, address: Address, user: EngineUser) -> None:
        engine = EngineConnection(self, address)
        try:
            await self._dial(lambda: engine, address)
        except asyncio.CancelledError:
            engine.discard()
            raise
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            # What TLS says of a certificate names hosts and addresses, which are nothing to a client.
            user.engine_refused(reason, "TLS failed" if isinstance(error, ssl.SSLError) else None)
            return
        if engine.transport.is_closing():
            user.engine_refused("closed at once")
            return
        engine.user = user
        user.engine_connected(engine)

    def forget(self, engine: EngineConnection) -> None:
        """An idle connection has ended."""
        idle = self._idle.get(engine.address)
        if idle is not None:
            idle.pop(engine, None)

    def sweep(self, now_s: float) -> None:
        """Close what has been idle for too long."""
        for address, idle in list(self._idle.items()):
            for engine in list(idle):
                if now_s - engine.idle_since_s < self.keep_alive_s:
                    break
                del idle[engine]
                engine.abort()
            if not idle:
                del self._idle[address]

    def close(self) -> None:
        """Close every idle connection and give up those being made."""
        for task in self._connecting:
            task.cancel()
        for idle in self._idle.values():
            for engine in idle:
                engine.abort()
        self._idle.clear()
