"""A lean streaming client: one asyncio.Protocol a connection, keep-alive, no task and no object per chunk.

It sends chat completions as OpenAI's client would; `controller.demo.answers` reads what comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

import httptools

from controller.demo.answers import Answer, StreamReader
from controller.simulation.latency import Latencies

MAX_IDLE = 512
MAX_ERROR_BYTES = 2048


class _Connection(asyncio.Protocol):
    """One keep-alive connection; serves one request at a time."""

    def __init__(self, client: StreamClient) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._reader: StreamReader | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._keeps_alive = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # TCP gives a full transport

    @property
    def usable(self) -> bool:
        """Whether a request may be sent on it."""
        return self._transport is not None and not self._transport.is_closing() and self._waiter is None

    async def exchange(self, request: bytes, answer: Answer) -> None:
        """Send a request and wait for its whole answer."""
        if self._transport is None:
            answer.problem = "the connection closed before the request was sent"
            return
        self._parser = httptools.HttpResponseParser(self)
        self._reader = StreamReader(answer, self._client.itl)
        self._waiter = self._loop.create_future()
        self._transport.write(request)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._reader = None
        if not self._keeps_alive:
            self.close()

    def close(self) -> None:
        """Close at once; a request under way is cut off."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; it calls the `on_` methods below."""
        if self._reader is None or self._parser is None:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._reader.answer.problem = f"not an HTTP answer: {error}"
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers that matter."""
        reader = self._reader
        if reader is None:
            return
        match name.lower():
            case b"x-wattroute-pool":
                reader.answer.pool = value.decode("latin-1")
            case b"x-wattroute-precision":
                reader.answer.precision = value.decode("latin-1")
            case b"retry-after":
                with contextlib.suppress(ValueError):
                    reader.answer.retry_after_s = float(value)

    def on_headers_complete(self) -> None:
        """Keep the status."""
        if self._reader is not None and self._parser is not None:
            self._reader.answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Read events, or the text of a refusal."""
        reader = self._reader
        if reader is None:
            return
        if reader.answer.status == 200:
            reader.feed(body, self._client.now())
        elif len(reader.answer.error_text) < MAX_ERROR_BYTES:
            reader.answer.error_text += body.decode("utf-8", "replace")

    def on_message_complete(self) -> None:
        """Wake the request."""
        self._keeps_alive = self._parser is not None and self._parser.should_keep_alive()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Wake the request that was under way, with the reason."""
        self._transport = None
        self._client.forget(self)
        if self._reader is not None and self._waiter is not None and not self._waiter.done():
            answer = self._reader.answer
            answer.problem = answer.problem or f"the connection closed: {error or 'by the peer'}"
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class StreamClient:
    """Connections to one address.

    Attributes:
        now: the clock of all times in answers.
        itl: gaps between tokens of all answers, as seen here.
        reconnects: requests sent anew because a reused connection had closed before any answer.
    """

    def __init__(self, host: str, port: int, now: Callable[[], float]) -> None:
        self._host = host
        self._port = port
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self.now = now
        self.itl = Latencies()
        self.reconnects = 0

    async def post(self, body: bytes, class_id: str) -> Answer:
        """Send one chat completion; the answer says itself what went wrong, nothing is raised."""
        request = b"".join(
            (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: ",
                f"{self._host}:{self._port}".encode(),
                b"\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\nx-wattroute-class: ",
                class_id.encode(),
                b"\r\nContent-Length: ",
                str(len(body)).encode(),
                b"\r\n\r\n",
                body,
            )
        )
        answer, reused = await self._attempt(request, fresh=False)
        if reused and answer.status == 0:
            # The server may close an idle connection at the moment it is used again; nothing was answered yet.
            self.reconnects += 1
            answer, _ = await self._attempt(request, fresh=True)
        return answer

    async def _attempt(self, request: bytes, *, fresh: bool) -> tuple[Answer, bool]:
        loop = asyncio.get_running_loop()
        answer = Answer(sent_s=self.now())
        connection = None if fresh else self._take_idle()
        reused = connection is not None
        if connection is None:
            try:
                _, connection = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
            except OSError as error:
                answer.problem = f"cannot connect to {self._host}:{self._port}: {error}"
                return answer, False
            self._open.add(connection)
        try:
            await connection.exchange(request, answer)
        except asyncio.CancelledError:
            connection.close()
            raise
        if connection.usable and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return answer, reused

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    def forget(self, connection: _Connection) -> None:
        """Drop a connection that has closed."""
        self._open.discard(connection)

    def close(self) -> None:
        """Close every connection."""
        for connection in [*self._open]:
            connection.close()
        self._idle.clear()
