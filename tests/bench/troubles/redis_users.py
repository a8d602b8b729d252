"""Redis users of parts, each refused and let in again by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.fakes.redis_server import RedisServer

PASSWORD = "a secret of its own"


@dataclass
class RedisUsers:
    """A user for each part, by its name.

    Attributes:
        refused: parts that may not use Redis now.
    """

    redis: RedisServer
    names: Sequence[str]
    refused: set[str] = field(default_factory=set)

    def environment(self, name: str) -> dict[str, str]:
        """By which a part is that user."""
        return {"REDIS_USERNAME": name, "REDIS_PASSWORD": PASSWORD}

    async def make(self) -> None:
        """All of them, in a server that has just started."""
        async with Redis(port=self.redis.port) as client:
            for name in self.names:
                await self._set(client, name)

    async def refuse(self, name: str) -> None:
        """Let a part in no more, and end what it has open."""
        self.refused.add(name)
        await self._tell(name)

    async def let_in(self, name: str) -> None:
        """Let it in again."""
        self.refused.remove(name)
        await self._tell(name)

    async def _tell(self, name: str) -> None:
        with contextlib.suppress(RedisError, OSError):  # one that is down is told once it starts
            async with Redis(port=self.redis.port) as client:
                await self._set(client, name)

    async def _set(self, client: Redis, name: str) -> None:
        is_refused = name in self.refused
        state = "off" if is_refused else "on"
        await client.execute_command("ACL", "SETUSER", name, "reset", state, f">{PASSWORD}", "~*", "&*", "+@all")
        if is_refused:
            await client.execute_command("CLIENT", "KILL", "USER", name)
