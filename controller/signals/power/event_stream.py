"""A stream of events that is kept open: connected again, with growing waits, whenever it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable
from random import Random

import aiohttp

from controller.clock import Clock
from controller.errors import SignalError
from controller.signals.http_client import what_failed
from controller.signals.power.backoff import backoff_s
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.sse import SseReader

log = logging.getLogger(__name__)

MAX_EVENT_BYTES = 512 * 1024
TELL_S = 60.0
"""A stream that comes and goes is logged no more often; its state always tells."""


class EventStream:
    """One stream, and what became of it."""

    def __init__(
        self,
        access: HttpAccess,
        url: str,
        take: Callable[[str], None],
        *,
        clock: Clock,
        chance: Random,
        silence_s: float,
        begin: Callable[[], None] | None = None,
    ) -> None:
        """Prepare it.

        Args:
            access: how it is reached.
            url: where.
            take: called with the data of each event; a ValueError means that the event is malformed.
            clock: for the waits.
            chance: for their jitter.
            silence_s: time without a byte after which the connection counts as broken.
            begin: called when a connection begins.
        """
        self._access = access
        self._url = url
        self._take = take
        self._clock = clock
        self._chance = chance
        self._silence_s = silence_s
        self._begin = begin
        self._failures = 0
        self._losses = 0
        self._told_s = -math.inf
        self._is_told_lost = True
        self.error: SignalError | None = SignalError(url, "not connected yet")
        """Why nothing comes; None while events come."""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[EventStream]:
        """Keep the stream open until the end."""
        task = asyncio.create_task(self._run(), name=f"stream {self._url}")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
                reason = SignalError(self._url, "the stream ended")
            except SignalError as error:
                reason = error
            except TimeoutError:
                reason = SignalError(self._url, f"silent for {self._silence_s:g} s")
            except (aiohttp.ClientError, OSError, ValueError) as error:
                reason = SignalError(self._url, what_failed(error))
            except Exception as error:  # a fault of ours must not end the stream for good
                log.exception("power stream failed", extra={"source": self._url})
                reason = SignalError(self._url, f"{type(error).__name__}: {error}")
            self._failures += 1
            self._lose(reason)
            await self._clock.sleep(backoff_s(self._failures, self._chance))

    def _lose(self, reason: SignalError) -> None:
        now_s = self._clock.monotonic_s()
        if self.error is None or self._failures == 1:
            self._losses += 1
            if now_s - self._told_s >= TELL_S:
                told = {"source": self._url, "reason": reason.reason, "times": self._losses}
                log.warning("power stream lost", extra=told)
                self._told_s, self._losses, self._is_told_lost = now_s, 0, True
        self.error = reason

    async def _listen(self) -> None:
        reader = SseReader(MAX_EVENT_BYTES)
        async with self._access.stream(self._url, self._silence_s) as response:
            if response.status != 200:
                raise SignalError(self._url, self._access.refusal(response.status))
            if self._begin is not None:
                self._begin()
            async for chunk in response.content.iter_any():
                for data in reader.feed(chunk):
                    self._take(data)
                    if self._is_told_lost:
                        log.info("power stream runs", extra={"source": self._url})
                        self._is_told_lost = False
                    self.error, self._failures = None, 0
