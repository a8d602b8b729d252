"""What two controllers share through Redis, beside the table: who leads, what the leader hands over, what was asked.

Under the table's key stand ``:lead`` (a hash of the holder and the last sequence), ``:handover``, ``:asked`` (calls and
bars), and ``:standby``, which a standby renews. Whoever takes the lease claims the lead here; what anybody else writes
after that is refused by Redis itself, within one script, so that a leader that was frozen and wakes changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from controller.actuators.asked_redis import AskedRedis

KEPT_MS = 7 * 86_400_000
"""How long it is kept after the last write."""
STANDBY_MS = 20_000

_GUARD = """
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[1] then return redis.error_reply('SUPERSEDED ' .. holder .. ' leads') end
"""
_PUBLISH = (
    _GUARD
    + """
local last = tonumber(redis.call('HGET', KEYS[1], 'sequence') or '-1')
if tonumber(ARGV[2]) < last then
  return redis.error_reply('SUPERSEDED table ' .. last .. ' was published already')
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'sequence', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3])
if ARGV[5] == '1' then redis.call('PUBLISH', KEYS[2], ARGV[2]) end
return 1
"""
)
_HAND_OVER = (
    _GUARD
    + """
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]) end
if ARGV[4] ~= '' then redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[2]) end
local standby = redis.call('GET', KEYS[4])
return (standby and standby ~= ARGV[1]) and 1 or 0
"""
)
_WITHDRAW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
_CLAIM = """
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {redis.call('HGET', KEYS[1], 'sequence'), redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3])}
"""


@dataclass(frozen=True, slots=True)
class SharedState:
    """What was found.

    Attributes:
        sequence: of the last table that anybody published; -1 where none is known.
        handover, asked: as the leader wrote them; None where there is nothing.
    """

    sequence: int
    handover: bytes | None
    asked: bytes | None


class SharedRedis:
    """One controller's access; every call has one deadline.

    Args:
        redis: where it is shared.
        key: of the table.
        identity: of this controller.
    """

    def __init__(self, redis: AskedRedis, key: str, identity: str) -> None:
        self._redis = redis
        self._key = key
        self._identity = identity
        self._lead, self._handover = f"{key}:lead", f"{key}:handover"
        self._asked, self._standby = f"{key}:asked", f"{key}:standby"

    async def claim(self) -> SharedState:
        """Be the one whose writes are taken from now on; returns what the former leader left.

        Raises:
            ActuationError: Redis did not answer in time.
        """
        keys = [self._lead, self._handover, self._asked]
        async with self._redis.within("lead not claimed") as client:
            return _state(*await _run(client, _CLAIM, keys, self._identity, KEPT_MS))

    async def look(self) -> SharedState:
        """Be seen as a standby, and see what the leader left so far.

        Raises:
            ActuationError: Redis did not answer in time.
        """
        async with self._redis.within("leader's state not read") as client, client.pipeline(transaction=False) as pipe:
            pipe.set(self._standby, self._identity, px=STANDBY_MS)
            pipe.hget(self._lead, "sequence")
            pipe.mget(self._handover, self._asked)
            _, sequence, (handover, asked) = await pipe.execute()
        return _state(sequence, handover, asked)

    async def withdraw(self) -> None:
        """Be seen as a standby no more.

        Raises:
            ActuationError: Redis did not answer in time.
        """
        async with self._redis.within("standby not withdrawn") as client:
            await _run(client, _WITHDRAW, [self._standby], self._identity)

    async def hand_over(self, handover: bytes = b"", asked: bytes = b"") -> bool:
        """Leave what the next leader needs; what is empty stays as it was. Returns whether a standby is there.

        Raises:
            Superseded: another controller leads.
            ActuationError: Redis did not take it in time.
        """
        keys = [self._lead, self._handover, self._asked, self._standby]
        async with self._redis.within("state not handed over") as client:
            return bool(await _run(client, _HAND_OVER, keys, self._identity, KEPT_MS, handover, asked))

    async def publish(self, sequence: int, body: bytes, ttl_ms: int, *, is_new: bool) -> None:
        """Write a table, and announce one that is new.

        Raises:
            Superseded: another controller leads, or has published a later table.
            ActuationError: Redis did not take it in time.
        """
        async with self._redis.within("table not written") as client:
            keys, told = [self._lead, self._key], int(is_new)
            await _run(client, _PUBLISH, keys, self._identity, sequence, ttl_ms, body, told, KEPT_MS)


async def _run(client: Redis, script: str, keys: list[str], *arguments: Any) -> Any:
    return await client.eval(script, len(keys), *keys, *arguments)


def _state(sequence: bytes | None, handover: bytes | None, asked: bytes | None) -> SharedState:
    known = int(sequence) if sequence is not None and sequence.isdigit() else -1
    return SharedState(known, handover, asked)
