"""Connections from clients: from the first byte to the last, with the deadlines and the ends that lie between."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from typing import TYPE_CHECKING, cast

from router.exchange import Refusal
from router.http1.answers import answer
from router.http1.request_head import RequestHead
from router.proxy.errors import refusal_parts
from router.proxy.reception import BODY, CLOSED, HEAD, LINGERING, SERVING, Reception
from router.transport.leaving import is_left
from router.transport.unsent import unsent_bytes, untaken_bytes

if TYPE_CHECKING:
    from router.proxy.gateway import Gateway
    from router.proxy.relay import Relay

FIRST_REQUEST_S = 1.0
"""How long a client that has only just connected may take for its first request, once the router is stopping."""
LINGER_S = 2.0
"""How long a refused client may go on sending before the connection is cut: long enough to read the refusal."""


class ClientConnection(Reception):
    """One connection from a client.

    Attributes:
        relay: the request in progress, where an engine serves it.
    """

    __slots__ = ("_unread_bytes", "relay")

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self._unread_bytes = 0
        self.relay: Relay | None = None

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

    def awaits(self, head: RequestHead) -> bool:
        """Whether the client still waits for this request, and nothing has been done for it yet."""
        return self._phase is SERVING and self._head is head and self.relay is None

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
        """The router is stopping: close now if nothing is in progress.

        A client that has just connected may have sent its first request already: it is served, should it come soon.
        """
        if self._phase is not HEAD or self._buffer:
            return
        if self._has_asked:
            self._close()
        else:
            self.deadline_s = min(self.deadline_s, self._gateway.now_s() + FIRST_REQUEST_S)

    @property
    def _has_asked(self) -> bool:
        """Whether a request has ever come."""
        return self.patience_s > 0.0

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

    def _serve(self, body: bytes | bytearray | None) -> None:
        head = self._head
        if head is None:
            return
        self._phase = SERVING
        self.rest()
        self._gateway.serve(self, head, body)

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
