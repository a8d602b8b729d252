"""Finds out that the wall clock was set, in this process and since a former one, and tells whom that concerns.

A clock that is slewed, as NTP does it, is not set: what matters is a jump between two looks, against a clock that
cannot be set.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from controller.clock import Clock

log = logging.getLogger(__name__)

STEP_S = 0.5
"""Less than this is no step: the two clocks are not read at once."""
_APART_S = 0.05
_TRIES = 5

Heard = Callable[[float, float], None]
"""Is told by how much the clock was set ahead, s, back where negative, and what it shows now."""


@dataclass(frozen=True, slots=True)
class ClockMark:
    """Both clocks at one moment.

    Attributes:
        boot: name of the machine's life that the monotonic time is of.
    """

    wall_s: float
    monotonic_s: float
    boot: str


class ClockSteps:
    """Compares the clocks at each look.

    Attributes:
        count: how many times the clock was set.
        last_s: by how much it was, the last time; None where it never was.
    """

    def __init__(self, clock: Clock, boot: str = "") -> None:
        """Begin to watch.

        Args:
            clock: both clocks.
            boot: name of this life of the machine, in which the monotonic clock goes on; empty where it has none.
        """
        self._clock = clock
        self._boot = boot
        self._heard: list[Heard] = []
        self._before = self.mark()
        self.count = 0
        self.last_s: float | None = None

    @property
    def seen(self) -> ClockMark:
        """Both clocks at the last look: what was set since then is still to be told, by this process or the next."""
        return self._before

    def tell(self, heard: Heard) -> None:
        """Have it told from now on of each step."""
        self._heard.append(heard)

    def mark(self) -> ClockMark:
        """Both clocks now, read so close together that a process that stands still in between shows no step."""
        for _ in range(_TRIES):
            before_s = self._clock.monotonic_s()
            wall_s = self._clock.wall_s()
            after_s = self._clock.monotonic_s()
            if after_s - before_s <= _APART_S:
                break
        return ClockMark(wall_s, after_s, self._boot)

    def look(self) -> None:
        """See whether the clock was set since the last look, and tell it."""
        now, before = self.mark(), self._before
        self._before = now
        self._take(_step_s(before, now), now.wall_s)

    def resume(self, former: ClockMark | None) -> None:
        """See whether the clock was set since a former process looked.

        Another life of the machine, or another machine, does not say how long ago that was: only a clock that shows
        less than then was surely set, by that much at least.
        """
        if former is None:
            return
        now = self._before
        if self._boot and former.boot == self._boot:
            self._take(_step_s(former, now), now.wall_s)
        else:
            self._take(min(0.0, now.wall_s - former.wall_s), now.wall_s)

    def _take(self, step_s: float, now_s: float) -> None:
        if abs(step_s) <= STEP_S:
            return
        self.count += 1
        self.last_s = step_s
        log.warning("the wall clock was set", extra={"step_s": round(step_s, 3), "now_s": now_s})
        for heard in self._heard:
            heard(step_s, now_s)


def _step_s(before: ClockMark, now: ClockMark) -> float:
    return (now.wall_s - before.wall_s) - (now.monotonic_s - before.monotonic_s)
