"""A small HTTP/1.1 server that behaves as uvicorn does in front of vLLM.

One exchange at a time on a connection, pipelined ones wait. A client that closes its sending side counts as gone, as
it does with uvicorn. Idle connections are closed after five seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

import httptools

from controller.clock import Clock

KEEP_ALIVE_S = 5.0
MAX_HEAD_BYTES = 256 * 1024
MAX_BODY_BYTES = 64 << 20
MAX_PIPELINED = 16
EMULATED_HEADER = b"x-wattroute-emulated: 1\r\n"

Handler = Callable[["Exchange"], None]


class HttpServer:
    """What the connections of one listening port share."""

    def __init__(self, handler: Handler, clock: Clock) -> None:
        self.handler = handler
        self.connections: set[HttpConnection] = set()
        self._clock = clock
        self._date_s = -1
        self._date = b""

    def connection(self) -> HttpConnection:
        """A protocol for a new connection."""
        return HttpConnection(self)

    def date_header(self) -> bytes:
        """The date line, renewed each second."""
        now_s = int(self._clock.wall_s())
        if now_s != self._date_s:
            self._date_s = now_s
            self._date = f"date: {formatdate(now_s, usegmt=True)}\r\n".encode()
        return self._date

    def abort(self) -> None:
        """Drop all connections, as a process that ends does."""
        for connection in tuple(self.connections):
            connection.abort()


class Exchange:
    """A request and the way to answer it.

    Attributes:
        headers: by lower-case name; of a repeated one the last.
        on_disconnect: called once when the client leaves before the answer is complete.
    """

    __slots__ = ("_connection", "_done", "body", "headers", "keep_alive", "method", "on_disconnect", "path", "query")

    def __init__(self, connection: HttpConnection, method: str, path: str, query: str) -> None:
        self._connection = connection
        self._done = False
        self.method = method
        self.path = path
        self.query = query
        self.headers: dict[str, str] = {}
        self.body = b""
        self.keep_alive = True
        self.on_disconnect: Callable[[], None] | None = None

    def respond(
        self,
        status: int,
        body: bytes = b"",
        *,
        content_type: str = "application/json",
        extra: str = "",
        vary: bool = True,
    ) -> None:
        """Send a whole answer. `extra` holds further header lines, each ending in CRLF."""
        lines = [f"{extra}content-length: {len(body)}\r\n"]
        if body:
            lines.append(f"content-type: {content_type}\r\n")
        payload = b"" if self.method == "HEAD" else body
        self._finish(self._head(status, "".join(lines), vary) + payload)

    def begin_stream(self, content_type: str) -> None:
        """Send the head of a chunked answer; `write` and `end` follow."""
        head = self._head(HTTPStatus.OK, f"content-type: {content_type}\r\n", vary=True)
        self._connection.write(head[:-2] + b"transfer-encoding: chunked\r\n\r\n")

    def write(self, data: bytes) -> None:
        """Send ready-made chunks."""
        if not self._done:
            self._connection.write(data)

    def end(self, data: bytes) -> None:
        """Send the last chunks."""
        self._finish(data)

    def disconnected(self) -> None:
        """Tell whoever answers that nobody listens any more."""
        if not self._done:
            self._done = True
            if self.on_disconnect is not None:
                self.on_disconnect()

    def _finish(self, data: bytes) -> None:
        if not self._done:
            self._done = True
            self._connection.finish(self, data)

    def _head(self, status: int, lines: str, vary: bool) -> bytes:
        first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        rest = lines + ("vary: Origin\r\n" if vary else "")
        closing = b"" if self.keep_alive else b"connection: close\r\n"
        date = self._connection.server.date_header()
        return b"".join((first, date, b"server: uvicorn\r\n", rest.encode(), EMULATED_HEADER, closing, b"\r\n"))


class HttpConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take up the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.server.connections.add(self)
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything that waits for this client."""
        self.server.connections.discard(self)
        self._wake()
        self._transport = None
        current, self._current = self._current, None
        self._waiting.clear()
        if current is not None:
            current.disconnected()

    def eof_received(self) -> bool:
        """A client that stops sending counts as gone: close the connection."""
        return False

    def data_received(self, data: bytes) -> None:
        """Parse what came in."""
        self._wake()
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(HTTPStatus.BAD_REQUEST, "Unsupported upgrade request.")
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "Invalid HTTP request received.")
        if self._head_bytes > MAX_HEAD_BYTES and not self._body and self._url:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Request head too large.")
        if self._current is None and self._transport is not None and not self._transport.is_closing():
            self._rest()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = {}
        self._body = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head_bytes = 0
        if self._headers.get("expect", "").lower() == "100-continue" and self._current is None:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._head_bytes = 0
        self._body_bytes += len(data)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Request body larger than {MAX_BODY_BYTES} bytes.")
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """A request is complete: answer it, or let it wait for the one before."""
        self._head_bytes = 0
        path, _, query = self._url.decode("latin-1").partition("?")
        exchange = Exchange(self, self._parser.get_method().decode(), unquote(path), query)
        exchange.headers = self._headers
        exchange.body = b"".join(self._body)
        exchange.keep_alive = self._parser.should_keep_alive()
        self._body = []
        if self._current is None:
            self._serve(exchange)
        elif len(self._waiting) < MAX_PIPELINED:
            self._waiting.append(exchange)
        else:
            self.abort()

    def write(self, data: bytes) -> None:
        """Send bytes; what a slow client leaves in the buffer is bounded by the length of its answer."""
        if self._transport is not None:
            self._transport.write(data)

    def finish(self, exchange: Exchange, data: bytes) -> None:
        """Send the last bytes of an answer, then go on with the next request or rest."""
        self.write(data)
        self._current = None
        if self._transport is None:
            return
        if not exchange.keep_alive:
            self._transport.close()
        elif self._waiting:
            self._serve(self._waiting.popleft())
        else:
            self._rest()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _serve(self, exchange: Exchange) -> None:
        self._wake()
        self._current = exchange
        self.server.handler(exchange)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._current is None:
            head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            length = f"content-length: {len(message)}\r\nconnection: close\r\n\r\n"
            self._transport.write(head.encode() + EMULATED_HEADER + length.encode() + message.encode())
        self._transport.close()

    def _rest(self) -> None:
        self._wake()
        self._idle = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._close_idle)

    def _wake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _close_idle(self) -> None:
        if self._transport is not None and self._current is None:
            self._transport.close()
