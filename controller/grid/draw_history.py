"""What the site drew of late, as means of ten seconds: the present draw at a time, and the mean before one; pure.

It is the controller's own memory for calls that are counted from what is drawn. A process fills it at its start with
what the meter store has of a former one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SLOT_S = 10.0
MAX_SLOTS = 1500
MAX_LATEST = 100
PRESENT_WITHIN_S = 60.0
"""A draw older than this is not the present one."""
COVERED_FRAC = 0.5
"""Share of a window that must have been seen for its mean to count."""


@dataclass(slots=True)
class _Slot:
    index: int
    sum_w: float = 0.0
    count: int = 0

    @property
    def mean_w(self) -> float:
        return self.sum_w / self.count


class DrawHistory:
    """Means of a bounded past."""

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque(maxlen=MAX_SLOTS)
        self._latest: deque[tuple[float, float]] = deque(maxlen=MAX_LATEST)

    def take(self, time_s: float, power_w: float) -> None:
        """Book a reading; one that is older than the last is left out."""
        if self._latest and time_s <= self._latest[-1][0]:
            return
        self._latest.append((time_s, power_w))
        index = int(time_s // SLOT_S)
        if not self._slots or self._slots[-1].index != index:
            self._slots.append(_Slot(index))
        self._slots[-1].sum_w += power_w
        self._slots[-1].count += 1

    def shift(self, step_s: float) -> None:
        """Move all of it with a clock that was set ahead by so much: what was drawn a minute ago stays a minute ago."""
        for slot in self._slots:
            slot.index += round(step_s / SLOT_S)
        moved = [(time_s + step_s, power_w) for time_s, power_w in self._latest]
        self._latest = deque(moved, maxlen=MAX_LATEST)

    def at(self, time_s: float) -> float | None:
        """What was drawn at a time: the mean of the last ten seconds that were seen before it; None if unseen.

        A site's power goes up and down with its batches: a single reading may be a third off.
        """
        if self._latest and 0.0 <= time_s - self._latest[-1][0] <= PRESENT_WITHIN_S:
            since_s = self._latest[-1][0] - SLOT_S
            seen = [power_w for seen_s, power_w in self._latest if seen_s > since_s]
            return sum(seen) / len(seen)
        before = [slot for slot in self._slots if slot.index * SLOT_S <= time_s]
        if not before or time_s - before[-1].index * SLOT_S > PRESENT_WITHIN_S:
            return None
        return before[-1].mean_w

    def mean_w(self, from_s: float, until_s: float) -> float | None:
        """Mean of the window [from_s, until_s); None where less than half of it was seen."""
        inside = [slot.mean_w for slot in self._slots if from_s <= slot.index * SLOT_S < until_s]
        if not inside or len(inside) * SLOT_S < COVERED_FRAC * (until_s - from_s):
            return None
        return sum(inside) / len(inside)
