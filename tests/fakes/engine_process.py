"""A fake engine in a process of its own, which can be frozen as a real one can: its kernel still takes connections."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.fakes.fake_engine import FakeEngine


@dataclass(frozen=True)
class EngineProcess:
    """A running engine."""

    url: str
    process: asyncio.subprocess.Process

    def freeze(self) -> None:
        """Stop it where it is."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def engine_process() -> AsyncIterator[EngineProcess]:
    """Start one on a port of the system's choice; on leaving it is killed."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().strip()
        yield EngineProcess(url, process)
    finally:
        process.kill()
        await process.wait()


async def _serve() -> None:
    async with FakeEngine() as engine:
        sys.stdout.write(f"{engine.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
