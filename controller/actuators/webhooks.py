"""Webhooks: notices sent to addresses that somebody registered, each with a queue and a task of its own.

`notify` only puts a notice into bounded queues, so that no receiver delays who tells. A notice is sent until it is
answered with 2xx, refused, or too old; each time under the same `Idempotency-Key`, since an answer may get lost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.clock import Clock
from controller.errors import ConfigError
from controller.http.forward_proxy import by_proxy
from router.backoff import backoff_s
from router.transport.loopback import is_private

log = logging.getLogger(__name__)

MAX_HOOKS = 16
MAX_PENDING = 100
"""Notices that wait for one receiver; the oldest is dropped for another."""
MAX_URL = 2048
MAX_TOKEN = 4096
TIMEOUT_S = 5.0
KEEP_S = 600.0
"""How long a notice is tried."""
FIRST_S = 1.0
LONGEST_S = 60.0
_TRY_AGAIN = frozenset((408, 425, 429))


class Outcome(StrEnum):
    """What became of a notice, or of one attempt."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """Answered with 3xx or 4xx: it would be again."""
    FAILED = "failed"
    """An attempt without an answer, or with 5xx: it is tried again."""
    GIVEN_UP = "given_up"
    """Too old."""
    DROPPED = "dropped"
    """For want of room."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A registered receiver.

    Attributes:
        token: sent as bearer token; None for none. Neither it nor the address goes into a log: both may be secrets.
    """

    hook_id: str
    url: str = field(repr=False)
    created_s: float
    token: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port: what of the address may be shown."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}" + ("" if parts.port is None else f":{parts.port}")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is sent, and the id by which a receiver knows it again."""

    notice_id: str
    at_s: float
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HookState:
    """How deliveries to a receiver stand.

    Attributes:
        last: outcome of the last attempt, None before the first.
        last_s: when that was, wall clock.
    """

    pending: int
    delivered: int
    last: Outcome | None
    last_s: float | None


def check_address(url: str, token: str | None) -> None:
    """Check where notices are to go.

    Raises:
        ConfigError: the address is neither https nor on this machine, has credentials in it, or is no address; or the
            token fits no header.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"url is no address: {error}") from error
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"url is not 1 to {MAX_URL} printable ASCII characters without spaces")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ConfigError("url has credentials or a fragment in it; give the credentials as token")
    if not host or parts.scheme not in ("http", "https") or not is_private(url):
        raise ConfigError("url must be https://HOST..., or http:// to this machine (127.0.0.1, ::1 or localhost)")
    if token is not None and not (0 < len(token) <= MAX_TOKEN and token.isascii() and token.isprintable()):
        raise ConfigError(f"token is not 1 to {MAX_TOKEN} printable ASCII characters")


class Webhooks:
    """The registered receivers and their tasks; used on one event loop."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, chance: Random, registry: CollectorRegistry
    ) -> None:
        self._session = session
        self._clock = clock
        self._chance = chance
        self._lines: dict[str, _Line] = {}
        self._counts = Counter(
            "wattroute_controller_webhook_notices",
            "Notices to webhooks by what became of them; failed counts attempts that are made again.",
            ("outcome",),
            registry=registry,
        )
        for outcome in Outcome:
            self._counts.labels(outcome.value)
        pending = Gauge("wattroute_controller_webhook_pending", "Notices that wait for receivers.", registry=registry)
        pending.set_function(lambda: sum(len(line.pending) for line in self._lines.values()))

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """Those registered, oldest first."""
        return tuple(line.hook for line in self._lines.values())

    def state(self, hook_id: str) -> HookState:
        """How deliveries to a receiver stand; raises `KeyError` where there is none."""
        line = self._lines[hook_id]
        return HookState(len(line.pending), line.delivered, line.last, line.last_s)

    def add(self, hook: Hook) -> None:
        """Send to this one too."""
        line = _Line(hook)
        line.task = asyncio.get_running_loop().create_task(self._serve(line))
        self._lines[hook.hook_id] = line

    async def remove(self, hook_id: str) -> None:
        """Send to this one no more, what waits included."""
        line = self._lines.pop(hook_id)
        await _end(line)

    def notify(self, notice: Notice) -> None:
        """Send a notice to all; returns at once."""
        for line in self._lines.values():
            if len(line.pending) >= MAX_PENDING:
                line.pending.popleft()
                self._count(line, Outcome.DROPPED)
            line.pending.append(notice)
            line.wake.set()

    async def close(self) -> None:
        """End the tasks; what waits is lost."""
        lines, self._lines = tuple(self._lines.values()), {}
        for line in lines:
            await _end(line)

    async def _serve(self, line: _Line) -> None:
        while True:
            await line.wake.wait()
            line.wake.clear()
            failures = 0
            while line.pending:
                notice = line.pending[0]
                outcome, reason = await self._attempt(line.hook, notice)
                if outcome is Outcome.FAILED and self._clock.wall_s() - notice.at_s >= KEEP_S:
                    outcome = Outcome.GIVEN_UP
                self._count(line, outcome, reason)
                if outcome is Outcome.FAILED:
                    failures += 1
                    draw = self._chance.random()
                    await self._clock.sleep(backoff_s(failures, draw, first_s=FIRST_S, longest_s=LONGEST_S))
                    continue
                failures = 0
                if line.pending and line.pending[0] is notice:  # it may have been dropped meanwhile
                    line.pending.popleft()

    async def _attempt(self, hook: Hook, notice: Notice) -> tuple[Outcome, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": notice.notice_id}
        if hook.token is not None:
            headers["Authorization"] = f"Bearer {hook.token}"
        try:
            async with self._session.post(
                hook.url,
                data=json.dumps(notice.body, allow_nan=False),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                **by_proxy(hook.url, os.environ),
            ) as answer:
                status = answer.status
        except TimeoutError:
            return Outcome.FAILED, f"no answer within {TIMEOUT_S:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome.FAILED, type(error).__name__  # its text may have the address
        if 200 <= status < 300:
            return Outcome.DELIVERED, f"status {status}"
        is_final = 300 <= status < 500 and status not in _TRY_AGAIN
        return (Outcome.REFUSED if is_final else Outcome.FAILED), f"status {status}"

    def _count(self, line: _Line, outcome: Outcome, reason: str = "") -> None:
        self._counts.labels(outcome.value).inc()
        if outcome is not Outcome.DELIVERED and line.last is not outcome:
            extra = {"webhook": line.hook.hook_id, "origin": line.hook.origin, "outcome": outcome.value}
            log.warning("webhook notice not delivered", extra={**extra, "reason": reason})
        line.delivered += outcome is Outcome.DELIVERED
        line.last, line.last_s = outcome, self._clock.wall_s()


class _Line:
    """The queue of one receiver."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.pending: deque[Notice] = deque()
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.delivered = 0
        self.last: Outcome | None = None
        self.last_s: float | None = None


async def _end(line: _Line) -> None:
    if line.task is not None:
        line.task.cancel()
        await asyncio.gather(line.task, return_exceptions=True)
