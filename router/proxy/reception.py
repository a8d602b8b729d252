"""Requests out of a client's bytes: heads are read, bodies gathered, and what is no request that is served refused."""

from __future__ import annotations

import asyncio
import math
import re
from abc import ABC, abstractmethod
from enum import IntEnum
from typing import TYPE_CHECKING, cast

from router.exchange import Refusal
from router.http1.answers import CONTINUE
from router.http1.body import BodyPieces
from router.http1.chunked import ChunkDecoder, ChunkError
from router.http1.request_head import HeadError, RequestHead
from router.http1.request_reader import is_hopeless

if TYPE_CHECKING:
    from router.proxy.gateway import Gateway

HELD_RETRY_S = 1.0
"""Retry-After where others' bodies have to go first: each does as soon as an engine has it."""
_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")


class Phase(IntEnum):
    """What a client's connection is doing."""

    HEAD = 0
    BODY = 1
    SERVING = 2
    LINGERING = 3
    CLOSED = 4


HEAD, BODY, SERVING, LINGERING, CLOSED = Phase


class Reception(asyncio.Protocol, ABC):
    """Takes a client's requests, one after the other; another one only when the one before is answered.

    Attributes:
        transport: the connection's transport.
        deadline_s: monotonic time at which the present phase has to be over.
        patience_s: what a sign of life moves the deadline to, from now.
        has_moved: there was a sign of life since the last sweep.
        is_write_paused: the client reads slower than the answer comes, so that no further request is taken.
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
        "deadline_s",
        "has_moved",
        "is_write_paused",
        "patience_s",
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
        self.deadline_s = math.inf
        self.patience_s = 0.0
        self.has_moved = False
        self.is_write_paused = False
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)

    def hold(self, size: int) -> bool:
        """Count body bytes against what may be held for all clients; refuse the request where that is too much."""
        gateway = self._gateway
        if gateway.held_body_bytes + size > gateway.limits.max_held_body_bytes:
            message = "the router holds too many large requests at this moment; retry later"
            self._refuse(503, "bodies_too_large", message, HELD_RETRY_S)
            return False
        gateway.held_body_bytes += size
        self._reserved_bytes += size
        return True

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

    def _refuse_body(self) -> None:
        limit = self._gateway.limits.max_body_bytes
        self._refuse(413, "body_too_large", f"the request's body exceeds {limit} bytes")

    def _refuse(self, status: int, reason: str, message: str, retry_after_s: float | None = None) -> None:
        """Refuse what is no request that is served, and count it."""
        self._turn_away(Refusal(status, reason, message, retry_after_s))
        self._gateway.dispatcher.count_refusal(reason)

    # What only the connection can do.

    @abstractmethod
    def _serve(self, body: bytes | bytearray | None) -> None:
        """Have the request served whose head was read; `body` is None where it has none."""

    @abstractmethod
    def _turn_away(self, refusal: Refusal) -> None:
        """Answer with a refusal, let go of what was taken, and close."""
