"""Work that goes on beside something, until that ends: begun again where it fails, later each time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from router.backoff import backoff_s

log = logging.getLogger(__name__)

FIRST_S, LONGEST_S = 1.0, 60.0
SOUND_S = 60.0
"""Work that goes on for so long after a failure has recovered from it."""


class Work(StrEnum):
    """What goes on in the background."""

    CANARIES = "canaries"
    CERTIFICATES = "certificates"
    DISCOVERY = "discovery"
    ELECTION = "election"
    FEED = "feed"
    FEED_MEMORY = "feed_memory"
    GPU_LIMITS = "gpu_limits"
    LEADING = "leading"
    OPENADR = "openadr"
    OPENADR2 = "openadr2"
    OPENADR_MQTT = "openadr_mqtt"
    OPENADR_REPORTS = "openadr_reports"
    OPENADR_SUBSCRIPTIONS = "openadr_subscriptions"
    POWER_METER = "power_meter"
    POWER_STREAM = "power_stream"
    TABLE = "table"
    TIME_SERVERS = "time_servers"


@dataclass(frozen=True, slots=True)
class Failing:
    """Work that has failed and not recovered yet.

    Attributes:
        subject: which one of its kind, such as a feed's name.
        failures: in a row.
    """

    work: Work
    subject: str
    reason: str
    failures: int


class Works:
    """How background work fares; used on one event loop.

    Attributes:
        failures: by kind, ever.
    """

    def __init__(self, chance: Random, *, first_s: float = FIRST_S, sound_s: float = SOUND_S) -> None:
        """Begin.

        Args:
            chance: for the waits' jitter.
            first_s: wait after a first failure; doubled at each one in a row, up to `LONGEST_S`.
            sound_s: after how long work counts as recovered.
        """
        self.failures: Counter[Work] = Counter()
        self._chance = chance
        self._first_s = first_s
        self._sound_s = sound_s
        self._failing: dict[tuple[Work, str], Failing] = {}

    @property
    def failing(self) -> tuple[Failing, ...]:
        """What has failed and not recovered yet."""
        return tuple(self._failing.values())

    async def keep_up(self, begin: Callable[[], Awaitable[None]], work: Work, subject: str) -> None:
        """Run the work until it is done or cancelled; where it fails it is begun again after a while.

        Args:
            begin: the work; called each time.
            work: what kind it is.
            subject: which one of its kind, for the log and the page.
        """
        loop = asyncio.get_running_loop()
        while True:
            recovery = loop.call_later(self._sound_s, self._recover, work, subject)
            try:
                await begin()
            except Exception as error:  # whatever it is, the work must not stay dead
                failures = self._fail(work, subject, error)
            else:
                self._recover(work, subject)
                return
            finally:
                recovery.cancel()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return
            draw = self._chance.random()
            await asyncio.sleep(backoff_s(failures, draw, first_s=self._first_s, longest_s=LONGEST_S))

    def forget(self, work: Work, subject: str) -> None:
        """It has ended; whether it failed is of no interest any more."""
        self._failing.pop((work, subject), None)

    def _fail(self, work: Work, subject: str, error: Exception) -> int:
        """Count, tell and show a failure; returns how many there are in a row."""
        before = self._failing.get((work, subject))
        failing = Failing(work, subject, f"{type(error).__name__}: {error}"[:500], before.failures + 1 if before else 1)
        self.failures[work] += 1
        self._failing[work, subject] = failing
        told = {"work": work.value, "subject": subject, "failures": failing.failures}
        log.error("background work has failed", extra=told, exc_info=error)
        return failing.failures

    def _recover(self, work: Work, subject: str) -> None:
        if self._failing.pop((work, subject), None) is not None:
            log.info("background work goes on again", extra={"work": work.value, "subject": subject})


@contextlib.asynccontextmanager
async def in_background(
    begin: Callable[[], Awaitable[None]], work: Work, subject: str = "", *, works: Works
) -> AsyncIterator[None]:
    """Run the work meanwhile; it is cancelled at the end, and waited for.

    What it raises is told, counted and shown, ends nothing else, and has it begun again: `Works.keep_up`.

    Args:
        begin: the work; called each time that it begins.
        work: what kind it is.
        subject: which one of its kind.
        works: where it is counted and shown.
    """
    task = asyncio.get_running_loop().create_task(works.keep_up(begin, work, subject), name=f"{work} {subject}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        works.forget(work, subject)
