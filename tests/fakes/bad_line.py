"""A line to a server on this machine that can be slow, or carry nothing, as where a network is partitioned."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

CHUNK = 65_536


@dataclass
class BadLine:
    """What the line is like; it may be changed while it is used.

    Attributes:
        delay_s: how long each piece takes, each way.
        carries: set where anything comes through; what is sent meanwhile comes later, as TCP has it.
    """

    port: int
    delay_s: float = 0.0
    carries: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One way, until its end."""
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while chunk := await reader.read(CHUNK):
                await asyncio.sleep(self.delay_s)
                await self.carries.wait()
                writer.write(chunk)
                await writer.drain()


@contextlib.asynccontextmanager
async def bad_line(upstream: int) -> AsyncIterator[BadLine]:
    """The line, on a port that the OS chose; good at first."""
    line = BadLine(0)
    line.carries.set()

    async def both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await line.carries.wait()
        there, back = await asyncio.open_connection("127.0.0.1", upstream)
        await asyncio.gather(line.carry(reader, back), line.carry(there, writer))

    server = await asyncio.start_server(both_ways, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        line.carries.set()
        server.close()
