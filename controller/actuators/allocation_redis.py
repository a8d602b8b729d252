"""The table through Redis: a key that expires with it, and a channel of the same name that announces its sequence."""

from __future__ import annotations

import asyncio

from controller.actuators.asked_redis import AskedRedis
from controller.actuators.shared_redis import SharedRedis
from controller.clock import Clock
from controller.errors import ActuationError
from controller.model.plan import Commands
from router.contract import AllocationTable, encode
from router.contract_loads import LOADS_SUFFIX
from router.contract_presence import pack_state
from router.contract_rates import RATES_SUFFIX
from router.transport.redis_client import open_redis
from router.transport.redis_place import RedisPlace


class RedisPublisher:
    """Writes tables into Redis.

    Attributes:
        shared: what controllers share there beside the table; None where there is only one.
    """

    def __init__(
        self,
        place: RedisPlace,
        clock: Clock,
        *,
        key: str = "wattroute:allocation",
        timeout_s: float = 2.0,
        identity: str | None = None,
    ) -> None:
        """Connect with the first table.

        Args:
            place: of Redis.
            clock: the wall clock tells how long a table is still valid.
            key: of the table.
            timeout_s: longest wait.
            identity: of this controller, where several stand for election; None where it is the only one.
        """
        self._clock = clock
        self._key = key
        client = open_redis(place, timeout_s=timeout_s)
        self._redis = AskedRedis(client, target=place.shown, timeout_s=timeout_s)
        self._last: AllocationTable | None = None
        self._held: AllocationTable | None = None
        self._writing = asyncio.Lock()
        self.shared = None if identity is None else SharedRedis(self._redis, key, identity)

    async def apply(self, commands: Commands) -> tuple[str, ...]:
        """Write the table, also when it is unchanged: a Redis that lost its data then has it again.

        Raises:
            Superseded: another controller leads.
            ActuationError: Redis did not take it in time.
        """
        table = commands.table
        self._last = table
        async with self._writing:
            ttl_ms = int((table.expires_at_s - self._clock.wall_s()) * 1000)
            if ttl_ms <= 0:
                raise ActuationError(self._redis.target, f"table {table.sequence} has expired; it is not written")
            is_new = self._held is None or table.sequence != self._held.sequence
            self._held = None
            if self.shared is not None:
                await self.shared.publish(table.sequence, encode(table), ttl_ms, is_new=is_new)
            else:
                await self._put(table.sequence, encode(table), ttl_ms, is_new=is_new)
            self._held = table
        return (f"table {table.sequence} written to redis",) if is_new else ()

    async def restore(self) -> bool:
        """Write the last table again, and announce it, where Redis may lack it; whether that was done.

        It may where it did not take it, has lost it, or was out of reach since: another may have taken its place.

        Raises:
            Superseded: another controller leads.
            ActuationError: Redis did not answer, or take it, in time.
        """
        last = self._last
        if last is None or last.expires_at_s <= self._clock.wall_s():
            return False
        has_table = await self._has_table()
        if self._writing.locked() or self._last is not last or (has_table and self._held is last):
            return False
        self._held = None
        await self.apply(Commands(last))
        return True

    async def _has_table(self) -> bool:
        """Whether Redis has any."""
        try:
            async with self._redis.within("table not looked for") as client:
                return bool(await client.exists(self._key))
        except ActuationError:
            self._held = None
            raise

    async def _put(self, sequence: int, body: bytes, ttl_ms: int, *, is_new: bool) -> None:
        async with self._redis.within("table not written") as client:
            await client.set(self._key, body, px=ttl_ms)
            if is_new:
                await client.publish(self._key, str(sequence))

    async def put_rates(self, body: bytes, ttl_s: float) -> None:
        """Write energy rates beside the table, under its key and ``:energy``.

        Raises:
            ActuationError: Redis did not take them in time.
        """
        async with self._redis.within("energy rates not written") as client:
            await client.set(f"{self._key}{RATES_SUFFIX}", body, px=max(1, int(ttl_s * 1000)))

    async def put_loads(self, body: bytes, ttl_s: float) -> None:
        """Write engines' loads beside the table, compressed, under its key and ``:loads``.

        Raises:
            ActuationError: Redis did not take them in time.
        """
        async with self._redis.within("engines' loads not written") as client:
            await client.set(f"{self._key}{LOADS_SUFFIX}", pack_state(body), px=max(1, int(ttl_s * 1000)))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.close()
