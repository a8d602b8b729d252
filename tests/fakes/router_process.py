"""The router as users run it: a process of its own, on ports of the system's choice."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml

_LISTENS = re.compile(r"router listens (?:.*\bport=(\d+) )?(?:.* )?admin_port=(\d+)")


class Engine(Protocol):
    """An engine to be put behind it."""

    @property
    def url(self) -> str:
        """Where it listens."""


@dataclass
class RouterProcess:
    """A running router."""

    port: int
    admin_port: int
    pid: int
    log: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"


@contextlib.asynccontextmanager
async def router_process(
    folder: Path,
    *engines: Engine,
    workers: int = 1,
    pool: Mapping[str, object] | None = None,
    sections: Mapping[str, object] | None = None,
    **router: dict,
) -> AsyncIterator[RouterProcess]:
    """Start the router in front of one pool of `engines`; on leaving it must stop with exit code 0.

    Args:
        folder: for its configuration file.
        engines: instances of the pool.
        workers: processes.
        pool: further settings of the pool.
        sections: further sections of the file.
        router: further settings of the section `router`.
    """
    file = folder / "wattroute.yaml"
    urls = [engine.url for engine in engines]
    listed = {"name": "bf16", "precision": "bf16", "instances": urls, **(pool or {})}
    section = {"port": 0, "admin_port": 0, "workers": workers, **router}
    section["timeouts"] = {"drain_s": 2.0, **router.get("timeouts", {})}
    file.write_text(yaml.safe_dump({"pools": [listed], "router": section, **(sections or {})}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router.cli", "--config", str(file), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    log: list[str] = []
    match = None
    while match is None:
        line = (await process.stderr.readline()).decode()
        assert line, f"the router did not start: {log}"
        log.append(line)
        match = _LISTENS.search(line)
    reading = asyncio.create_task(_read(process.stderr, log))
    try:
        yield RouterProcess(int(match[1] or 0), int(match[2]), process.pid, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            code = await process.wait()
        await reading
    assert code == 0, log
    assert not [line for line in log if "Traceback" in line], log


async def _read(stream: asyncio.StreamReader, log: list[str]) -> None:
    async for line in stream:
        log.append(line.decode())
