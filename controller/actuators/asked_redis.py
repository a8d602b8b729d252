"""One Redis, as this controller asks it: a few things at a time, and nothing for longer than there is time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from controller.errors import ActuationError, Superseded

AT_ONCE = 4
"""Connections; what is asked beyond them waits until one is free."""
REFUSED = "SUPERSEDED"
"""What the error of a script begins with that refuses whoever does not lead."""


class AskedRedis:
    """Redis, and how long it is waited for.

    Args:
        client: of Redis; nobody else uses it.
        target: name of Redis in messages.
        timeout_s: longest wait, for a free connection and for the answer together.
    """

    def __init__(self, client: Redis, *, target: str, timeout_s: float = 2.0) -> None:
        self._client = client
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._timeout_s = timeout_s
        self.target = target

    @asynccontextmanager
    async def within(self, failure: str) -> AsyncIterator[Redis]:
        """The client, for one thing at a time.

        Args:
            failure: what was not done, for the error's text.

        Raises:
            Superseded: another controller leads.
            ActuationError: Redis did not answer in time.
        """
        has_turn = False
        try:
            async with asyncio.timeout(self._timeout_s), self._turns:
                has_turn = True
                yield self._client
        except TimeoutError as error:
            why = "" if has_turn else f": the {AT_ONCE} commands before it are not answered"
            raise ActuationError(self.target, f"{failure} within {self._timeout_s:g} s{why}") from error
        except (RedisError, OSError) as error:
            if REFUSED in str(error):
                raise Superseded(self.target, f"{failure}: {str(error).partition(REFUSED)[2].strip()}") from error
            raise ActuationError(self.target, f"{failure}: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
