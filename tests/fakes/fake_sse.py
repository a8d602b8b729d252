"""A server of server-sent events whose events a test sends, and whose connections it breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from aiohttp import web


class FakeSse:
    """Every open connection gets every event."""

    def __init__(self) -> None:
        self.connections = 0
        self.greeting = b""
        self._open: set[asyncio.Queue[bytes | None]] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.connections += 1
        with self._listening() as queue:
            await response.write(self.greeting)
            while (event := await queue.get()) is not None:
                await response.write(event)
        return response

    def send(self, event: bytes) -> None:
        for queue in self._open:
            queue.put_nowait(event)

    def hang_up(self) -> None:
        for queue in self._open:
            queue.put_nowait(None)

    async def until_connected(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.connections < count or not self._open:
                await asyncio.sleep(0.01)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[asyncio.Queue[bytes | None]]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._open.add(queue)
        try:
            yield queue
        finally:
            self._open.discard(queue)


async def until(is_met, limit_s: float = 20.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(limit_s):
        while not is_met():
            await asyncio.sleep(0.01)
