"""A line to a server on this machine that can be cut: what is open ends, what is new is refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass
class CutLine:
    """Attributes: `is_cut` ends each new connection unanswered; each answer is a connection of its own."""

    port: int
    is_cut: bool = False


@contextlib.asynccontextmanager
async def cut_off(upstream: int) -> AsyncIterator[CutLine]:
    """The line, on a port that the OS chose."""
    line = CutLine(0)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            if line.is_cut:
                return
            there, back = await asyncio.open_connection("127.0.0.1", upstream)
            with contextlib.closing(back):
                first, _, rest = head.partition(b"\r\n")
                fields = [f for f in rest.split(b"\r\n") if f and not f.lower().startswith(b"connection:")]
                back.write(b"\r\n".join([first, *fields, b"Connection: close", b"", b""]))
                while chunk := await there.read(65536):
                    writer.write(chunk)
                    await writer.drain()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        line.port = server.sockets[0].getsockname()[1]
        yield line
