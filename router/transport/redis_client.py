"""The client for Redis, as everything opens it: at its address, or wherever Sentinels say that the master is."""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from router.transport.redis_address import master_name, without_password
from router.transport.redis_place import RedisPlace

TIMEOUT_S = 3.0
"""Longest wait for a connection; callers wait for an answer no longer than that, by `asyncio.timeout`."""


class _OfMaster(redis.asyncio.Redis):
    """A client of whichever Redis is the master; it closes those of the Sentinels with itself."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """See `redis.asyncio.Redis.aclose`."""
        await super().aclose(close_connection_pool)
        pool: Any = self.connection_pool
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


class _Sentinels(Sentinel):
    """Asks all of them at once, so that one which is gone holds nobody up; the first that knows the master is believed.

    redis-py asks one after the other, and waits for each as long as there is to wait for the master.
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """See `redis.asyncio.sentinel.Sentinel.discover_master`."""
        asked = [asyncio.create_task(self._ask(each, service_name)) for each in self.sentinels]
        troubles: set[str] = set()
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    return await answer
                except (RedisError, OSError) as error:
                    troubles.add(str(error))
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise MasterNotFoundError(f"no Sentinel knows a master {service_name!r}: {'; '.join(sorted(troubles))}")

    async def _ask(self, sentinel: redis.asyncio.Redis, service_name: str) -> tuple[str, int]:
        masters: Any = await sentinel.sentinel_masters()
        state = masters.get(service_name)
        if state is None or not self.check_master_state(state, service_name):
            raise MasterNotFoundError("one watches none, or holds it for down")
        return state["ip"], state["port"]


def open_redis(place: RedisPlace, *, timeout_s: float = TIMEOUT_S) -> redis.asyncio.Redis:
    """A client that connects when it is first asked, once for each thing that is asked at the same time.

    Without a timeout of its own for answers: redis-py sends under asyncio.wait_for then, which loses cancellations
    before Python 3.12.

    Args:
        place: where Redis is.
        timeout_s: longest wait for a connection.

    Raises:
        ValueError: the address is none of Redis.
    """
    url = without_password(place.url) if place.password else place.url
    options: dict[str, Any] = {"socket_connect_timeout": timeout_s, "socket_timeout": None, **place.tls}
    if place.password:
        options["password"] = place.password
    if not place.sentinels:
        return redis.asyncio.Redis.from_url(url, **options)
    return _by_sentinels(place, url, options, timeout_s)


def _by_sentinels(place: RedisPlace, url: str, options: dict[str, Any], timeout_s: float) -> redis.asyncio.Redis:
    parts: dict[str, Any] = dict(parse_url(url))
    name = master_name(url)
    for unused in ("host", "port", "connection_class"):
        parts.pop(unused, None)
    is_tls = url.startswith("rediss://")
    asking = {
        "socket_connect_timeout": timeout_s,
        "socket_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "ssl": is_tls,
        **place.tls,
    }
    if place.sentinel_password:
        asking["password"] = place.sentinel_password
    found = _Sentinels(  # type: ignore[no-untyped-call]
        [_address(each) for each in place.sentinels], sentinel_kwargs=asking
    )
    master: redis.asyncio.Redis = found.master_for(name, redis_class=_OfMaster, **{**parts, "ssl": is_tls, **options})
    return master


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
