"""Announcements of new tables in Redis, which end the wait for the next read early.

A user without the right to their channel is served by reads alone; the channel is asked for again, ever later.
"""

from __future__ import annotations

import asyncio

from redis.asyncio.client import PubSub
from redis.exceptions import NoPermissionError

from router.redis_rights import Part, Rights
from router.transport.redis_client import TIMEOUT_S


class Announcements:
    """Of one connection.

    Args:
        pubsub: its subscriptions.
        channel: of the announcements.
        rights: what Redis refuses.
    """

    def __init__(self, pubsub: PubSub, channel: str, rights: Rights) -> None:
        self._pubsub = pubsub
        self._channel = channel
        self._rights = rights
        self._is_asked = False

    async def begin(self) -> None:
        """Ask for the channel where that is not refused, or was long enough ago.

        Raises:
            RedisError: Redis cannot be reached.
            TimeoutError: it does not take the question in time.
        """
        if not self._is_asked and self._rights.may_ask(Part.ANNOUNCEMENTS, _now_s()):
            async with asyncio.timeout(TIMEOUT_S):
                await self._pubsub.subscribe(self._channel)
            self._is_asked = True

    async def wait(self, longest_s: float) -> None:
        """Wait so long, or until an announcement; the answer to the question ends the wait, too, once.

        Raises:
            RedisError: the connection is lost.
            TimeoutError: Redis does not take a question in time.
        """
        await self.begin()
        if not self._is_asked:
            await asyncio.sleep(longest_s)
            return
        try:
            message = await self._pubsub.get_message(timeout=longest_s)
        except NoPermissionError as error:
            self._is_asked = False
            self._rights.refused(Part.ANNOUNCEMENTS, f"&{self._channel}", error, _now_s())
        else:
            if message is not None and message["type"] == "subscribe":
                self._rights.granted(Part.ANNOUNCEMENTS)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
