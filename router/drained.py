"""`GET /drained` of the admin port: answers once the router has drained, so that a hook that blocks can wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from router import clock
from router.snapshot import Snapshot

QUIET_S = 5.0
"""How long nothing may have been in flight: balancers send new requests until they have seen that it is not ready."""
_LOOK_EVERY_S = 0.2


class Quiet:
    """Since when a router that drains has had nothing to do.

    Args:
        quiet_s: how long that must last.
    """

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._since_s: float | None = None

    def is_over(self, now_s: float, *, is_draining: bool, busy: int) -> bool:
        """Whether the drain is over as of `now_s`, with `busy` requests in flight or waiting."""
        if not is_draining or busy > 0:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s >= self._quiet_s


def busy(snapshot: Snapshot) -> int:
    """Requests in flight or waiting for a slot."""
    return sum(counts.in_flight + counts.queued for counts in snapshot.classes)


async def wait_drained(
    snapshot: Callable[[], Awaitable[Snapshot]], is_draining: Callable[[], bool], wait_s: float, quiet_s: float
) -> int | None:
    """Wait until the drain has begun and nothing was in flight for `quiet_s`, at most `wait_s`.

    Returns:
        None once it is drained, else the requests in flight as the time ran out.
    """
    quiet = Quiet(quiet_s)
    end_s = clock.monotonic_s() + wait_s
    while True:
        left = busy(await snapshot())
        now_s = clock.monotonic_s()
        if quiet.is_over(now_s, is_draining=is_draining(), busy=left):
            return None
        if now_s >= end_s:
            return left
        await asyncio.sleep(min(_LOOK_EVERY_S, end_s - now_s))
