"""The latest sample, for any number of followers up to a bound.

A follower always gets the newest sample: what one misses while it does not read is skipped, so that none holds memory
and none sees the past.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from controller.signals.power.agent_sample import Sample, encode_event


class TooManyFollowers(Exception):  # noqa: N818 - reads as the outcome it is
    """The bound is reached."""


class Hub:
    """Hands samples to those who follow."""

    def __init__(self, max_followers: int) -> None:
        self._max_followers = max_followers
        self._changed = asyncio.Event()
        self._event = b""
        self._is_closed = False
        self.latest: Sample | None = None
        self.followers = 0
        self.refused = 0
        self.cut_off = 0

    def publish(self, sample: Sample) -> None:
        """Make a sample the latest."""
        self.latest = sample
        self._event = encode_event(sample)
        self._wake()

    def close(self) -> None:
        """End all followers."""
        self._is_closed = True
        self._wake()

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """The latest sample as a server-sent event, and each one after it, until the hub is closed.

        Raises:
            TooManyFollowers: at the first step, when as many as allowed are following.
        """
        if self.followers >= self._max_followers:
            self.refused += 1
            raise TooManyFollowers
        self.followers += 1
        try:
            while not self._is_closed:
                changed = self._changed
                if self._event:
                    yield self._event
                await changed.wait()
        finally:
            self.followers -= 1

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
