"""The allocation through a real Redis: announced tables, lost connections, wrong contents, passwords."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from router.contract import AllocationTable, InstanceId, encode
from router.contract_rates import EnergyRate, EnergyRates, encode_rates
from router.dispatch import Choice, Dispatcher
from router.rate_source import RateSink
from router.settings import TableSettings
from router.table_redis import RedisTableSource
from router.table_source import TableSink
from router.transport.redis_place import RedisPlace
from tests.fakes.redis_server import PASSWORD, RedisServer, running_redis
from tests.fakes.routing import ask, router_file, table
from tests.fakes.table_sink import LIMIT_S, RecordingSink, TakingSink

KEY = "wattroute:allocation"
SLOW_POLL_S = 600.0


@contextlib.asynccontextmanager
async def following(
    server: RedisServer,
    sink: TableSink,
    *,
    poll_interval_s: float = 0.05,
    password: str | None = None,
    rates: RateSink | None = None,
) -> AsyncIterator[None]:
    settings = TableSettings(redis_url=server.url, poll_interval_s=poll_interval_s)
    source = RedisTableSource(
        RedisPlace(server.url, password=password),
        settings,
        sink=sink,
        steady_s=time.time,
        rng=random.Random(1),
        rates=rates,
    )
    task = asyncio.create_task(source.run())
    try:
        yield
    finally:
        assert not task.done(), "the source has ended"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def fresh(sequence: int, **parts: object) -> AllocationTable:
    return table({"standard": {"fp8": 1.0}}, sequence=sequence, issued_at_s=time.time(), **parts)  # type: ignore[arg-type]


async def publish(server: RedisServer, value: bytes, *, announce: bool = True, password: str | None = None) -> None:
    async with redis.asyncio.Redis.from_url(server.url, password=password) as client:
        await client.set(KEY, value, px=30_000)
        if announce:
            await client.publish(KEY, "1")


async def test_an_announced_table_is_read_long_before_the_next_poll() -> None:
    sink = RecordingSink()
    async with running_redis() as server:
        await publish(server, encode(fresh(1)))
        async with following(server, sink, poll_interval_s=SLOW_POLL_S):
            await sink.until(lambda: sink.sequences == [1])
            await publish(server, encode(fresh(2)))
            await sink.until(lambda: sink.sequences == [1, 2])


async def test_a_table_nobody_announced_is_found_by_polling() -> None:
    sink = RecordingSink()
    async with running_redis() as server, following(server, sink):
        await publish(server, encode(fresh(1)), announce=False)
        await sink.until(lambda: sink.sequences == [1])
        await sink.until(lambda: len(sink.tables) >= 3)


async def test_a_malformed_table_is_refused_and_the_next_good_one_taken() -> None:
    sink = RecordingSink()
    async with running_redis() as server, following(server, sink):
        await publish(server, b'{"schema_version": 7}')
        await sink.until(lambda: "malformed" in sink.refused)
        assert sink.tables == []
        await publish(server, encode(fresh(2)))
        await sink.until(lambda: sink.sequences == [2])


async def test_a_redis_that_went_away_and_came_back_is_found_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "router.table_source")
    sink = RecordingSink()
    async with running_redis() as server, following(server, sink):
        await publish(server, encode(fresh(1)))
        await sink.until(lambda: sink.sequences == [1])
        await server.stop()
        async with asyncio.timeout(LIMIT_S):
            while "allocation not fetched" not in caplog.messages:
                await asyncio.sleep(0.01)
        await server.start()
        await publish(server, encode(fresh(2)))
        await sink.until(lambda: sink.sequences == [1, 2])
        assert "allocation source answers again" in caplog.messages


async def test_the_password_comes_from_outside_the_address(caplog: pytest.LogCaptureFixture) -> None:
    sink = RecordingSink()
    async with running_redis(PASSWORD) as server:
        async with following(server, sink):
            async with asyncio.timeout(LIMIT_S):
                while not caplog.records:
                    await asyncio.sleep(0.01)
            assert "Authentication" in caplog.records[0].__dict__["reason"]
        await publish(server, encode(fresh(1)), password=PASSWORD)
        async with following(server, sink, password=PASSWORD):
            await sink.until(lambda: sink.sequences == [1])
    assert PASSWORD not in caplog.text


async def test_the_router_obeys_what_redis_holds_and_falls_back_when_it_expires() -> None:
    dispatcher = Dispatcher(router_file({"bf16": 1, "fp8": 1}, weights={"fp8": 0.0}, cap=1000))

    def pool_of_next() -> str:
        choice = dispatcher.choose(ask(dispatcher), time.time())
        assert isinstance(choice, Choice)
        return choice.spec.pool_id

    assert pool_of_next() == "bf16"
    async with running_redis() as server, following(server, dispatcher):
        await publish(server, encode(fresh(7, ttl_s=2.0)))
        async with asyncio.timeout(LIMIT_S):
            while pool_of_next() != "fp8":
                await asyncio.sleep(0.01)
            assert dispatcher.state(time.time()).table.sequence == 7
            await server.stop()
            while pool_of_next() != "bf16":
                await asyncio.sleep(0.01)
    assert dispatcher.state(time.time()).table.state == "static"


async def test_energy_rates_that_are_lost_and_found_are_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Taken(RecordingSink):
        def apply_rates(self, rates: EnergyRates, now_s: float) -> None:
            self._changed.set()

    def told(message: str) -> list[str]:
        return [str(record.__dict__.get("reason")) for record in caplog.records if record.message == message]

    async def until_told(message: str, count: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while len(told(message)) < count:
                await asyncio.sleep(0.01)

    caplog.set_level(logging.INFO, "router.rate_source")
    sink, now_s = Taken(), time.time()
    rates = encode_rates(EnergyRates(now_s, now_s + 30, "shared", (EnergyRate(InstanceId("a"), 0.01, 0.5, "direct"),)))
    async with running_redis() as server:
        await publish(server, encode(fresh(1)))
        async with following(server, sink, rates=sink):
            await until_told("energy rates not known", 1)
            assert "holds no rates" in told("energy rates not known")[0]
            async with redis.asyncio.Redis.from_url(server.url) as client:
                await client.set(f"{KEY}:energy", rates)
            await until_told("energy rates are known again", 1)
            await server.stop()
            await until_told("energy rates not known", 2)
            await server.start()
            await publish(server, encode(fresh(2)))
            async with redis.asyncio.Redis.from_url(server.url) as client:
                await client.set(f"{KEY}:energy", rates)
            await until_told("energy rates are known again", 2)


async def test_energy_rates_come_from_beside_the_table() -> None:
    sink, now_s = TakingSink(), time.time()
    rates = EnergyRates(now_s, now_s + 30, "shared", (EnergyRate(InstanceId("a"), 0.01, 0.5, "direct"),))
    async with running_redis() as server, redis.asyncio.Redis.from_url(server.url) as client:
        await client.set(f"{KEY}:energy", encode_rates(rates))
        async with following(server, sink, rates=sink):
            await sink.until(lambda: bool(sink.rates))
            assert sink.rates[0] == rates
            # Rates that cannot be read cost the table nothing.
            await client.set(f"{KEY}:energy", b"{")
            await publish(server, encode(fresh(3)))
            await sink.until(lambda: sink.sequences == [3])
