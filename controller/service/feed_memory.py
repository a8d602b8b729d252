"""What live feeds were told, on the disk: a controller that starts while a publisher is silent goes on from it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import StoreError
from controller.signals.feeds.live import LiveFeed
from controller.signals.feeds.outlook import Outlook
from controller.store.state import StateFile

log = logging.getLogger(__name__)

FILE_NAME = "feeds.json"
_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Told:
    """What one feed holds.

    Attributes:
        fingerprint: of the feed's configuration.
        taken_s: when the last of it was told.
    """

    name: str
    fingerprint: str
    taken_s: float
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class AllTold:
    """What all feeds hold."""

    feeds: tuple[Told, ...]


class FeedMemory:
    """Keeps feeds by name, each with the fingerprint of its configuration."""

    def __init__(self, folder: Path, feeds: Mapping[str, tuple[LiveFeed, str]]) -> None:
        self._file = StateFile(folder / FILE_NAME)
        self._feeds = feeds
        self._saved = AllTold(())

    @contextlib.asynccontextmanager
    async def kept(self, clock: Clock, works: Works) -> AsyncIterator[None]:
        """Take up what was kept, and keep what is told until the end; without a live feed, nothing."""
        if not self._feeds:
            yield
            return
        self.take_up(clock.wall_s())
        try:
            async with in_background(functools.partial(self._run, clock), Work.FEED_MEMORY, works=works):
                yield
        finally:
            self.save()

    def take_up(self, now_s: float) -> None:
        """Hand each feed what it held; a file that cannot be read is told and set aside."""
        try:
            loaded = self._file.load(told=AllTold)
        except StoreError as error:
            self._file.set_aside(error, "feeds not restored: each is missing until its publisher answers")
            return
        for told in loaded["told"].feeds if loaded else ():
            feed, fingerprint = self._feeds.get(told.name, (None, ""))
            if feed is not None and fingerprint == told.fingerprint and feed.known is None:
                feed.resume(told.outlook, told.taken_s, now_s)
                log.info("feed taken up", extra={"feed": told.name, "age_s": max(0.0, now_s - told.taken_s)})

    def save(self) -> None:
        """Write what the feeds hold, where it has changed."""
        held = [(name, mark, feed.known) for name, (feed, mark) in self._feeds.items()]
        now = AllTold(tuple(Told(name, mark, known[1], known[0]) for name, mark, known in held if known is not None))
        if now == self._saved:
            return
        try:
            self._file.path.parent.mkdir(parents=True, exist_ok=True)
            self._file.save(told=now)
        except (StoreError, OSError) as error:
            log.warning("feeds were not kept", extra={"reason": str(error)})
            return
        self._saved = now

    async def _run(self, clock: Clock) -> None:
        while True:
            await clock.sleep(_EVERY_S)
            await asyncio.to_thread(self.save)
