"""The background task of a live feed: asks its publisher, hands the answer over, and waits."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from random import Random
from typing import Protocol

from controller.clock import Clock
from controller.errors import FeedRefused, SignalError
from controller.signals.feeds.live import LiveFeed
from controller.signals.feeds.provider import Provider, Web
from router.backoff import backoff_s

log = logging.getLogger(__name__)

FIRST_S = 5.0
"""Wait after a first failure; it doubles up to the time between two questions."""
_JITTER = 0.1
"""Share by which the waits differ, so that controllers that began together do not ask together."""
_CREDENTIALS = (401, 403)


class ScrubbingWeb(Web, Protocol):
    """What also takes secrets out of a text."""

    def scrubbed(self, text: str) -> str:
        """The text without secrets."""


@dataclass(slots=True)
class Refresher:
    """Keeps one feed up to date."""

    feed: LiveFeed
    provider: Provider
    web: ScrubbingWeb
    clock: Clock
    chance: Random
    _failures: int = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.clock.sleep(await self.once())

    async def once(self) -> float:
        """Ask once; returns how long to wait before the next time, s."""
        now_s = self.clock.wall_s()
        try:
            self.feed.take(await self.provider.ask(self.web, now_s), now_s)
        except SignalError as error:
            self.feed.fail(self.web.scrubbed(_reason(error, self.feed.source)))
            return self._wait_s(error)
        except Exception as error:  # a fault in one parser must not end the feed
            log.exception("feed has a fault", extra={"feed": self.feed.name})
            self.feed.fail(f"{type(error).__name__} within the feed")
            return self._wait_s(error)
        self._failures = 0
        return self.feed.rules.refresh_s * self.chance.uniform(1.0 - _JITTER, 1.0 + _JITTER)

    def _wait_s(self, error: Exception) -> float:
        self._failures += 1
        refresh_s = self.feed.rules.refresh_s
        if isinstance(error, FeedRefused) and error.status in _CREDENTIALS:
            return refresh_s  # a secret that is refused again and again locks the account
        own_s = backoff_s(self._failures, self.chance.random(), first_s=FIRST_S, longest_s=refresh_s)
        return max(own_s, (error.retry_after_s if isinstance(error, SignalError) else None) or 0.0)


def _reason(error: SignalError, source: str) -> str:
    """The reason, with the address where that tells more than the feed's own name."""
    return error.reason if error.source == source else str(error)
