import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ConnectionError

from router.transport.redis_client import open_redis
from router.transport.redis_place import RedisPlace
from tests.fakes.sentinel import watched


async def test_the_password_of_the_environment_takes_the_place_of_the_address() -> None:
    async with open_redis(RedisPlace("redis://user:old@127.0.0.1:1/0", password="new")) as client:
        assert client.connection_pool.connection_kwargs["password"] == "new"
    async with open_redis(RedisPlace("redis://:own@127.0.0.1:1/0")) as client:
        assert client.connection_pool.connection_kwargs["password"] == "own"


def test_an_address_that_is_none_of_redis_is_refused() -> None:
    with pytest.raises(ValueError, match="redis://"):
        open_redis(RedisPlace("ftp://r"))


async def test_with_sentinels_the_address_names_the_master_and_its_credentials_and_database() -> None:
    place = RedisPlace("redis://user:old@MyMaster/3", ("10.0.0.1:26379", "[::1]:26380"), password="new")
    async with open_redis(place) as client:
        pool = client.connection_pool
        assert isinstance(pool, SentinelConnectionPool)
        given = pool.connection_kwargs
        asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
    assert pool.service_name == "MyMaster", "names of masters have a case"
    assert (given["username"], given["password"], given["db"]) == ("user", "new", 3)
    assert [(each["host"], each["port"], each.get("password")) for each in asked] == [
        ("10.0.0.1", 26379, None),
        ("::1", 26380, None),
    ]


async def test_a_sentinel_that_is_gone_or_silent_holds_nobody_up_and_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gone, mute = (f"127.0.0.1:{port}" for port in (unused_port(), silent.getsockname()[1]))
        async with watched(tmp_path) as redis:
            (sound,) = redis.settings.sentinels
            for others in ((gone,), (mute,), (mute, gone, mute)):
                place = RedisPlace("redis://mymaster/0", (*others, sound))
                # Within this time nobody waits for one that is silent, and then for the next.
                async with open_redis(place, timeout_s=60.0) as client, asyncio.timeout(50.0):
                    assert await client.ping()
            async with open_redis(RedisPlace("redis://stranger/0", (gone, sound))) as client:
                with pytest.raises(ConnectionError, match=r"master 'stranger': .* connecting to .*; one watches none"):
                    await client.ping()


def test_no_password_is_shown() -> None:
    place = RedisPlace("redis://u:hunter2@r/0", password="hunter3", sentinel_password="hunter4")
    assert "hunter" not in repr(place)
    assert "hunter" not in place.shown
