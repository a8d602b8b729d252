"""What the Redis source does without a Redis; with one, see tests/integration/test_redis_table.py."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port
from redis.asyncio import Redis

from router import contract_loads, load_source, redis_rights, table_redis
from router.contract import encode
from router.contract_presence import pack_state
from router.contract_rates import EnergyRates, encode_rates
from router.settings import TableSettings
from router.table_redis import CONNECT_S, RECONNECT_S, RedisTableSource
from router.transport.redis_client import open_redis
from router.transport.redis_place import RedisPlace, redis_place
from tests.fakes.certificates import Authority
from tests.fakes.redis_server import running_redis
from tests.fakes.routing import NOW_S, table
from tests.fakes.running import until
from tests.fakes.table_sink import RecordingSink, TakingSink
from tests.fakes.tls_front import tls_front


async def test_an_unreachable_redis_is_logged_once_without_its_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "router.table_source")
    url = f"redis://:hunter2@127.0.0.1:{unused_port()}/0"
    sink = RecordingSink()
    source = RedisTableSource(
        RedisPlace(url, password="hunter3"),
        TableSettings(redis_url=url),
        sink=sink,
        steady_s=lambda: NOW_S,
        rng=random.Random(1),
    )
    task = asyncio.create_task(source.run())
    async with asyncio.timeout(20):
        while not caplog.records:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert caplog.messages == ["allocation not fetched"]
    assert "hunter" not in str(caplog.records[0].__dict__)
    assert sink.tables == []


async def test_a_redis_that_does_not_answer_is_asked_again_after_the_same_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paused_s: list[float] = []

    def at_once(duration_s: float, _: random.Random) -> float:
        paused_s.append(duration_s)
        return 0.0

    monkeypatch.setattr(table_redis, "jittered_s", at_once)
    async with following(f"redis://127.0.0.1:{unused_port()}/0", RecordingSink()):
        await until(lambda: len(paused_s) >= 8)
    assert set(paused_s) == {RECONNECT_S}


async def test_a_connection_is_given_up_before_the_kernel_would_be_silent_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Redis] = []

    def opening(place: RedisPlace, *, timeout_s: float) -> Redis:
        opened.append(open_redis(place, timeout_s=timeout_s))
        return opened[-1]

    monkeypatch.setattr(table_redis, "open_redis", opening)
    async with following(f"redis://127.0.0.1:{unused_port()}/0", RecordingSink()):
        await until(lambda: opened)
    assert opened[0].connection_pool.connection_kwargs["socket_connect_timeout"] == CONNECT_S


async def test_an_address_redis_does_not_understand_is_trouble_and_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    source = RedisTableSource(
        RedisPlace("ftp://r"), TableSettings(), sink=RecordingSink(), steady_s=lambda: NOW_S, rng=random.Random(1)
    )
    task = asyncio.create_task(source.run())
    async with asyncio.timeout(20):
        while not caplog.records:
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("case", ["believed", "other authority", "other name", "stranger"])
async def test_a_redis_behind_tls(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    server = authority.issue("redis", "elsewhere.test") if case == "other name" else authority.issue("redis")
    client = (other if case == "stranger" else authority).issue("router", "router.test")
    tls = {"ca_file": (other if case == "other authority" else authority).file, **client.settings()}
    async with running_redis() as redis, tls_front(redis.port, server.server(clients=authority)) as port:
        async with Redis.from_url(redis.url) as writer:
            await writer.set("wattroute:allocation", encode(table()))
        url = f"rediss://127.0.0.1:{port}/0"
        settings = TableSettings.model_validate({"redis_url": url, "tls": tls})
        sink = RecordingSink()
        source = RedisTableSource(
            redis_place(settings, {}), settings, sink=sink, steady_s=lambda: NOW_S, rng=random.Random(1)
        )
        task = asyncio.create_task(source.run())
        try:
            await until(lambda: sink.tables or caplog.records)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert bool(sink.tables) is (case == "believed"), caplog.records


async def test_the_environments_password_takes_the_place_of_the_addresss() -> None:
    async with running_redis() as redis:
        async with Redis.from_url(redis.url) as writer:
            await writer.set("wattroute:allocation", encode(table()))
            await writer.config_set("requirepass", "p@ss/word")
        url = redis.url.replace("//", "//:old@")
        sink = RecordingSink()
        source = RedisTableSource(
            RedisPlace(url, password="p@ss/word"),
            TableSettings(redis_url=url),
            sink=sink,
            steady_s=lambda: NOW_S,
            rng=random.Random(1),
        )
        task = asyncio.create_task(source.run())
        try:
            await until(lambda: sink.tables)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def following(url: str, sink: RecordingSink, poll_interval_s: float = 1.0) -> AsyncIterator[None]:
    settings = TableSettings(redis_url=url, poll_interval_s=poll_interval_s)
    source = RedisTableSource(RedisPlace(url), settings, sink=sink, steady_s=lambda: NOW_S, rng=random.Random(1))
    task = asyncio.create_task(source.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("behind_s", [7200.0, -7200.0])
async def test_a_table_lives_as_long_as_its_key_whatever_the_clocks_show(behind_s: float) -> None:
    async with running_redis() as redis, Redis.from_url(redis.url) as writer:
        sink, told = RecordingSink(), table(issued_at_s=NOW_S - behind_s, ttl_s=30)
        await writer.set("wattroute:allocation", encode(told), px=30_000)
        async with following(redis.url, sink):
            await until(lambda: sink.tables)
            await writer.persist("wattroute:allocation")
            await until(lambda: sink.aheads_s[-1] == 0.0)
    assert sink.aheads_s[0] == pytest.approx(behind_s, abs=5.0)


async def test_a_table_is_sent_once_and_confirmed_by_its_head() -> None:
    async with running_redis() as redis, Redis.from_url(redis.url) as writer:
        sink = RecordingSink()

        async def sent() -> int:
            return int((await writer.info("commandstats"))["cmdstat_get"]["calls"])

        async with following(redis.url, sink, poll_interval_s=0.02):
            for sequence in (1, 2):
                told = table({"standard": {"bf16": 1.0}}, sequence=sequence)
                await writer.set("wattroute:allocation", encode(told), px=30_000)
                await until(lambda told=told: sink.tables.count(told) >= 5)
                before = await sent()
                await until(lambda told=told: sink.tables.count(told) >= 10)
                assert await sent() == before
    assert sink.sequences == [1, 2]
    assert len(sink.tables[0].weights) == 1


class Loads:
    def __init__(self) -> None:
        self.sequences: list[int] = []

    def heard(self, loads: contract_loads.Loads) -> None:
        self.sequences.append(loads.sequence)


def packed(sequence: int) -> bytes:
    return pack_state(contract_loads.encode_loads(contract_loads.Loads(sequence, 2, ())))


@contextlib.asynccontextmanager
async def with_loads(url: str, sink: RecordingSink, loads: Loads) -> AsyncIterator[RedisTableSource]:
    settings = TableSettings(redis_url=url, poll_interval_s=0.2)
    source = RedisTableSource(
        RedisPlace(url), settings, sink=sink, steady_s=lambda: NOW_S, rng=random.Random(1), loads=loads
    )
    task = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _has_refused_more(source: RedisTableSource, before: int) -> bool:
    return source.loads_refused > before


async def test_loads_are_read_beside_the_table_each_time_they_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_source, "READ_EVERY_S", 0.1)
    sink, loads = RecordingSink(), Loads()
    async with running_redis() as redis, Redis.from_url(redis.url) as writer:
        await writer.set("wattroute:allocation", encode(table()))
        await writer.set("wattroute:allocation:loads", packed(4))
        async with with_loads(redis.url, sink, loads) as source:
            await until(lambda: len(sink.tables) > 2)
            assert loads.sequences == []
            await writer.set("wattroute:allocation:loads", packed(5))
            await until(lambda: loads.sequences == [5])
            for malformed in (b"no zlib", packed(6)[:-3], pack_state(b"{}")):
                await writer.set("wattroute:allocation:loads", malformed)
                await until(functools.partial(_has_refused_more, source, source.loads_refused))
            await writer.delete("wattroute:allocation:loads")
            await writer.set("wattroute:allocation:loads", packed(7))
            await until(lambda: loads.sequences == [5, 7])
    assert sink.refused == []


KEY = "wattroute:allocation"
KEYS = {"table": f"%R~{KEY}", "announcements": f"&{KEY}", "energy": f"%R~{KEY}:energy", "loads": f"%R~{KEY}:loads"}
COMMANDS = "+getrange +pttl +multi +exec +get +subscribe +unsubscribe +ping"


@contextlib.asynccontextmanager
async def without(part: str, sink: TakingSink, loads: Loads) -> AsyncIterator[tuple[Redis, RedisTableSource]]:
    """The server's owner, and a source whose user has every right but the one of this part."""
    async with running_redis() as redis, Redis.from_url(redis.url) as owner:
        rules = [rule for name, rule in KEYS.items() if name != part]
        await owner.execute_command("ACL", "SETUSER", "router", *f"on >pw -@all {COMMANDS}".split(), *rules)
        await owner.set(KEY, encode(table(sequence=1)))
        await owner.set(f"{KEY}:energy", encode_rates(EnergyRates(NOW_S, NOW_S + 30, "shared", ())))
        await owner.set(f"{KEY}:loads", packed(1))
        await owner.config_resetstat()
        url = redis.url.replace("//", "//router:pw@")
        source = RedisTableSource(
            RedisPlace(url),
            TableSettings(redis_url=url, poll_interval_s=0.02),
            sink=sink,
            steady_s=lambda: NOW_S,
            rng=random.Random(1),
            rates=sink,
            loads=loads,
        )
        task = asyncio.create_task(source.run())
        try:
            yield owner, source
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("part", ["announcements", "energy", "loads"])
async def test_a_right_that_is_missing_costs_what_needs_it_alone_and_is_said_once(
    part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(load_source, "READ_EVERY_S", 0.05)
    monkeypatch.setattr(redis_rights, "FIRST_S", 0.1)
    monkeypatch.setattr(redis_rights, "LONGEST_S", 0.1)
    caplog.set_level(logging.WARNING)
    sink, loads = TakingSink(), Loads()
    async with without(part, sink, loads) as (owner, source):
        await until(lambda: len(sink.tables) > 30 and source.rights.missing == {part: KEYS[part]})
        await owner.set(KEY, encode(table(sequence=2)))
        await owner.set(f"{KEY}:loads", packed(2))
        await until(lambda: sink.sequences == [1, 2])
        await until(lambda: part == "energy" or bool(sink.rates))
        await until(lambda: part == "loads" or loads.sequences == [2])
        assert (await owner.info("stats"))["total_connections_received"] <= 2, "a right is no reason to connect anew"
        await owner.execute_command("ACL", "SETUSER", "router", KEYS[part])
        await until(lambda: source.rights.missing == {})
        await owner.set(f"{KEY}:loads", packed(3))
        await until(lambda: bool(sink.rates) and loads.sequences[-1:] == [3])
    assert [record.__dict__["right"] for record in caplog.records] == [KEYS[part]]


async def test_a_user_that_may_not_read_the_table_is_told_so_and_has_it_with_the_next_read_that_is_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    sink, loads = TakingSink(), Loads()
    async with without("table", sink, loads) as (owner, source):
        await until(lambda: len(sink.rates) > 10)
        assert source.rights.missing == {"table": KEYS["table"]}
        assert sink.tables == []
        assert (await owner.info("stats"))["total_connections_received"] <= 2
        await owner.execute_command("ACL", "SETUSER", "router", KEYS["table"])
        await until(lambda: sink.sequences == [1] and source.rights.missing == {})
    assert caplog.messages == ["Redis refuses a right; add it to the router's user", "allocation not fetched"]


async def test_a_right_to_the_channel_that_is_taken_away_costs_one_connection() -> None:
    sink, loads = TakingSink(), Loads()
    async with without("nothing", sink, loads) as (owner, source):
        await until(lambda: len(sink.tables) > 3)
        await owner.execute_command("ACL", "SETUSER", "router", "resetchannels")
        await until(lambda: source.rights.missing == {"announcements": KEYS["announcements"]}, 20.0)
        await owner.config_resetstat()
        seen = len(sink.tables)
        await until(lambda: len(sink.tables) > seen + 30)
        assert (await owner.info("stats"))["total_connections_received"] == 0
