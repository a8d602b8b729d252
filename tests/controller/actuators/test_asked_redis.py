"""How a Redis is asked by many things at once, on a real one."""

import asyncio
import signal

import pytest
import redis.asyncio

from controller.actuators.asked_redis import AT_ONCE, AskedRedis
from controller.errors import ActuationError, Superseded
from router.transport.redis_client import open_redis
from router.transport.redis_place import RedisPlace
from tests.fakes.redis_server import running_redis
from tests.fakes.sentinel import watched

MANY = 10 * AT_ONCE


async def write(asked, number):
    async with asked.within(f"value {number} not written") as client:
        await client.set(f"n{number}", number)


async def connections(url):
    async with redis.asyncio.Redis.from_url(url) as other:
        return (await other.info("clients"))["connected_clients"] - 1


async def test_many_things_at_once_all_succeed_over_a_few_connections():
    async with running_redis() as server:
        asked = AskedRedis(open_redis(RedisPlace(server.url)), target="redis://there", timeout_s=60.0)
        await asyncio.gather(*(write(asked, number) for number in range(MANY)))
        assert await connections(server.url) <= AT_ONCE
        async with asked.within("not counted") as client:
            assert await client.dbsize() == MANY
        await asked.close()


async def test_they_do_so_where_sentinels_tell_of_the_master(tmp_path):
    async with watched(tmp_path) as servers:
        place = RedisPlace("redis://mymaster/0", servers.settings.sentinels)
        asked = AskedRedis(open_redis(place), target=place.shown, timeout_s=60.0)
        await asyncio.gather(*(write(asked, number) for number in range(MANY)))
        async with asked.within("not counted") as client:
            assert await client.dbsize() == MANY
        await asked.close()


async def test_a_redis_that_hangs_is_told_of_each_thing_and_answers_again_afterwards():
    async with running_redis() as server:
        asked = AskedRedis(open_redis(RedisPlace(server.url)), target="redis://there", timeout_s=0.5)
        await write(asked, 0)
        server.process.send_signal(signal.SIGSTOP)
        told = await asyncio.gather(*(write(asked, number) for number in range(MANY)), return_exceptions=True)
        server.process.send_signal(signal.SIGCONT)
        assert all(isinstance(each, ActuationError) for each in told)
        for number, each in enumerate(told):
            assert f"redis://there: value {number} not written within 0.5 s" in str(each)
        waited = [f"the {AT_ONCE} commands before it are not answered" in str(each) for each in told]
        assert not waited[0]
        assert any(waited), "each had its turn: who waits for a connection has waited longer than it may"
        async with asyncio.timeout(60.0):
            while True:
                try:
                    await asyncio.gather(*(write(asked, number) for number in range(AT_ONCE)))
                    break
                except ActuationError:
                    await asyncio.sleep(0.05)
        await asked.close()


async def test_what_a_script_refuses_is_told_as_such():
    async with running_redis() as server:
        asked = AskedRedis(open_redis(RedisPlace(server.url)), target="redis://there")
        with pytest.raises(Superseded, match="table not written: b leads"):
            async with asked.within("table not written") as client:
                await client.eval("return redis.error_reply('SUPERSEDED b leads')", 0)
        await write(asked, 1)
        with pytest.raises(ActuationError, match="redis://there: rates not written: WRONGTYPE"):
            async with asked.within("rates not written") as client:
                await client.hgetall("n1")
        await asked.close()
