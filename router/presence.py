"""Tells of this router in Redis, and hears of the others, with whom it shares what instances may have in flight.

At every interval one exchange: its state, which expires by itself, its entry in the hash of routers, and that hash.
While Redis does not answer the share stays as it was: a router that took more would exceed caps together with those
that do the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import redis.asyncio
from redis.exceptions import NoPermissionError, RedisError

from router.contract_presence import (
    MAX_ROUTERS,
    ROUTERS_SUFFIX,
    STATE_SUFFIX,
    Heard,
    decode_routers,
    encode_heard,
    router_name,
)
from router.hearing import Hearing, stale_s
from router.namesake import Identity, Namesake
from router.poller import jittered_s
from router.redis_rights import Part, Rights
from router.settings import TableSettings
from router.share import share_of
from router.snapshot import Snapshot
from router.told import encode_told, load_of
from router.transport.redis_client import TIMEOUT_S, open_redis
from router.transport.redis_place import RedisPlace

log = logging.getLogger(__name__)

FORGET_S = 3600.0
"""Entries of routers that are long gone are taken out of the hash."""
HEARD_EACH_TIME = 50
"""So many routers hear of each other at each exchange, twice as many at every second: each hears of all."""
MAX_BACK_OFF_S = 1.5


class ShareSink(Protocol):
    """What takes the router's share."""

    def apply_share(self, share: float) -> None:
        """Go by this share of all caps from now on, of which other routers have the rest."""


class Presence:
    """Until cancelled, then gone at once for the others.

    Args:
        place: of Redis.
        settings: how often is told, and beside which key.
        who: tells.
        snapshot: its state.
        sink: takes its share; None where caps are not shared.
        wall_s: the wall clock, told with all that is told.
        monotonic_s: by which others grow silent.
        rng: spreads exchanges and reconnections.

    Attributes:
        routers: how many live, this one among them, as last heard.
        share: of this one.
        rights: what Redis refuses its user.
        name_taken: whether another process goes on to tell of itself under its name.
    """

    def __init__(
        self,
        place: RedisPlace,
        settings: TableSettings,
        *,
        who: Identity,
        snapshot: Callable[[], Awaitable[Snapshot]],
        sink: ShareSink | None,
        wall_s: Callable[[], float],
        monotonic_s: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._place = place
        self._key = settings.redis_key
        self._interval_s = settings.poll_interval_s
        self._name = who.name
        self._identity = who.start
        self._namesake = Namesake(who, self._interval_s)
        self._snapshot = snapshot
        self._sink = sink
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self._hearing = Hearing(self._interval_s, FORGET_S)
        self._rng = rng
        self._failures = 0
        self._unheard = 0
        self.rights = Rights(place.shown, rng.random)
        self.name_taken = False
        self.routers, self.share = 1, 1.0

    async def run(self) -> None:
        """Tell and hear for ever; failures are logged once, and the pause before the next try doubles up to a bound."""
        while True:
            try:
                await self._follow()
            except NoPermissionError as error:
                right, now_s = f"~{self._key}{ROUTERS_SUFFIX[:-1]}*", self._monotonic_s()
                self.rights.refused(Part.PRESENCE, right, error, now_s)
                await asyncio.sleep(self.rights.wait_s(Part.PRESENCE, now_s))
            except (TimeoutError, RedisError, OSError, ValueError) as error:
                self._fail(error)
                pause_s = min(MAX_BACK_OFF_S, self._interval_s * 2.0 ** min(self._failures, 16))
                await asyncio.sleep(jittered_s(pause_s, self._rng))

    async def _follow(self) -> None:
        async with open_redis(self._place) as client:
            try:
                while True:
                    await self._exchange(client)
                    self.rights.granted(Part.PRESENCE)
                    if self._failures:
                        log.info("routers are heard of again", extra={"source": self._place.shown})
                    self._failures = 0
                    await asyncio.sleep(jittered_s(self._interval_s, self._rng))
            except asyncio.CancelledError:
                await self._leave(client)
                raise

    async def _exchange(self, client: redis.asyncio.Redis) -> None:
        snapshot = await self._snapshot()
        load, is_heard = load_of(snapshot), self._unheard <= 0
        told = await asyncio.to_thread(encode_told, snapshot)
        async with asyncio.timeout(TIMEOUT_S), client.pipeline(transaction=False) as pipe:
            if is_heard:
                # Before it tells: under its own name stands then who told last.
                pipe.hgetall(self._key + ROUTERS_SUFFIX)
            pipe.set(f"{self._key}{STATE_SUFFIX}{self._name}", told, px=int(2e3 * stale_s(self._interval_s)))
            heard = Heard(self._wall_s(), load, snapshot.table.sequence, self._identity, self._interval_s)
            pipe.hset(self._key + ROUTERS_SUFFIX, self._name, encode_heard(heard))
            entries, *_ = await pipe.execute()
        if not is_heard:
            self._unheard -= 1
            return
        if len(entries) > MAX_ROUTERS:
            raise ValueError(f"{len(entries)} routers are told of; delete the key {self._key + ROUTERS_SUFFIX!r}")
        gone = self._hear(entries, load)
        if gone:
            async with asyncio.timeout(TIMEOUT_S):
                await client.hdel(self._key + ROUTERS_SUFFIX, *gone)

    def _hear(self, entries: Mapping[bytes | str, bytes | str], load: int) -> list[bytes | str]:
        """Go by what all tell; those that are to be taken out."""
        now_s, heard = self._monotonic_s(), decode_routers(entries)
        there = self._hearing.live(heard, now_s)
        self._namesake.look(heard.get(self._name), now_s)
        self._tell_if_taken()
        if self._namesake.alive is not None:
            there[f"{self._name} again"] = self._namesake.alive
        self.routers = len(there.keys() | {self._name})
        self._unheard = (self.routers - 1) // HEARD_EACH_TIME
        if self._sink is not None:
            self.share = share_of(self._name, load, there)
            self._sink.apply_share(self.share)
        forgotten = self._hearing.forgotten(now_s)
        return [raw for raw in entries if (name := router_name(raw)) not in heard or name in forgotten]

    def _tell_if_taken(self) -> None:
        was_taken, self.name_taken = self.name_taken, self._namesake.is_fault
        if self.name_taken and not was_taken:
            remedy = "give each router a router.name of its own"
            log.error("another router has this one's name", extra={"router": self._name, "remedy": remedy})
        elif was_taken and not self.name_taken:
            log.info("no other router has this one's name any more", extra={"router": self._name})

    async def _leave(self, client: redis.asyncio.Redis) -> None:
        """Be gone for the others, so that they need not wait for it; what stands there may be a successor's by now."""
        if self._namesake.alive is not None:
            return
        try:
            async with asyncio.timeout(TIMEOUT_S), client.pipeline(transaction=False) as pipe:
                pipe.hdel(self._key + ROUTERS_SUFFIX, self._name)
                pipe.delete(f"{self._key}{STATE_SUFFIX}{self._name}")
                await pipe.execute()
        except (TimeoutError, RedisError, OSError) as error:
            log.info("the other routers were not told of the end", extra={"reason": f"{type(error).__name__}: {error}"})

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            reason = "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
            extra = {"source": self._place.shown, "reason": reason}
            log.warning("other routers are not heard of; the share of caps stays as it is", extra=extra)
