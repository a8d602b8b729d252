"""Whether another process tells of itself under this router's name. Pure.

Two of one name write one entry, one over the other: other routers count one too few, and a controller reads the
counters of now one, now the other. While a router is replaced both may be there, until the old one has drained. So
another process takes part in the sharing of caps as soon as it is known to live, and is a fault only where it goes on
for longer than a drain.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.contract_presence import Heard
from router.hearing import LOOKS, stale_s

ENDED_S = 30.0
"""Time that a process may take to end beyond its drain."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who tells of itself.

    Attributes:
        name: of the router, which no other has.
        start: of this process, which no other has, nor the router after its next start.
        overlap_s: so long another process may tell under the name: the one that this one replaces, or is replaced by.
    """

    name: str
    start: str
    overlap_s: float


class Namesake:
    """What is known of it.

    Args:
        own: of this process.
        interval_s: at which this one tells.
    """

    def __init__(self, own: Identity, interval_s: float) -> None:
        self._start = own.start
        self._overlap_s = own.overlap_s
        self._interval_s = interval_s
        self._heard: Heard | None = None
        self._sightings = 0
        self._looks_since = 0
        self._first_s = self._last_s = 0.0

    def look(self, entry: Heard | None, now_s: float) -> None:
        """Take what stands under the name, just before this process writes there again.

        Args:
            entry: who has told last, and what; None where nobody has.
            now_s: monotonic.
        """
        if entry is not None and entry.identity != self._start:
            self._first_s = self._first_s if self._sightings else now_s
            self._heard, self._last_s, self._looks_since = entry, now_s, 0
            self._sightings += 1
            return
        self._looks_since += 1
        told_each_s = 0.0 if self._heard is None else self._heard.interval_s
        if self._looks_since >= LOOKS and now_s - self._last_s > stale_s(max(told_each_s, self._interval_s)):
            self._heard, self._sightings = None, 0

    @property
    def alive(self) -> Heard | None:
        """What another process told last that has told after this one did, so that it is no predecessor's remainder."""
        return self._heard if self._sightings > 1 else None

    @property
    def is_fault(self) -> bool:
        """Whether there is one for longer than it takes to replace a router."""
        return self._sightings > 1 and self._last_s - self._first_s > self._overlap_s
