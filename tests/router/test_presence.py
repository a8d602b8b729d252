"""With a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import random
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from controller.signals.router_state import read_state
from router import presence, redis_rights
from router.accounting import ClassCounts
from router.contract import encode
from router.contract_presence import Heard, encode_heard, unpack_state
from router.namesake import Identity
from router.presence import FORGET_S, Presence
from router.settings import TableSettings
from router.snapshot import InstanceView, Snapshot, TableView
from router.spent import Spent
from router.table_redis import RedisTableSource
from router.transport.redis_place import RedisPlace
from tests.fakes.redis_server import RedisServer, running_redis
from tests.fakes.routing import table
from tests.fakes.running import until
from tests.fakes.table_sink import RecordingSink

NOW_S = 1_700_000_000.0
ROOT = Path(__file__).parents[2]
KEY = "wattroute:allocation"
OVERLAP_S = 60.0


class Router:
    """One router's presence, whose load is set by hand."""

    def __init__(
        self,
        redis: RedisServer,
        name: str,
        load: int = 0,
        now_s: float = NOW_S,
        place: str | None = None,
        start: str | None = None,
        interval_s: float = 0.05,
    ) -> None:
        self.load, self.now_s, self.passed_s = load, now_s, 0.0
        self._ticks = itertools.count()
        self.shares: list[tuple[float, int]] = []
        settings = TableSettings(redis_url=redis.url, poll_interval_s=interval_s)
        self.presence = Presence(
            RedisPlace(place or redis.url),
            settings,
            who=Identity(name, start or f"start of {name}".replace(" ", "-"), OVERLAP_S),
            snapshot=self.snapshot,
            sink=self,
            wall_s=lambda: self.now_s + next(self._ticks),
            monotonic_s=lambda: self.passed_s,
            rng=random.Random(1),
        )

    def apply_share(self, share: float) -> None:
        self.shares.append((share, self.presence.routers))

    async def snapshot(self) -> Snapshot:
        counts = ClassCounts(class_id="standard", requests=7, in_flight=self.load, queued=0)
        instances = [
            InstanceView(f"pod-{n}", "fp8", "fp8", f"http://10.0.0.{n}:8000", "up", n, 100, False) for n in range(2)
        ]
        spent = [Spent("pod-1", "standard", 30, 40, 1)]
        return Snapshot(self.now_s, True, TableView("fresh", 3), [counts], [], instances, {}, spent=spent)

    def has(self, share: float, routers: int) -> bool:
        return bool(self.shares) and self.shares[-1] == (pytest.approx(share), routers)


@contextlib.asynccontextmanager
async def present(*routers: Router) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(router.presence.run()) for router in routers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_routers_that_hear_of_each_other_share_and_one_that_ends_leaves_its_part() -> None:
    async with running_redis() as redis:
        a, b = Router(redis, "a", load=9), Router(redis, "b", load=29)
        async with present(a, b) as (_, second):
            await until(lambda: a.has(0.25 + 0.5 * 10 / 40, 2) and b.has(0.25 + 0.5 * 30 / 40, 2))
            b.load = 9
            await until(lambda: a.has(0.5, 2) and b.has(0.5, 2))
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            await until(lambda: a.has(1.0, 1))


async def test_one_that_is_silent_counts_for_a_while_and_is_forgotten_later() -> None:
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        await client.hset(f"{KEY}:routers", "silent", encode_heard(Heard(NOW_S - 2.0, 0)))
        await client.hset(f"{KEY}:routers", "nonsense", b"\xff\x00")
        a = Router(redis, "a")
        async with present(a):
            await until(lambda: a.has(0.5, 2))
            a.passed_s = 10.0
            await until(lambda: a.has(1.0, 1))
            assert await names(client) == {"a", "silent"}
            a.passed_s = FORGET_S + 1.0
            await until(lambda: a.has(1.0, 1))
            async with asyncio.timeout(20):
                while await names(client) != {"a"}:
                    await asyncio.sleep(0.02)


async def test_one_that_tells_seldom_keeps_its_share_with_those_that_tell_often() -> None:
    async with running_redis() as redis:
        often, seldom = Router(redis, "often"), Router(redis, "seldom", interval_s=20.0)
        async with present(often, seldom):
            await until(lambda: often.has(0.5, 2))
            heard = len(often.shares)
            await until(lambda: len(often.shares) > heard + 3)
            often.passed_s = 90.0
            heard = len(often.shares)
            await until(lambda: len(often.shares) > heard + 3)
            assert often.has(0.5, 2)
            often.passed_s = 101.0
            await until(lambda: often.has(1.0, 1))


async def test_one_whose_clock_was_set_keeps_its_share_and_leaves_the_others_theirs() -> None:
    async with running_redis() as redis:
        a, b = Router(redis, "a", now_s=NOW_S - 7200.0), Router(redis, "b")
        async with present(a, b):
            await until(lambda: a.has(0.5, 2) and b.has(0.5, 2))
            for offset_s in (7200.0, -7200.0):
                b.now_s = NOW_S + offset_s
                before = len(a.shares), len(b.shares)
                await until(lambda before=before: len(a.shares) > before[0] + 3 and len(b.shares) > before[1] + 3)
                assert a.has(0.5, 2)
                assert b.has(0.5, 2)


async def test_of_many_each_hears_less_often_than_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "HEARD_EACH_TIME", 1)
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        a, b, c = (Router(redis, name) for name in "abc")
        async with present(a, b, c):
            await until(lambda: all(router.has(1 / 3, 3) for router in (a, b, c)))
            await client.config_resetstat()
            shares = len(a.shares)
            await until(lambda: len(a.shares) >= shares + 5)
            stats = await client.info("commandstats")
    assert stats["cmdstat_hset"]["calls"] > 2 * stats["cmdstat_hgetall"]["calls"]


async def names(client: Redis) -> set[str]:
    return {name.decode() for name in await client.hkeys(f"{KEY}:routers")}


async def test_its_state_stands_in_redis_as_a_controller_reads_it_and_goes_with_it() -> None:
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        a = Router(redis, "a", load=4)
        async with present(a):
            await until(lambda: bool(a.shares))
            state = read_state(json.loads(unpack_state(await client.get(f"{KEY}:router:a"))))
            assert 0 < await client.pttl(f"{KEY}:router:a") <= 10_000
        assert state.sequence == 3
        assert state.in_flight == {"standard": 4}
        assert state.counters["standard", "requests"] == 7
        assert state.on_instance == {"pod-1": 1}
        assert state.tokens["", "pod-1", "standard"] == (30, 40)
        assert await client.get(f"{KEY}:router:a") is None
        assert await client.hgetall(f"{KEY}:routers") == {}


async def test_while_redis_is_away_the_share_stays_and_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "router.presence")
    async with running_redis() as redis:
        a, b = Router(redis, "a"), Router(redis, "b")
        async with present(a, b):
            await until(lambda: a.has(0.5, 2) and b.has(0.5, 2))
            await redis.stop()
            await until(lambda: len(caplog.records) >= 2)
            heard = len(a.shares)
            await asyncio.sleep(0.5)
            assert len(a.shares) == heard
            await redis.start()
            await until(lambda: len(a.shares) > heard and a.has(0.5, 2) and b.has(0.5, 2))
    assert caplog.messages.count("other routers are not heard of; the share of caps stays as it is") == 2
    assert caplog.messages.count("routers are heard of again") == 2


async def test_an_acl_user_with_the_rights_of_the_reference_suffices() -> None:
    rules = (ROOT / "docs" / "reference" / "router.md").read_text()
    (line,) = re.findall(r"^ACL SETUSER router (.+)$", rules, re.M)
    async with running_redis() as redis, Redis.from_url(redis.url) as admin:
        await admin.execute_command("ACL", "SETUSER", "router", *line.replace("PASSWORD", "hunter2").split())
        url = redis.url.replace("//", "//router:hunter2@")
        sink, settings = RecordingSink(), TableSettings(redis_url=url, poll_interval_s=0.05)
        source = RedisTableSource(RedisPlace(url), settings, sink=sink, steady_s=time.time, rng=random.Random(1))
        reading = asyncio.create_task(source.run())
        a = Router(redis, "a")
        a.presence = Presence(
            RedisPlace(url),
            settings,
            who=Identity("a", "start", OVERLAP_S),
            snapshot=a.snapshot,
            sink=a,
            wall_s=time.time,
            monotonic_s=time.monotonic,
            rng=random.Random(1),
        )
        try:
            async with present(a):
                await admin.set(KEY, encode(table(sequence=4, issued_at_s=time.time())), px=30_000)
                await until(lambda: bool(sink.tables) and bool(a.shares))
            assert await admin.hgetall(f"{KEY}:routers") == {}, "it could leave, too"
            async with Redis.from_url(url) as stranger:
                with pytest.raises(NoPermissionError):
                    await stranger.set(KEY, "a table of its own")
                with pytest.raises(NoPermissionError):
                    await stranger.get("another")
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def test_a_user_that_may_not_tell_of_itself_is_told_so_once_and_asks_seldom(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_rights, "FIRST_S", 0.1)
    monkeypatch.setattr(redis_rights, "LONGEST_S", 0.1)
    caplog.set_level(logging.INFO)
    right = f"~{KEY}:router*"
    async with running_redis() as redis, Redis.from_url(redis.url) as admin:
        rules = "on >pw -@all +set +del +hset +hgetall +hdel +ping"
        await admin.execute_command("ACL", "SETUSER", "router", *rules.split())
        a = Router(redis, "a", place=redis.url.replace("//", "//router:pw@"))
        async with present(a):
            await until(lambda: a.presence.rights.missing == {"presence": right})
            await until_refused(admin, 4)
            assert a.shares == []
            await admin.execute_command("ACL", "SETUSER", "router", right)
            await until(lambda: a.has(1.0, 1))
            assert a.presence.rights.missing == {}
    assert [(record.levelno, record.__dict__["right"]) for record in caplog.records] == [
        (logging.WARNING, right),
        (logging.INFO, right),
    ]


async def until_refused(admin: Redis, times: int) -> None:
    async with asyncio.timeout(20):
        while sum(entry["count"] for entry in await admin.acl_log()) < times:
            await asyncio.sleep(0.02)


TAKEN = "another router has this one's name"
ITS_OWN = "no other router has this one's name any more"


async def test_two_of_one_name_share_the_caps_and_say_so_once_a_drain_would_be_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "router.presence")
    async with running_redis() as redis:
        a, again = Router(redis, "a", start="one"), Router(redis, "a", start="two")
        async with present(a, again) as (_, second):
            await until(lambda: a.has(0.5, 2) and again.has(0.5, 2))
            assert not a.presence.name_taken
            a.passed_s = again.passed_s = OVERLAP_S + 1.0
            await until(lambda: a.presence.name_taken and again.presence.name_taken)
            heard = len(a.shares)
            await until(lambda: len(a.shares) > heard + 5)
            assert caplog.messages.count(TAKEN) == 2, "each of them says it once"
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            heard = len(a.shares)
            await until(lambda: len(a.shares) > heard + 3)
            a.passed_s += 10.0
            await until(lambda: a.has(1.0, 1) and not a.presence.name_taken)
        assert caplog.messages.count(ITS_OWN) == 1


async def test_a_router_that_drains_while_its_successor_is_there_is_no_fault_and_leaves_what_that_one_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "router.presence")
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        old, new = Router(redis, "a", load=9, start="one"), Router(redis, "a", start="two")
        async with present(new):
            async with present(old):
                await until(lambda: new.has(0.25 + 0.5 / 11, 2) and old.has(0.25 + 5 / 11, 2))
            assert await names(client) == {"a"}
            assert await client.exists(f"{KEY}:router:a") == 1
            before = len(new.shares)
            await until(lambda: len(new.shares) > before + 3)
            new.passed_s = 10.0
            await until(lambda: new.has(1.0, 1))
        assert await client.hgetall(f"{KEY}:routers") == {}
    assert caplog.messages == []


async def test_what_a_killed_predecessor_has_left_takes_no_part_of_the_caps() -> None:
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        await client.hset(f"{KEY}:routers", "a", encode_heard(Heard(NOW_S, 50, 3, "before")))
        a = Router(redis, "a")
        async with present(a):
            await until(lambda: len(a.shares) > 3)
    assert set(a.shares) == {(1.0, 1)}
