"""With a real Redis and users that it knows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from router import redis_rights
from router.announcements import Announcements
from router.redis_rights import Rights
from tests.fakes.redis_server import running_redis

CHANNEL = "wattroute:allocation"
LONG_S = 600.0


@contextlib.asynccontextmanager
async def announcing(rules: str) -> AsyncIterator[tuple[Redis, Announcements, Rights]]:
    """The server's owner, and the announcements that a user with these rights hears."""
    async with running_redis() as redis, Redis.from_url(redis.url) as owner:
        await owner.execute_command("ACL", "SETUSER", "router", *f"on >pw -@all +subscribe +ping {rules}".split())
        url = redis.url.replace("//", "//router:pw@")
        async with Redis.from_url(url) as client, client.pubsub() as pubsub:
            rights = Rights("redis", lambda: 1.0)
            yield owner, Announcements(pubsub, CHANNEL, rights), rights


async def test_an_announcement_ends_the_wait() -> None:
    async with announcing(f"&{CHANNEL}") as (owner, announcements, rights):
        await announcements.begin()
        async with asyncio.timeout(20):
            await announcements.wait(LONG_S)  # the answer to the subscription
            waiting = asyncio.create_task(announcements.wait(LONG_S))
            await owner.publish(CHANNEL, "1")
            await waiting
    assert rights.missing == {}


async def test_without_the_right_each_wait_lasts_and_the_channel_is_had_once_it_is_granted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_rights, "FIRST_S", 0.2)
    monkeypatch.setattr(redis_rights, "LONGEST_S", 0.2)
    async with announcing("") as (owner, announcements, rights):
        await announcements.begin()
        async with asyncio.timeout(20):
            await announcements.wait(LONG_S)
            assert rights.missing == {"announcements": f"&{CHANNEL}"}
            await announcements.wait(0.01)
            await owner.execute_command("ACL", "SETUSER", "router", f"&{CHANNEL}")
            while rights.missing:
                await announcements.wait(0.05)
            waiting = asyncio.create_task(announcements.wait(LONG_S))
            await owner.publish(CHANNEL, "1")
            await waiting


async def test_the_channel_is_not_asked_for_before_its_time() -> None:
    async with announcing("") as (owner, announcements, _):
        for _ in range(5):
            await announcements.begin()
            await announcements.wait(0.01)
        (entry,) = [each for each in await owner.acl_log() if each["object"] == CHANNEL]
        assert entry["count"] == 1


async def test_without_the_right_to_subscribe_that_is_named() -> None:
    async with announcing(f"-subscribe &{CHANNEL}") as (_, announcements, rights):
        await announcements.begin()
        await announcements.wait(LONG_S)
        assert rights.missing == {"announcements": "+subscribe"}


async def test_a_lost_connection_is_the_callers() -> None:
    async with announcing(f"&{CHANNEL}") as (owner, announcements, _):
        await announcements.begin()
        async with asyncio.timeout(20):
            await announcements.wait(LONG_S)
            waiting = asyncio.create_task(announcements.wait(LONG_S))
            await owner.execute_command("ACL", "DELUSER", "router")
            with pytest.raises(RedisError):
                await waiting
