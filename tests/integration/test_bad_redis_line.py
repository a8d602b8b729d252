"""A real router whose way to a real Redis is slow, or carries nothing for a while, under load."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from router.contract import encode
from tests.fakes.bad_line import BadLine, bad_line
from tests.fakes.fake_engine import MODEL, FakeEngine
from tests.fakes.redis_server import running_redis
from tests.fakes.router_process import RouterProcess, router_process
from tests.fakes.routing import table

KEY = "wattroute:allocation"
LIMIT_S = 30.0
BACK_S = 2.0
"""After the line is good again, the router goes by the table that holds now."""


class Play:
    """A router under load, and the one who publishes tables at the other end of the line."""

    def __init__(self, process: RouterProcess, session: aiohttp.ClientSession, client: Redis, line: BadLine) -> None:
        self.line = line
        self.answers: Counter[int | str] = Counter()
        self._process, self._session, self._client = process, session, client
        self._sequence = 0

    async def publish(self, ttl_s: float = 60.0) -> int:
        self._sequence += 1
        told = table({"default": {"bf16": 1.0}}, sequence=self._sequence, issued_at_s=time.time(), ttl_s=ttl_s)
        await self._client.set(KEY, encode(told), px=round(1000 * ttl_s))
        await self._client.publish(KEY, str(self._sequence))
        return self._sequence

    async def shown(self) -> dict[str, Any]:
        async with self._session.get(f"{self._process.admin_url}/state") as response:
            found: dict[str, Any] = (await response.json())["table"]
            return found

    async def until(self, state: str, sequence: int, limit_s: float = LIMIT_S) -> None:
        async with asyncio.timeout(limit_s):
            while ((found := await self.shown())["state"], found["sequence"]) != (state, sequence):
                await asyncio.sleep(0.05)

    async def ask(self) -> None:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
        while True:
            try:
                async with self._session.post(f"{self._process.url}/v1/chat/completions", json=body) as response:
                    self.answers[response.status] += 1
            except aiohttp.ClientError as error:
                self.answers[repr(error)] += 1
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def playing(folder: Path) -> AsyncIterator[Play]:
    async with (
        running_redis() as redis,
        bad_line(redis.port) as line,
        FakeEngine() as engine,
        aiohttp.ClientSession() as session,
        Redis.from_url(redis.url) as client,
    ):
        section = {"redis_url": f"redis://127.0.0.1:{line.port}/0"}
        async with router_process(folder, engine, sections={"table": section}, name="a") as process:
            play = Play(process, session, client, line)
            asking = asyncio.create_task(play.ask())
            try:
                yield play
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                line.delay_s = 0.0
                line.carries.set()
            assert set(play.answers) == {200}, play.answers


async def test_a_line_that_carries_nothing_leaves_the_last_table_and_the_next_one_comes_soon_after(
    tmp_path: Path,
) -> None:
    async with playing(tmp_path) as play:
        await play.until("fresh", await play.publish())
        for pause_s in (1.0, 8.0):
            before = (await play.shown())["sequence"]
            play.line.carries.clear()
            latest = await play.publish()
            if pause_s > 4.0:
                await play.until("last_good", before)
            await asyncio.sleep(pause_s)
            assert (await play.shown())["sequence"] == before
            play.line.carries.set()
            await play.until("fresh", latest, BACK_S)


async def test_a_line_that_carries_nothing_for_longer_than_the_table_holds(tmp_path: Path) -> None:
    async with playing(tmp_path) as play:
        await play.until("fresh", await play.publish(ttl_s=3.0))
        play.line.carries.clear()
        await play.until("static", -1)
        latest = await play.publish()
        play.line.carries.set()
        await play.until("fresh", latest, BACK_S)


async def test_a_slow_line_delays_tables_and_nothing_else(tmp_path: Path) -> None:
    async with playing(tmp_path) as play:
        await play.until("fresh", await play.publish())
        play.line.delay_s = 0.3
        for _ in range(3):
            latest = await play.publish()
            await play.until("fresh", latest, 6.0)
        for _ in range(20):
            assert (await play.shown())["state"] == "fresh"
            await asyncio.sleep(0.1)
        play.line.delay_s = 0.0
        await play.until("fresh", await play.publish(), BACK_S)
