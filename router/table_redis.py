"""The allocation table from Redis: read from its key at every interval, and at once when a new one is announced.

What stands beside the table is read apart from it, so that a right that the user lacks costs that alone.
"""

from __future__ import annotations

import asyncio
import functools
import math
import random
from collections.abc import Callable

import redis.asyncio
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from router.announcements import Announcements
from router.contract import AllocationTable
from router.contract_loads import LOADS_SUFFIX, MAX_LOADS_BYTES
from router.contract_presence import as_bytes, unpack_state
from router.contract_rates import RATES_SUFFIX, EnergyRates
from router.errors import TableSourceError
from router.load_source import LoadReporter, LoadSink, read_every_s
from router.poller import jittered_s
from router.rate_source import RateReporter, RateSink
from router.redis_rights import Part, Rights
from router.settings import TableSettings
from router.table_source import TableReporter, TableSink
from router.transport.redis_client import TIMEOUT_S, open_redis
from router.transport.redis_place import RedisPlace

HEAD_BYTES = 256
"""In which a table says its issuer, its number and its times: where these are the same, so is the rest."""
CONNECT_S = 1.5
"""Longest wait for a connection. An attempt that a cut line has lost is repeated by the kernel after one second and
then, before Linux 6.5, only after three."""
RECONNECT_S = 0.5
"""Pause before the next try, which costs Redis a connection. One that is back is read within two seconds, of which
Sentinels take up to one to tell of a new master."""


class RedisTableSource:
    """Follows the table in Redis until cancelled, reconnecting after a pause.

    Args:
        place: of Redis; passwords are used but never logged.
        settings: key, and how often to read it.
        sink: takes the tables.
        steady_s: the clock that the sink goes by.
        rng: spreads reads and reconnections.
        rates: takes the energy rates that stand beside the table; None leaves them.
        loads: takes the engines' loads that do; None leaves them.

    Attributes:
        loads_refused: documents of loads that could not be used.
        rights: what Redis refuses the user.
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
        loads: LoadSink | None = None,
    ) -> None:
        self._name = place.shown
        self._place = place
        self._key = settings.redis_key
        self._interval_s = settings.poll_interval_s
        self._rng = rng
        self._reporter = TableReporter(self._name, sink, steady_s, settings.max_ttl_s)
        self._rates = None if rates is None else RateReporter(self._name, rates, steady_s)
        self._loads = None if loads is None else LoadReporter(self._name, loads)
        self._loads_read_s = -math.inf
        self._table: AllocationTable | None = None
        self._head = b""
        self.rights = Rights(self._name, rng.random)

    async def run(self) -> None:
        """Follow for ever; failures are reported."""
        while True:
            try:
                await self._follow()
            except TableSourceError as error:
                self._reporter.failed(error)
                if self._rates is not None:
                    self._rates.failed(error.reason)
                if self._loads is not None:
                    self._loads.failed(error.reason)
            await asyncio.sleep(jittered_s(RECONNECT_S, self._rng))

    @property
    def loads_refused(self) -> int:
        """See the class."""
        return 0 if self._loads is None else self._loads.refused

    async def _follow(self) -> None:
        """Read the table again and again over one connection.

        Raises:
            TableSourceError: Redis cannot be reached or does not answer in time.
        """
        try:
            client = open_redis(self._place, timeout_s=CONNECT_S)
            async with client, client.pubsub() as pubsub:
                announcements = Announcements(pubsub, self._key, self.rights)
                await announcements.begin()
                while True:
                    await self._read(client)
                    await self._read_rates(client)
                    await self._read_loads(client)
                    await announcements.wait(jittered_s(self._interval_s, self._rng))
        except TimeoutError as error:
            raise TableSourceError(self._name, f"no answer within {TIMEOUT_S:g} s") from error
        except (RedisError, OSError, ValueError) as error:
            raise TableSourceError(self._name, f"{type(error).__name__}: {error}") from error

    async def _read(self, client: redis.asyncio.Redis) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S), client.pipeline(transaction=True) as pipe:
                pipe.getrange(self._key, 0, HEAD_BYTES - 1)
                pipe.pttl(self._key)
                head, left_ms = await pipe.execute()
            if self._table is not None and as_bytes(head) == self._head:
                self._reporter.confirm(self._table, _issuer_now_s(left_ms, self._table))
            else:
                await self._read_whole(client)
        except NoPermissionError as error:
            self.rights.refused(Part.TABLE, f"%R~{self._key}", error, _now_s())
            self._reporter.failed(TableSourceError(self._name, f"{type(error).__name__}: {error}"))
        except TableSourceError as error:
            # The connection is sound, only the table is not.
            self.rights.granted(Part.TABLE)
            self._reporter.failed(error)
        else:
            self.rights.granted(Part.TABLE)

    async def _read_whole(self, client: redis.asyncio.Redis) -> None:
        """Take the table, of which only the head is asked for until that is another.

        Raises:
            TableSourceError: there is none, or it is malformed.
        """
        async with asyncio.timeout(TIMEOUT_S), client.pipeline(transaction=True) as pipe:
            pipe.get(self._key)
            pipe.pttl(self._key)
            found, left_ms = await pipe.execute()
        self._table = None
        if found is None:
            raise TableSourceError(self._name, f"key {self._key!r} holds no table")
        raw = as_bytes(found)
        self._table = self._reporter.deliver(raw, functools.partial(_issuer_now_s, left_ms))
        self._head = raw[:HEAD_BYTES]

    async def _read_rates(self, client: redis.asyncio.Redis) -> None:
        if self._rates is None or not self.rights.may_ask(Part.ENERGY, _now_s()):
            return
        key = f"{self._key}{RATES_SUFFIX}"
        try:
            async with asyncio.timeout(TIMEOUT_S), client.pipeline(transaction=True) as pipe:
                pipe.get(key)
                pipe.pttl(key)
                found, left_ms = await pipe.execute()
        except NoPermissionError as error:
            self.rights.refused(Part.ENERGY, f"%R~{key}", error, _now_s())
            return
        self.rights.granted(Part.ENERGY)
        if found is None:
            self._rates.failed(f"key {key!r} holds no rates")
        else:
            self._rates.deliver(as_bytes(found), functools.partial(_issuer_now_s, left_ms))

    async def _read_loads(self, client: redis.asyncio.Redis) -> None:
        """Take the engines' loads where it is time."""
        now_s, every_s = _now_s(), read_every_s(self._interval_s)
        if self._loads is None or now_s - self._loads_read_s < every_s - 0.5 * self._interval_s:
            return
        if not self.rights.may_ask(Part.LOADS, now_s):
            return
        self._loads_read_s, key = now_s, f"{self._key}{LOADS_SUFFIX}"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                packed = as_bytes(await client.getrange(key, 0, MAX_LOADS_BYTES))
        except NoPermissionError as error:
            self.rights.refused(Part.LOADS, f"%R~{key}", error, now_s)
            return
        except ResponseError as error:
            self._loads.failed(f"{type(error).__name__}: {error}")
            return
        self.rights.granted(Part.LOADS)
        if not packed:
            self._loads.failed(f"key {key!r} holds no loads")
            return
        try:
            document = unpack_state(packed, MAX_LOADS_BYTES)
        except ValueError as error:
            self._loads.refuse(f"engines' loads: {error}")
        else:
            self._loads.deliver(document)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _issuer_now_s(left_ms: int, told: AllocationTable | EnergyRates) -> float | None:
    """What the clock of the issuer shows, whose key expires together with what it holds; None where it does not."""
    left_s = left_ms / 1e3
    is_together = 0.0 <= left_s <= told.expires_at_s - told.issued_at_s
    return told.expires_at_s - left_s if is_together else None
