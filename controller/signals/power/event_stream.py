"""A stream of events that is kept open: connected again, with growing waits, whenever it ends."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random

import aiohttp

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import SignalError
from controller.signals.http_client import refuse_redirect, what_failed
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.sse import SseReader
from router.backoff import backoff_s

log = logging.getLogger(__name__)

FIRST_S = 0.5
"""All of the wait before a stream is first tried again."""
LONGEST_S = 15.0
MAX_EVENT_BYTES = 512 * 1024
TELL_S = 60.0
"""A stream that comes and goes is logged no more often; its state always tells."""
MAX_BYTES_PER_S = 4 * 1024 * 1024
"""Fifty times what an agent with 64 GPUs sends. A peer that sends without end would take the whole processor."""
_CONTENT_TYPE = "text/event-stream"


class _Flow:
    """Counts the bytes of a connection, second by second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s = clock.monotonic_s()
        self._bytes = 0

    def take(self, count: int) -> None:
        """Take in a number of bytes.

        Raises:
            ValueError: they are more than `MAX_BYTES_PER_S`.
        """
        now_s = self._clock.monotonic_s()
        if now_s - self._since_s >= 1.0:
            self._since_s, self._bytes = now_s, 0
        self._bytes += count
        if self._bytes > MAX_BYTES_PER_S:
            raise ValueError(f"more than {MAX_BYTES_PER_S} bytes within a second; this is no stream of power")


@dataclass(frozen=True, slots=True)
class StreamParts:
    """What streams work with.

    Attributes:
        clock: for the waits.
        chance: for their jitter.
        works: where a stream's run is counted and shown.
    """

    clock: Clock
    chance: Random
    works: Works


class EventStream:
    """One stream, and what became of it."""

    def __init__(
        self,
        access: HttpAccess,
        url: str,
        take: Callable[[str], None],
        parts: StreamParts,
        *,
        silence_s: float,
        begin: Callable[[], None] | None = None,
    ) -> None:
        """Prepare it.

        Args:
            access: how it is reached.
            url: where.
            take: called with the data of each event; a ValueError means that the event is malformed.
            parts: what it works with.
            silence_s: time without a byte after which the connection counts as broken.
            begin: called when a connection begins.
        """
        self._access = access
        self._url = url
        self._take = take
        self._clock, self._chance, self._works = parts.clock, parts.chance, parts.works
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
        async with in_background(self._run, Work.POWER_STREAM, self._url, works=self._works):
            yield self

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
                reason = SignalError(self._url, "the stream ended")
            except SignalError as error:
                reason = error
            except TimeoutError:
                reason = SignalError(self._url, f"silent for {self._silence_s:g} s")
            except ValueError as error:
                reason = SignalError(self._url, str(error))
            except (aiohttp.ClientError, OSError) as error:
                reason = SignalError(self._url, what_failed(error))
            except Exception as error:  # a fault of ours must not end the stream for good
                log.exception("power stream failed", extra={"source": self._url})
                reason = SignalError(self._url, f"{type(error).__name__}: {error}")
            self._failures += 1
            self._lose(reason)
            draw = self._chance.random()
            await self._clock.sleep(backoff_s(self._failures, draw, first_s=FIRST_S, longest_s=LONGEST_S))

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
            refuse_redirect(response, self._url)
            if response.status != 200:
                raise SignalError(self._url, self._access.refusal(response.status))
            if response.content_type != _CONTENT_TYPE:
                told = f"answers with {response.content_type!r:.80} and no event stream; correct the address"
                raise SignalError(self._url, told)
            if self._begin is not None:
                self._begin()
            if self.error is not None and self._failures == 0:
                self.error = SignalError(self._url, "connected, but no event has come yet")
            flow = _Flow(self._clock)
            async for chunk in response.content.iter_any():
                flow.take(len(chunk))
                for data in reader.feed(chunk):
                    self._take(data)
                    if self._is_told_lost:
                        log.info("power stream runs", extra={"source": self._url})
                        self._is_told_lost = False
                    self.error, self._failures = None, 0
