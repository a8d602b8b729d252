"""Fail-over of a real Redis by a real Sentinel: the table's readers and writers go on at the new master."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from controller.actuators.allocation_redis import RedisPublisher
from controller.clock import SystemClock
from controller.errors import ActuationError
from controller.model.plan import Commands
from router.contract import AllocationTable
from router.table_redis import RedisTableSource
from router.transport.redis_place import redis_place
from tests.fakes.routing import table
from tests.fakes.sentinel import watched
from tests.fakes.table_sink import RecordingSink

LIMIT_S = 60.0


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
            async with Redis(port=redis.replica) as promoted:
                assert (await promoted.info("replication"))["role"] == "master"
                assert await promoted.get("wattroute:allocation") is not None
            assert [each.sequence for each in sink.tables] == sorted(each.sequence for each in sink.tables)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await publisher.close()
