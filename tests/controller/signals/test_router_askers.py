"""Routers in a real Redis; those at addresses are in test_routers.py."""

import json

import pytest
from redis.asyncio import Redis

from controller.errors import SignalError
from controller.model.observation import Missing
from controller.signals.router_askers import RedisRouters
from controller.signals.router_turns import Turns
from controller.signals.routers import ABSENT_AFTER_S, FORGET_AFTER_S, KEEP_S, RouterSource
from router.contract_presence import ROUTERS_SUFFIX, STATE_SUFFIX, Heard, encode_heard, pack_state
from tests.fakes.controller_parts import NOW_S
from tests.fakes.redis_server import running_redis
from tests.fakes.router_states import state

KEY = "wattroute:allocation"


async def tell(client, name, **figures):
    heard = Heard(NOW_S, 3, figures.get("sequence", -1))
    await client.hset(KEY + ROUTERS_SUFFIX, name, encode_heard(heard))
    await client.set(f"{KEY}{STATE_SUFFIX}{name}", pack_state(json.dumps(state(**figures)).encode()))


async def leave(client, name):
    await client.hdel(KEY + ROUTERS_SUFFIX, name)
    await client.delete(f"{KEY}{STATE_SUFFIX}{name}")


async def test_all_that_tell_of_themselves_are_summed():
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        await tell(client, "a", requests=10, sequence=5)
        await tell(client, "b", requests=100, sequence=4)
        seen = await RouterSource(RedisRouters(client, KEY)).read(NOW_S)
    assert seen.acknowledged_sequence == 4
    assert seen.demand[0].requests == 110


async def test_one_that_falls_silent_holds_back_and_one_that_ended_does_not():
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        source = RouterSource(RedisRouters(client, KEY))
        for name, sequence in (("stays", 9), ("silent", 5), ("ends", 4)):
            await tell(client, name, requests=10, sequence=sequence)
        first = await source.read(NOW_S)
        await client.delete(f"{KEY}{STATE_SUFFIX}silent")
        await leave(client, "ends")
        soon = await source.read(NOW_S + 1.0)
        later = await source.read(NOW_S + ABSENT_AFTER_S + 1.0)
        gone = await source.read(NOW_S + FORGET_AFTER_S + 1.0)
    assert [seen.acknowledged_sequence for seen in (first, soon, later, gone)] == [4, 4, 5, 9]
    assert gone.demand[0].requests == 30


async def test_where_it_is_not_the_turn_of_one_its_counts_stay_and_its_table_is_the_present_one():
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        source = RouterSource(RedisRouters(client, KEY, turns=Turns(most=1)))
        seen = []
        for requests, sequence in ((10, 5), (20, 6), (20, 6), (30, 7), (30, 7)):
            for name in ("a", "b"):
                await tell(client, name, requests=requests, sequence=sequence)
            seen.append(await source.read(NOW_S + len(seen)))
    assert [each.acknowledged_sequence for each in seen[1:]] == [6, 6, 7, 7]
    assert [each.demand[0].requests for each in seen] == [10, 30, 40, 50, 60]
    assert source.service.is_whole


async def test_a_redis_that_forgot_everything_has_nothing_counted_twice():
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        source = RouterSource(RedisRouters(client, KEY))
        await tell(client, "a", requests=10)
        await tell(client, "b", requests=20)
        await source.read(NOW_S)
        await client.flushall()
        empty = await source.read(NOW_S + 1.0)
        await tell(client, "a", requests=11)
        await source.read(NOW_S + 2.0)
        await tell(client, "b", requests=22)
        seen = await source.read(NOW_S + 600.0)
        assert isinstance(empty, Missing)
        assert seen.demand[0].requests == 33
        await leave(client, "b")
        await source.read(NOW_S + 600.0 + KEEP_S + 1.0)
        assert [name for name, _ in source.counted.routers] == ["a"]


async def test_what_no_router_told_is_that_routers_fault_alone():
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        await tell(client, "good", requests=10)
        for name, data in (("cut", pack_state(b"{}")[:-3]), ("nonsense", b"x"), ("list", pack_state(b"[]"))):
            await client.hset(KEY + ROUTERS_SUFFIX, name, encode_heard(Heard(NOW_S, 0)))
            await client.set(f"{KEY}{STATE_SUFFIX}{name}", data)
        await client.hset(KEY + ROUTERS_SUFFIX, "stranger", b"\xff")
        answers = await RedisRouters(client, KEY).ask()
    assert sorted(answers) == ["cut", "good", "list", "nonsense"]
    assert [name for name, answer in answers.items() if not isinstance(answer, SignalError)] == ["good"]


async def test_without_redis_or_routers_it_is_told_why():
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        with pytest.raises(SignalError, match="no router tells of itself"):
            await RedisRouters(client, KEY).ask()
        await redis.stop()
        with pytest.raises(SignalError, match=r"Error|no answer"):
            await RedisRouters(client, KEY, 0.3).ask()


async def test_routers_of_a_former_process_that_never_come_back_are_forgotten_after_a_day():
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        await tell(client, "a", requests=10)
        await tell(client, "gone", requests=20)
        former = RouterSource(RedisRouters(client, KEY))
        await former.read(NOW_S)
        await leave(client, "gone")
        source = RouterSource(RedisRouters(client, KEY), counted=former.counted)
        await source.read(NOW_S + 10.0)
        assert [name for name, _ in source.counted.routers] == ["a", "gone"]
        seen = await source.read(NOW_S + 20.0 + KEEP_S)
        assert [name for name, _ in source.counted.routers] == ["a"]
        assert seen.demand[0].requests == 30
