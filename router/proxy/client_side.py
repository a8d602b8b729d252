"""Connections from clients: requests are taken one after the other, read whole, served, answered in order."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, cast

from router.exchange import Refusal
from router.http1.answers import CONTINUE, answer
from router.http1.body import BodyPieces
from router.http1.chunked import ChunkDecoder, ChunkError
from router.http1.request_head import HeadError, RequestHead
from router.http1.request_reader import is_hopeless
from router.proxy.errors import refusal_parts
from router.transport.leaving import is_left
from router.transport.unsent import unsent_bytes, untaken_bytes

if TYPE_CHECKING:
    from router.proxy.gateway import Gateway
    from router.proxy.relay import Relay

_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")
LINGER_S = 2.0
"""How long a refused client may go on sending before the connection is cut: long enough to read the refusal."""


class Phase(IntEnum):
    """What a client's connection is doing."""

    HEAD = 0
    BODY = 1
    SERVING = 2
    LINGERING = 3
    CLOSED = 4


HEAD, BODY, SERVING, LINGERING, CLOSED = Phase


class ClientConnection(asyncio.Protocol):
    """One connection from a client.

    Attributes:
        transport: the connection's transport.
        relay: the request in progress, where an engine serves it.
        deadline_s: monotonic time at which `on_deadline` is due.
        patience_s: what a sign of life moves the deadline to, from now.
        has_moved: there was a sign of life since the last sweep.
        is_write_paused: the client reads slower than the answer comes.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_decoder",
        "_gateway",
        "_head",
        "_is_advancing",
        "_left",
        "_phase",
        "_reserved_bytes",
        "_unread_bytes",
        "deadline_s",
        "has_moved",
        "is_write_paused",
        "patience_s",
        "relay",
        "transport",
    )

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._phase = HEAD
        self._buffer = b""
        self._head: RequestHead | None = None
        self._body: BodyPieces | None = None
        self._left = 0
        self._decoder: ChunkDecoder | None = None
        self._is_advancing = False
        self._reserved_bytes = 0
        self._unread_bytes = 0
        self.relay: Relay | None = None
        self.deadline_s = math.inf
        self.patience_s = 0.0
        self.has_moved = False
        self.is_write_paused = False
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, or close where there are too many connections."""
        self.transport = cast(asyncio.Transport, transport)
        gateway = self._gateway
        if not gateway.admits_connection():
            self._phase = CLOSED
            self.transport.abort()
            return
        gateway.clients.add(self)
        self.transport.set_write_buffer_limits(high=gateway.limits.write_buffer_bytes)
        self.deadline_s = gateway.now_s() + gateway.timeouts.keep_alive_s

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: so is its request."""
        if self._phase is BODY:
            self._gateway.clients_gone += 1
        self._phase = CLOSED
        self._buffer = b""
        self.let_body_go()
        self._gateway.left(self)
        if self.relay is not None:
            self.relay.client_gone()
            self.relay = None

    def eof_received(self) -> None:
        """Take the end of the client's bytes for its leaving.

        A client that only closed its sending half cannot be told from one that is gone, and vLLM itself takes it for
        gone; a request nobody waits for costs more than this rare form of half-closing is worth.
        """
        if self._phase is SERVING:
            self.reset()

    def data_received(self, data: bytes) -> None:
        """Take a request's bytes."""
        phase = self._phase
        if phase is HEAD:
            if self._buffer:
                self._more_head(data)
            elif not self._take_whole(data):
                self._buffer = data
                self._advance()
        elif phase is BODY:
            self._take_body(data)
        elif phase is SERVING:
            self._buffer += data
            if len(self._buffer) > self._gateway.limits.max_head_bytes:
                self.transport.pause_reading()
                self._gateway.unheard.add(self)

    def pause_writing(self) -> None:
        """The client reads slowly: take no more from the engine."""
        self.is_write_paused = True
        self._unread_bytes = untaken_bytes(self.transport)
        if self.relay is not None:
            self.relay.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.is_write_paused = False
        if self.relay is not None:
            self.relay.resume()
        elif self._phase is HEAD:
            self._advance()

    def on_deadline(self, now_s: float) -> None:
        """The time allowed for the present phase is over."""
        self.deadline_s = math.inf
        if self._phase is SERVING:
            if self.relay is not None:
                self.relay.on_deadline()
        elif self._phase is BODY:
            self._refuse(408, "body_timeout", "the request's body did not arrive in time")
        elif self._phase is HEAD and self._buffer and not self.is_write_paused:
            self._refuse(408, "head_timeout", "the request's head did not arrive in time")
        elif self._phase is HEAD and self.transport.get_write_buffer_size() == 0:
            self._close()
        elif self._phase is LINGERING and (self.reads_on() or self._has_unsent_since_shortly()):
            self.expect_within(self._gateway.timeouts.inter_chunk_s if self._unread_bytes else LINGER_S)
        elif self._phase is LINGERING and self._unread_bytes:
            self.reset()
        else:
            self.transport.abort()

    # What the request's server tells.

    def expect_within(self, patience_s: float) -> None:
        """Something must happen within that time, counted from the next sweep; else `on_deadline`."""
        self.patience_s = patience_s
        self.has_moved = True

    def rest(self) -> None:
        """Nothing is due for now."""
        self.deadline_s = math.inf
        self.has_moved = False

    def reads_on(self) -> bool:
        """Whether a client that reads slowly has read anything since it was last asked."""
        # What the system holds of an ended connection it delivers by itself, however slowly.
        count = unsent_bytes if self._phase is LINGERING else untaken_bytes
        before, self._unread_bytes = self._unread_bytes, count(self.transport)
        return self._unread_bytes < before

    def reset_if_gone(self) -> None:
        """End the connection if the client has left; asked where nothing is read, so that nothing else tells."""
        if self._phase is SERVING and is_left(self.transport):
            self.reset()

    def hold(self, size: int) -> bool:
        """Count body bytes against what may be held for all clients; refuse the request where that is too much."""
        gateway = self._gateway
        if gateway.held_body_bytes + size > gateway.limits.max_held_body_bytes:
            self._refuse(
                503, "bodies_too_large", "the router holds too many large requests at this moment; retry later"
            )
            return False
        gateway.held_body_bytes += size
        self._reserved_bytes += size
        return True

    def awaits(self, head: RequestHead) -> bool:
        """Whether the client still waits for this request, and nothing has been done for it yet."""
        return self._phase is SERVING and self._head is head and self.relay is None

    def forget_hints(self) -> None:
        """Settings have changed: what routing read of a head whose body is still coming means nothing any more."""
        if self._head is not None:
            self._head.hints = None

    def let_body_go(self) -> None:
        """The request's body is not needed any more."""
        self._body = None
        if self._reserved_bytes:
            self._gateway.held_body_bytes -= self._reserved_bytes
            self._reserved_bytes = 0

    def answer(self, status: int, body: bytes, *, fields: bytes = b"", close: bool = False) -> None:
        """Answer the present request by the router itself."""
        if self._phase is not SERVING:
            return
        close = close or not self.keeps_alive()
        is_head = self._head is not None and self._head.is_head
        self._gateway.post(self.transport, answer(status, body, close=close, fields=fields, is_head=is_head))
        self.finish(close=close)

    def keeps_alive(self) -> bool:
        """Whether the connection stays open after the present answer."""
        return self._head is not None and self._head.keep_alive and not self._gateway.is_draining

    def finish(self, *, close: bool) -> None:
        """The answer is complete, or as complete as it gets."""
        self.relay = None
        self._head = None
        if self._phase is CLOSED:
            return
        if self._reserved_bytes:
            self.let_body_go()
        gateway = self._gateway
        self.has_moved = True
        if close or gateway.is_draining:
            self._linger()
            return
        self._phase = HEAD
        self.patience_s = gateway.timeouts.keep_alive_s
        if self._buffer and not self.transport.is_closing():
            gateway.unheard.discard(self)
            self.transport.resume_reading()
            self._advance()

    def cut(self) -> None:
        """End the connection so that the client sees a broken answer, not a complete one."""
        self.relay = None
        self._gateway.flush()
        self.reset()

    def reset(self) -> None:
        """End the connection by a reset: an orderly end would make an answer without a length look complete."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def drain(self) -> None:
        """The router is stopping: close now if nothing is in progress."""
        if self._phase is HEAD and not self._buffer:
            self._close()

    def _linger(self) -> None:
        """End the connection, but let the client read the answer first, also where it is still sending.

        Bytes that arrive at a closed socket are answered by a reset, which can cost the client the end of the answer:
        RFC 9112 §9.6. So only the sending half is closed, and what still comes is thrown away for a while.
        """
        gateway, transport = self._gateway, self.transport
        self._phase = LINGERING
        self._buffer = b""
        gateway.flush()
        if transport.can_write_eof():
            transport.write_eof()
            transport.resume_reading()
        else:
            transport.close()
        self._unread_bytes = unsent_bytes(transport)
        self.expect_within(gateway.timeouts.inter_chunk_s if transport.get_write_buffer_size() else LINGER_S)

    def _has_unsent_since_shortly(self) -> bool:
        """Whether a slow reader of an ended connection is yet to have the time that it has within an answer."""
        return self._unread_bytes > 0 and self.patience_s < self._gateway.timeouts.inter_chunk_s

    def _close(self) -> None:
        """Close when everything posted has been sent."""
        if self.transport.can_write_eof():
            self._gateway.flush()
            self.transport.close()
        else:
            # By TLS a client is told of the end and has to confirm it, which one that is idle may never do.
            self._linger()

    # Taking a request.

    def _take_whole(self, data: bytes) -> bool:
        """Serve a request that came in one piece, as most do; False leaves everything as it was."""
        gateway = self._gateway
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or end > gateway.limits.max_head_bytes or self.is_write_paused or data[0] == 0x0D:
            return False
        try:
            head, length = gateway.requests.read(data[:end])
        except HeadError:
            return False
        if head.is_chunked or len(data) - end != (length or 0):
            return False
        self._head = head
        self._serve(None if length is None else data[end:])
        return True

    def _more_head(self, data: bytes) -> None:
        seen = len(self._buffer)
        self._buffer += data
        self._advance(scan_from=max(0, seen - 3))

    def _advance(self, scan_from: int = 0) -> None:
        """Serve requests while the buffer holds whole ones and each is answered at once."""
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            while self._phase is HEAD and self._buffer and not self.is_write_paused:
                if not self._take_head(scan_from):
                    break
                scan_from = 0
        finally:
            self._is_advancing = False

    def _take_head(self, scan_from: int) -> bool:
        buffer = self._buffer
        if buffer[0] == 0x0D and (empty := _EMPTY_LINES.match(buffer)) is not None and empty.end():
            # Some clients end a body with an empty line that belongs to nothing, RFC 9112 §2.2.
            self._buffer = buffer[empty.end() :]
            return True
        end = buffer.find(b"\r\n\r\n", scan_from) + 4
        if end < 4 or end > self._gateway.limits.max_head_bytes:
            return self._await_head(scan_from)
        try:
            head, length = self._gateway.requests.read(buffer[:end])
        except HeadError as error:
            self._refuse(error.status, "bad_request", str(error))
            return False
        self._head = head
        self._buffer = buffer[end:] if len(buffer) > end else b""
        if head.is_chunked or length:
            self._begin_body(head, length)
        else:
            self._serve(None if length is None else b"")
        return True

    def _await_head(self, scan_from: int) -> bool:
        gateway = self._gateway
        if len(self._buffer) > gateway.limits.max_head_bytes:
            self._refuse(431, "head_too_large", f"the request's head exceeds {gateway.limits.max_head_bytes} bytes")
        elif is_hopeless(self._buffer, scan_from):
            self._refuse(400, "bad_request", "a bare LF or a NUL in the request's head")
        elif scan_from == 0:
            self.has_moved = False
            self.deadline_s = gateway.now_s() + gateway.timeouts.head_s
        return False

    def _begin_body(self, head: RequestHead, length: int | None) -> None:
        gateway = self._gateway
        if length is not None and length > gateway.limits.max_body_bytes:
            self._refuse_body()
            return
        if gateway.dispatcher.has_tenants:
            # Before the body is read: nobody without a key makes the router hold anything.
            refusal = gateway.key_refusal(head)
            if refusal is not None:
                self._turn_away(refusal)
                return
        if length is not None and not self.hold(length):
            return
        data, self._buffer = self._buffer, b""
        self._phase = BODY
        self.patience_s = gateway.timeouts.body_s
        self.has_moved = False
        self.deadline_s = gateway.now_s() + self.patience_s
        self._body = BodyPieces()
        if length is None:
            self._decoder = ChunkDecoder()
        else:
            self._left = length
        if data:
            self._take_body(data)
        elif head.expects_continue:
            self._gateway.post(self.transport, CONTINUE)

    def _take_body(self, data: bytes) -> None:
        self.has_moved = True
        body = self._body
        if body is None:
            return
        if self._decoder is not None:
            self._take_chunks(self._decoder, body, data)
            return
        size = len(data)
        if size < self._left:
            self._left -= size
            body.add(data)
            return
        body.add(data if size == self._left else data[: self._left])
        self._buffer = data[self._left :]
        self._serve(body.take())

    def _take_chunks(self, decoder: ChunkDecoder, body: BodyPieces, data: bytes) -> None:
        try:
            pieces = decoder.feed(data)
        except ChunkError as error:
            self._refuse(400, "bad_request", str(error))
            return
        size = sum(map(len, pieces))
        if body.size + size > self._gateway.limits.max_body_bytes:
            self._refuse_body()
            return
        if not self.hold(size):
            return
        for piece in pieces:
            body.add(piece)
        if decoder.is_complete:
            self._decoder = None
            self._buffer = decoder.rest
            self._serve(body.take())

    def _serve(self, body: bytes | bytearray | None) -> None:
        head = self._head
        if head is None:
            return
        self._phase = SERVING
        self.rest()
        self._gateway.serve(self, head, body)

    def _refuse_body(self) -> None:
        limit = self._gateway.limits.max_body_bytes
        self._refuse(413, "body_too_large", f"the request's body exceeds {limit} bytes")

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Refuse what is no request that is served, and count it."""
        self._turn_away(Refusal(status, reason, message))
        self._gateway.dispatcher.count_refusal(reason)

    def _turn_away(self, refusal: Refusal) -> None:
        """Answer and close."""
        self.let_body_go()
        self._decoder = None
        fields, body = refusal_parts(refusal)
        if self._gateway.observer is not None:
            self._gateway.observer.rejected(self, refusal.status, refusal.reason)
        is_head = self._head is not None and self._head.is_head
        self._gateway.post(self.transport, answer(refusal.status, body, close=True, fields=fields, is_head=is_head))
        self._linger()
