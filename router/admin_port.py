"""A small HTTP/1.1 server for the admin port: few connections, short requests, whole answers.

It shares nothing with the public port, so that what watches the router works while that is overloaded, and it needs
no web framework, which would cost a router more memory than its own code.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import httptools

from router.openai import error_body

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 65_536
"""Head and body of one request; no verb of the admin port needs more."""
MAX_CONNECTIONS = 256
"""Connections held at once; further ones are closed."""
MAX_PIPELINED = 16
"""Requests that one connection may send ahead of their answers."""
IDLE_S = 75.0
"""Longest time from one request's end to the next one's."""
LINGER_S = 2.0
"""How long a refused client may go on sending: an end at once could cost it the refusal."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; field names are lower case."""

    method: str
    path: str
    fields: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    fields: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


def refusal(status: int, message: str, **fields: str) -> Response:
    """An error in the form that the public port uses, too; `fields` are added to its head."""
    reason = HTTPStatus(status).phrase
    return Response(error_body(message, type_=reason, code=status), status, fields=fields)


class AdminPort:
    """Serves a socket until closed.

    Args:
        handler: answers each request; what it raises becomes a 500 and is logged.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[AdminConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Listen on a bound socket."""
        self._server = await asyncio.get_running_loop().create_server(lambda: AdminConnection(self), sock=sock)

    async def close(self) -> None:
        """Take no more connections and end those that stand."""
        if self._server is not None:
            self._server.close()
        tasks = [connection.end() for connection in list(self.connections)]
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)


class AdminConnection(asyncio.Protocol):
    """One connection: its requests are answered one after the other."""

    def __init__(self, port: AdminPort) -> None:
        self._port = port
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_refused = False
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._fields: dict[str, str] = {}
        self._body = b""
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, or close where there are too many connections."""
        self._transport = cast(asyncio.Transport, transport)
        if len(self._port.connections) >= MAX_CONNECTIONS:
            self._transport.abort()
            return
        self._port.connections.add(self)
        self._watch(IDLE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was asked."""
        self._port.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def end(self) -> asyncio.Task[None] | None:
        """Close; gives what is still being answered."""
        self._transport.abort()
        return self._task

    def data_received(self, data: bytes) -> None:
        """Take a request's bytes."""
        if self._is_refused:
            return
        self._size += len(data)
        if self._size > MAX_REQUEST_BYTES:
            self._refuse(413, f"the request exceeds {MAX_REQUEST_BYTES} bytes")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(501, "the admin port speaks plain HTTP/1.1")
        except httptools.HttpParserError as error:
            self._refuse(400, f"malformed request: {error}")

    def pause_writing(self) -> None:
        """The client reads slowly: take no more requests from it."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._transport.resume_reading()

    # What the parser finds.

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field."""
        self._fields[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """A whole request."""
        path = self._target.decode("latin-1").partition("?")[0]
        request = Request(self._parser.get_method().decode("ascii"), path, self._fields, self._body)
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._begin()
        self._watch(IDLE_S)
        if len(self._waiting) > MAX_PIPELINED:
            self._transport.abort()
        elif self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    # The answers.

    async def _answer_all(self) -> None:
        while self._waiting and not self._transport.is_closing():
            request, keep_alive = self._waiting.popleft()
            try:
                response = await self._port.handler(request)
            except Exception:
                # The outermost frame of a request: whatever its handler missed, the port goes on serving.
                log.exception("admin request failed", extra={"method": request.method, "path": request.path})
                response = refusal(500, f"{request.method} {request.path} failed; see the router's log")
            self._write(response, keep_alive=keep_alive, is_head=request.method == "HEAD")
            if not keep_alive:
                self._transport.close()
        self._task = None

    def _write(self, response: Response, *, keep_alive: bool, is_head: bool = False) -> None:
        lines = [
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
            f"content-type: {response.content_type}",
            f"content-length: {len(response.body)}",
            "cache-control: no-store",
            *(f"{name}: {value}" for name, value in response.fields.items()),
            *(() if keep_alive else ("connection: close",)),
            "\r\n",
        ]
        self._transport.write("\r\n".join(lines).encode("latin-1") + (b"" if is_head else response.body))

    def _refuse(self, status: int, message: str) -> None:
        self._is_refused = True
        self._waiting.clear()
        self._write(refusal(status, message), keep_alive=False)
        self._transport.write_eof()
        self._watch(LINGER_S)

    def _watch(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)
