"""The allocation table from Redis: read from its key at every interval, and at once when a new one is announced."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from router.errors import TableSourceError
from router.settings import TableSettings
from router.table_source import JITTER_FRAC, TableReporter, TableSink

TIMEOUT_S = 3.0
MIN_BACK_OFF_S = 0.25
MAX_BACK_OFF_S = 15.0


class RedisTableSource:
    """Follows the table in Redis until cancelled, reconnecting with growing pauses.

    Args:
        url: of Redis; a password in it is used but never logged.
        settings: key, and how often to read it.
        sink: takes the tables.
        wall_s: the wall clock.
        rng: spreads reads and reconnections.
        password: takes the place of the url's, for the environment variable REDIS_PASSWORD.
    """

    def __init__(
        self,
        url: str,
        settings: TableSettings,
        *,
        sink: TableSink,
        wall_s: Callable[[], float],
        rng: random.Random,
        password: str | None = None,
    ) -> None:
        self._name = without_credentials(url)
        self._url = url
        self._password = password or urlsplit(url).password
        self._key = settings.redis_key
        self._interval_s = settings.poll_interval_s
        self._rng = rng
        self._reporter = TableReporter(self._name, sink, wall_s)
        self._connects_anew = True

    async def run(self) -> None:
        """Follow for ever; failures are reported, and the pause before the next try doubles up to a bound."""
        back_off_s = MIN_BACK_OFF_S
        while True:
            self._connects_anew = True
            try:
                await self._follow()
            except TableSourceError as error:
                self._reporter.failed(error)
            # A connection that gave at least one table was sound: the next one need not wait long.
            back_off_s = MIN_BACK_OFF_S if not self._connects_anew else min(2 * back_off_s, MAX_BACK_OFF_S)
            await asyncio.sleep(back_off_s * self._rng.uniform(1 - JITTER_FRAC, 1 + JITTER_FRAC))

    async def _follow(self) -> None:
        """Read the table again and again over one connection.

        Raises:
            TableSourceError: Redis cannot be reached or does not answer in time.
        """
        client = redis.asyncio.Redis.from_url(
            self._url, password=self._password, socket_connect_timeout=TIMEOUT_S, socket_timeout=None
        )
        try:
            async with client, client.pubsub() as announcements:
                async with asyncio.timeout(TIMEOUT_S):
                    await announcements.subscribe(self._key)
                while True:
                    await self._read(client)
                    await self._wait(announcements)
        except TimeoutError as error:
            raise TableSourceError(self._name, f"no answer within {TIMEOUT_S:g} s") from error
        except (RedisError, OSError) as error:
            raise TableSourceError(self._name, f"{type(error).__name__}: {error}") from error

    async def _read(self, client: redis.asyncio.Redis) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            raw = await client.get(self._key)
        try:
            if raw is None:
                raise TableSourceError(self._name, f"key {self._key!r} holds no table")
            self._reporter.deliver(raw)
        except TableSourceError as error:
            # Redis itself answers: the connection stays.
            self._reporter.failed(error)
        self._connects_anew = False

    async def _wait(self, announcements: PubSub) -> None:
        """Until a table is announced, but no longer than the interval."""
        interval_s = self._interval_s * self._rng.uniform(1 - JITTER_FRAC, 1 + JITTER_FRAC)
        try:
            async with asyncio.timeout(interval_s):
                while True:
                    message = await announcements.get_message(ignore_subscribe_messages=True, timeout=None)
                    if message is not None:
                        return
        except TimeoutError:
            return


def without_credentials(url: str) -> str:
    """The address without user and password, fit for logs."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
