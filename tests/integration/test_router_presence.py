"""Two real routers on a real Redis: they share caps, are read by a controller's source, and leave in good order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from controller.signals.router_askers import RedisRouters
from controller.signals.routers import RouterSource
from router.contract_presence import ROUTERS_SUFFIX
from tests.fakes.fake_engine import MODEL, FakeEngine
from tests.fakes.redis_server import RedisServer, running_redis
from tests.fakes.router_process import RouterProcess, router_process

KEY = "wattroute:allocation"
CAP = 8
LIMIT_S = 30.0


@contextlib.asynccontextmanager
async def router(
    folder: Path, redis: RedisServer, engine: FakeEngine, name: str, workers: int = 1
) -> AsyncIterator[RouterProcess]:
    own = folder / name
    own.mkdir()
    table = {"redis_url": redis.url, "poll_interval_s": 0.1}
    async with router_process(
        own, engine, workers=workers, pool={"max_in_flight": CAP}, sections={"table": table}, name=name
    ) as process:
        yield process


async def cap_of(session: aiohttp.ClientSession, process: RouterProcess) -> Any:
    async with session.get(f"{process.admin_url}/state") as response:
        return (await response.json())["instances"][0]["max_in_flight"]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await holds():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
async def test_routers_share_the_caps_and_one_that_is_killed_gives_its_part_back(tmp_path: Path, workers: int) -> None:
    async with (
        running_redis() as redis,
        FakeEngine() as engine,
        aiohttp.ClientSession() as session,
        Redis.from_url(redis.url) as client,
        router(tmp_path, redis, engine, "a", workers) as first,
    ):
        await until(lambda: _is(session, first, CAP))
        async with router(tmp_path, redis, engine, "b") as second:
            await until(lambda: _is(session, first, CAP // 2))
            await until(lambda: _is(session, second, CAP // 2))
            async with session.get(f"{first.admin_url}/metrics") as response:
                shown = await response.text()
            assert "wattroute_router_routers_known 2.0" in shown
            assert "wattroute_router_caps_share_frac 0.5" in shown
        await until(lambda: _is(session, first, CAP))
        with contextlib.suppress(AssertionError):  # it does not stop in good order
            async with router(tmp_path, redis, engine, "c") as third:
                await until(lambda: _is(session, first, CAP // 2))
                os.kill(third.pid, signal.SIGKILL)
        assert {name.decode() for name in await client.hkeys(KEY + ROUTERS_SUFFIX)} == {"a", "c"}
        await until(lambda: _is(session, first, CAP))


async def _is(session: aiohttp.ClientSession, process: RouterProcess, cap: int) -> bool:
    return bool(await cap_of(session, process) == cap)


async def test_a_controller_reads_them_all_and_forgets_those_that_end(tmp_path: Path) -> None:
    async with running_redis() as redis, FakeEngine() as engine, Redis.from_url(redis.url) as client:
        source = RouterSource(RedisRouters(client, KEY))
        async with aiohttp.ClientSession() as session, router(tmp_path, redis, engine, "a") as first:
            async with router(tmp_path, redis, engine, "b") as second:
                for process in (first, second, second):
                    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
                    async with session.post(f"{process.url}/v1/chat/completions", json=body) as response:
                        assert response.status == 200

                async def all_told() -> bool:
                    seen = await source.read(1000.0)
                    return bool(getattr(seen, "demand", ()) and seen.demand[0].requests == 3)  # type: ignore[union-attr]

                await until(all_told)
                assert {name for name, _ in source.counted.routers} == {"a", "b"}
            assert {name.decode() for name in await client.hkeys(KEY + ROUTERS_SUFFIX)} == {"a"}
            seen = await source.read(1001.0)
            assert seen.demand[0].requests == 3  # type: ignore[union-attr]
        assert await client.keys("*router*") == []
