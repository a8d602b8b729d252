"""Whether the reference itself may be believed before anybody else has agreed with it. Pure.

A reference that was broken when the first canary was sent agrees with itself, and every sound pool differs from it.
What tells the two cases apart is whether anybody has ever agreed with it:

- Until then no alarm bars a pool where two or more others serve that could bear the reference out: several independent
  faults at once are rarer than one, and barring them all would leave all requests to the likelier culprit.
- Where all have come to an alarm meanwhile the reference is doubted, which an operator is told. He decides: which of
  the two is broken cannot be seen from here.

Once it is confirmed it stays so: what breaks later is told by the answers that it gave before.
"""

from __future__ import annotations

from collections.abc import Collection

CONFIRMED = 4
"""Canaries of other pools that agree until the reference is believed: nonsense does not meet an answer by chance."""


class ReferenceTrust:
    """What others say of the reference."""

    def __init__(self) -> None:
        self._agreed = 0

    @property
    def is_confirmed(self) -> bool:
        """Whether others have agreed with it."""
        return self._agreed >= CONFIRMED

    def take(self, *, agrees: bool) -> None:
        """Count a canary of another pool."""
        self._agreed += agrees

    def holds(self, pools_serving: int) -> bool:
        """Whether alarms wait, with so many pools beside the reference that serve."""
        return not self.is_confirmed and pools_serving >= 2

    def is_doubted(self, suspicions: Collection[float]) -> bool:
        """Whether it is the likelier culprit.

        Args:
            suspicions: of every other pool that was asked; 1 is an alarm.
        """
        return not self.is_confirmed and bool(suspicions) and min(suspicions) >= 1.0
