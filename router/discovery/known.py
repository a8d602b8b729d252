"""What is known of the engines of one pool, and since when; what changes is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from router.discovery.endpoint import Found
from router.snapshot import DiscoveryView

log = logging.getLogger(__name__)

SHOWN = 10
"""Most names in one line of the log."""


class Known:
    """Takes what a source tells of one pool.

    Args:
        pool: its name.
        kind: of the source.
        changed: called when the engines that take requests are others.
        monotonic_s: the clock of ages.

    Attributes:
        found: the engines told last, None before the first time.
    """

    def __init__(self, pool: str, kind: str, changed: Callable[[], None], monotonic_s: Callable[[], float]) -> None:
        self.found: Found | None = None
        self._pool = pool
        self._kind = kind
        self._changed = changed
        self._monotonic_s = monotonic_s
        self._heard_at_s: float | None = None
        self._failures = 0
        self._error: str | None = None
        self._left_out: tuple[str, ...] = ()

    def follows(self, old: Known) -> None:
        """Go by what another source told last, until this one's tells."""
        self.found = old.found
        self._heard_at_s = old._heard_at_s
        self._failures = old._failures

    def told(self, found: Found) -> None:
        """See `FoundSink`."""
        before, self.found = self.found, found
        self.heard()
        self._tell_left_out(found.problems, () if before is None else before.problems)
        if before is not None and before.ready == found.ready:
            return
        was = set() if before is None else set(before.ready)
        now = set(found.ready)
        log.info(
            "discovery: instances changed",
            extra={
                "pool": self._pool,
                "ready": len(now),
                "draining": found.draining,
                "added": _shown({each.name or each.address for each in now - was}),
                "removed": _shown({each.name or each.address for each in was - now}),
            },
        )
        self._changed()

    def heard(self) -> None:
        """See `FoundSink`."""
        self._heard_at_s = self._monotonic_s()
        if self._error is not None:
            log.info("discovery answers again", extra={"pool": self._pool})
        self._error = None

    def failed(self, reason: str) -> None:
        """See `FoundSink`."""
        self._failures += 1
        if self._error != reason:
            known = "none was told yet" if self.found is None else "those last known stay"
            log.warning("discovery of instances fails", extra={"pool": self._pool, "reason": reason, "known": known})
        self._error = reason

    def leave_out(self, reasons: tuple[str, ...]) -> None:
        """Note which of the engines that were told cannot be used."""
        self._tell_left_out(reasons, self._left_out)
        self._left_out = reasons

    def view(self) -> DiscoveryView:
        """What is told of it."""
        found = self.found or Found(())
        age_s = None if self._heard_at_s is None else max(0.0, self._monotonic_s() - self._heard_at_s)
        return DiscoveryView(
            pool_id=self._pool,
            kind=self._kind,
            told=self.found is not None,
            age_s=age_s,
            endpoints={
                "ready": len(found.ready) - len(self._left_out),
                "draining": found.draining,
                "unready": found.unready,
                "left_out": found.left_out + len(self._left_out),
            },
            failures=self._failures,
            error=self._error,
            problems=(*found.problems, *self._left_out),
        )

    def _tell_left_out(self, reasons: tuple[str, ...], before: tuple[str, ...]) -> None:
        if reasons and reasons != before:
            log.warning("discovery: engines left out", extra={"pool": self._pool, "reasons": _shown(reasons)})


def _shown(names: Collection[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(sorted(names)[:SHOWN]) + (f" and {more} more" if more > 0 else "")
