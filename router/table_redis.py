"""The allocation table from Redis: read from its key at every interval, and at once when a new one is announced."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable

import redis.asyncio
from redis.exceptions import RedisError

from router.contract import AllocationTable
from router.contract_rates import RATES_SUFFIX, EnergyRates
from router.errors import TableSourceError
from router.poller import jittered_s
from router.rate_source import RateReporter, RateSink
from router.settings import TableSettings
from router.table_source import TableReporter, TableSink
from router.transport.redis_client import TIMEOUT_S, open_redis
from router.transport.redis_place import RedisPlace

MIN_BACK_OFF_S = 0.25
MAX_BACK_OFF_S = 1.5
"""So that a Redis that is back is read within two seconds; one try costs it a connection."""


class RedisTableSource:
    """Follows the table in Redis until cancelled, reconnecting with growing pauses.

    Args:
        place: of Redis; passwords are used but never logged.
        settings: key, and how often to read it.
        sink: takes the tables.
        steady_s: the clock that the sink goes by.
        rng: spreads reads and reconnections.
        rates: takes the energy rates that stand beside the table; None leaves them.
    """

    def __init__(
        self,
        place: RedisPlace,
        settings: TableSettings,
        *,
        sink: TableSink,
        steady_s: Callable[[], float],
        rng: random.Random,
        rates: RateSink | None = None,
    ) -> None:
        self._name = place.shown
        self._place = place
        self._key = settings.redis_key
        self._interval_s = settings.poll_interval_s
        self._rng = rng
        self._reporter = TableReporter(self._name, sink, steady_s, settings.max_ttl_s)
        self._rates = None if rates is None else RateReporter(self._name, rates, steady_s)
        self._answered = False

    async def run(self) -> None:
        """Follow for ever; failures are reported, and the pause before the next try doubles up to a bound."""
        back_off_s = MIN_BACK_OFF_S
        while True:
            self._answered = False
            try:
                await self._follow()
            except TableSourceError as error:
                self._reporter.failed(error)
                if self._rates is not None:
                    self._rates.failed(error.reason)
            back_off_s = MIN_BACK_OFF_S if self._answered else min(2 * back_off_s, MAX_BACK_OFF_S)
            await asyncio.sleep(jittered_s(back_off_s, self._rng))

    async def _follow(self) -> None:
        """Read the table again and again over one connection.

        Raises:
            TableSourceError: Redis cannot be reached or does not answer in time.
        """
        try:
            client = open_redis(self._place)
            async with client, client.pubsub() as announcements:
                async with asyncio.timeout(TIMEOUT_S):
                    await announcements.subscribe(self._key)
                while True:
                    await self._read(client)
                    # An announcement ends the wait early; so does the answer to the subscription, once.
                    await announcements.get_message(timeout=jittered_s(self._interval_s, self._rng))
        except TimeoutError as error:
            raise TableSourceError(self._name, f"no answer within {TIMEOUT_S:g} s") from error
        except (RedisError, OSError, ValueError) as error:
            raise TableSourceError(self._name, f"{type(error).__name__}: {error}") from error

    async def _read(self, client: redis.asyncio.Redis) -> None:
        keys = (self._key, f"{self._key}{RATES_SUFFIX}")
        async with asyncio.timeout(TIMEOUT_S), client.pipeline(transaction=True) as pipe:
            pipe.mget(keys)
            for key in keys:
                pipe.pttl(key)
            (raw, rates), *left_ms = await pipe.execute()
        table_ends, rates_end = (functools.partial(_issuer_now_s, ms) for ms in left_ms)
        self._answered = True
        if self._rates is not None:
            if rates is None:
                self._rates.failed(f"key {self._key + RATES_SUFFIX!r} holds no rates")
            else:
                self._rates.deliver(rates if isinstance(rates, bytes) else rates.encode(), rates_end)
        try:
            if raw is None:
                raise TableSourceError(self._name, f"key {self._key!r} holds no table")
            self._reporter.deliver(raw if isinstance(raw, bytes) else raw.encode(), table_ends)
        except TableSourceError as error:
            # The connection is sound, only the table is not.
            self._reporter.failed(error)


def _issuer_now_s(left_ms: int, told: AllocationTable | EnergyRates) -> float | None:
    """What the clock of the issuer shows, whose key expires together with what it holds; None where it does not."""
    left_s = left_ms / 1e3
    is_together = 0.0 <= left_s <= told.expires_at_s - told.issued_at_s
    return told.expires_at_s - left_s if is_together else None
