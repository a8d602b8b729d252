"""A real prometheus for tests, which scrapes given addresses every second."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
import pytest

START_LIMIT_S = 30.0
SCRAPE_S = 1.0


@dataclass
class PrometheusServer:
    """One server on a port the OS chose, and its process."""

    url: str
    process: asyncio.subprocess.Process

    async def until(self, query: str, is_met: Callable[[list[dict]], bool], limit_s: float = 30.0) -> list[dict]:
        """The result of an instant query, once it is as wished."""
        async with asyncio.timeout(limit_s), aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{self.url}/api/v1/query?query={quote(query)}") as response:
                    result = (await response.json())["data"]["result"]
                if is_met(result):
                    return result
                await asyncio.sleep(0.1)


def find_binary() -> str:
    """prometheus from PATH; skips the test where there is none."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("no prometheus on PATH")
    return found


@contextlib.asynccontextmanager
async def running_prometheus(
    folder: Path, *targets: str, relabel: list[dict] | None = None
) -> AsyncIterator[PrometheusServer]:
    """A server that scrapes `targets`, metrics addresses, as the job `test`."""
    binary = find_binary()
    places = [urlsplit(target) for target in targets]
    config = {
        "global": {"scrape_interval": f"{SCRAPE_S:g}s", "scrape_timeout": f"{SCRAPE_S:g}s"},
        "scrape_configs": [
            {
                "job_name": "test",
                "metrics_path": places[0].path,
                "static_configs": [{"targets": [place.netloc for place in places]}],
                "metric_relabel_configs": relabel or [],
            }
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            binary,
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    server = PrometheusServer(f"http://127.0.0.1:{port}", process)
    try:
        await _ready(server, folder / "prometheus.log")
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(server: PrometheusServer, log: Path) -> None:
    async with asyncio.timeout(START_LIMIT_S), aiohttp.ClientSession() as session:
        while True:
            if server.process.returncode is not None:
                raise RuntimeError(f"prometheus ended with {server.process.returncode}: {log.read_text()[-2000:]}")
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{server.url}/-/ready") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)
