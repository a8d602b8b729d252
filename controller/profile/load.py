"""A constant number of streaming requests at one engine, and what came of them.

Prompts are lists of random token ids, so that each has exactly the length asked for and none begins like another: a
prefix cache finds nothing. `ignore_eos` and `min_tokens` keep answers at their length. The first answer of each place
is cut short by chance, and later ones vary by a quarter about their mean, so that requests do not all end at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from controller.clock import Clock
from controller.errors import ConfigError, ProfileError
from controller.profile.design import Cell, longest
from controller.profile.target import Address

FIRST_ID, LAST_ID = 300, 1999
"""Token ids that every vocabulary has, above those with a special meaning."""
STREAM_TIMEOUT_S = 120.0
"""Longest silence of a stream."""
RETRY_S = 0.5
_EVENT = b"data: {"
_TAIL_BYTES = 4096
_FATAL = {
    400: "the engine refuses the request",
    401: "the engine asks for a key; give it with --api-key-file",
    403: "the engine refuses the key given with --api-key-file",
    404: "the engine does not serve this model or path",
}


@dataclass(slots=True)
class LoadCounts:
    """What the client saw so far.

    Attributes:
        events: with tokens of answers, as they came; an engine whose reader lags puts several tokens into one.
        finished: answers that came whole with status 200.
        finished_tokens, finished_events: of those.
        statuses: of answers that did not.
        started: places whose first token came.
        in_flight: requests sent and not ended.
        idle_s: time without any request in flight, up to `idle_since_s`.
        gap_s, gaps: sum and number of times between two events of an answer.
    """

    events: int = 0
    finished: int = 0
    finished_tokens: int = 0
    finished_events: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    started: int = 0
    in_flight: int = 0
    idle_s: float = 0.0
    idle_since_s: float | None = None
    gap_s: float = 0.0
    gaps: int = 0

    @property
    def tokens_per_event(self) -> float:
        """Mean over whole answers; one where none has ended yet."""
        return self.finished_tokens / self.finished_events if self.finished_events else 1.0

    @property
    def tokens(self) -> float:
        """Tokens that came, those of unfinished answers by the mean of the others."""
        return self.events * self.tokens_per_event


class ClosedLoop:
    """The load of one cell; it runs from `begin` to `end`."""

    def __init__(
        self, session: aiohttp.ClientSession, address: Address, model: str, *, cell: Cell, rng: Random, clock: Clock
    ) -> None:
        self._session = session
        self._address = address
        self._model = model
        self._cell = cell
        self._rng = rng
        self._clock = clock
        self._places: list[asyncio.Task[None]] = []
        self._token, self._first_token = asyncio.Event(), asyncio.Event()
        self.counts = LoadCounts()

    def begin(self) -> None:
        """Send the first requests."""
        loop = asyncio.get_running_loop()
        self.counts.idle_since_s = self._clock.monotonic_s()
        self._places = [loop.create_task(self._place()) for _ in range(self._cell.concurrency)]

    async def end(self) -> None:
        """Leave all requests; the engine drops what is under way."""
        for place in self._places:
            place.cancel()
        await asyncio.gather(*self._places, return_exceptions=True)

    def check(self) -> None:
        """Tell of a place that gave up.

        Raises:
            ProfileError: what the engine answered, and the remedy.
        """
        for place in self._places:
            if place.done() and not place.cancelled() and (error := place.exception()) is not None:
                raise error

    async def next_token(self, limit_s: float, *, is_first: bool) -> None:
        """Wait for the next token, or the next first token of an answer: a step has just ended then."""
        event = self._first_token if is_first else self._token
        event.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), limit_s)

    def idle_s(self) -> float:
        """Time without any request in flight until now."""
        since_s = self.counts.idle_since_s
        return self.counts.idle_s + (0.0 if since_s is None else self._clock.monotonic_s() - since_s)

    async def _place(self) -> None:
        """One request after the other."""
        mean = self._cell.output_tokens
        spread = longest(mean) - mean
        length = self._rng.randint(min(2, mean), mean)
        is_first = True
        while True:
            if await self._request(length, is_first):
                is_first = False
                length = mean + self._rng.randint(-spread, spread)
            else:
                await self._clock.sleep(RETRY_S)

    async def _request(self, output_tokens: int, is_first: bool) -> bool:
        """Send one; returns whether it was answered with status 200.

        Raises:
            ProfileError: it was answered with something that no repetition changes.
        """
        prompt = self._rng.choices(range(FIRST_ID, LAST_ID + 1), k=self._cell.input_tokens)
        url = f"{self._address.base}/v1/completions"
        timeout = aiohttp.ClientTimeout(total=None, sock_read=STREAM_TIMEOUT_S)
        self._enter()
        try:
            async with self._session.post(
                url, json=self._body(prompt, output_tokens), headers=self._address.headers, timeout=timeout
            ) as answer:
                if answer.status != 200:
                    self._refused(answer.status, url, await answer.text(errors="replace"))
                    return False
                tail, events = await self._stream(answer, is_first)
            self._finished(tail, events, len(prompt), output_tokens)
            return True
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProfileError(
                f"{url}: a stream broke ({type(error).__name__}: {error}); see the engine's log, then run the same "
                "command again: what was measured is kept"
            ) from error
        finally:
            self._leave()

    def _body(self, prompt: list[int], output_tokens: int) -> dict[str, Any]:
        return {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": output_tokens,
            "min_tokens": output_tokens,
            "ignore_eos": True,
            "temperature": 1.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _refused(self, status: int, url: str, text: str) -> None:
        if status in _FATAL:
            error = ConfigError if status in (401, 403) else ProfileError
            raise error(f"{url}: status {status}: {_FATAL[status]}: {text[:300]!r}")
        self.counts.statuses[status] += 1

    async def _stream(self, answer: aiohttp.ClientResponse, is_first: bool) -> tuple[bytes, int]:
        """Count events as they come; returns the end of the answer and the number of events in it."""
        tail, last_s, counts, came = b"", None, self.counts, 0
        async for data in answer.content.iter_any():
            joined = tail[1 - len(_EVENT) :] + data if tail else data
            events = joined.count(_EVENT)
            tail = (tail + data)[-_TAIL_BYTES:]
            if not events:
                continue
            now_s = self._clock.monotonic_s()
            counts.events += events
            came += events
            self._token.set()
            if last_s is not None:
                counts.gap_s += now_s - last_s
                counts.gaps += events
            else:
                counts.started += is_first
                self._first_token.set()
            last_s = now_s
        return tail, came

    def _finished(self, tail: bytes, events: int, input_tokens: int, output_tokens: int) -> None:
        """Hold the usage that the engine told against what was asked.

        Raises:
            ProfileError: the stream ended without it, or lengths are not as asked.
        """
        usage = _usage(tail)
        if usage is None:
            raise ProfileError(
                f"a stream ended without usage: {tail[-300:].decode(errors='replace')!r}; see the engine's log"
            )
        self.counts.events -= 1  # the usage comes as an event of its own
        self.counts.gaps -= 1
        found = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
        if found != (input_tokens, output_tokens):
            raise ProfileError(
                f"asked for {input_tokens} prompt and {output_tokens} output tokens, the engine counted {found[0]} and "
                f"{found[1]}: lengths must be as asked; lower --long-input or --output-tokens if they exceed the "
                "engine's context, and take middle boxes out of the way that change requests"
            )
        self.counts.finished += 1
        self.counts.finished_tokens += output_tokens
        self.counts.finished_events += events - 1

    def _enter(self) -> None:
        counts = self.counts
        if counts.in_flight == 0 and counts.idle_since_s is not None:
            counts.idle_s += self._clock.monotonic_s() - counts.idle_since_s
            counts.idle_since_s = None
        counts.in_flight += 1

    def _leave(self) -> None:
        self.counts.in_flight -= 1
        if self.counts.in_flight == 0:
            self.counts.idle_since_s = self._clock.monotonic_s()


def _usage(tail: bytes) -> dict[str, Any] | None:
    """Usage of the last event that has one."""
    for line in reversed(tail.splitlines()):
        if line.startswith(_EVENT):
            try:
                usage = json.loads(line[len(b"data: ") :]).get("usage")
            except (ValueError, RecursionError):
                return None
            if isinstance(usage, dict):
                return usage
    return None
