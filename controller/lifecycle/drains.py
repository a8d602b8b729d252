"""How long drains took, so that what is told of a reduction can say by when it is reached. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 32
"""Drains that are remembered."""
COUNTS_S = 3600.0
"""What is longer ago tells nothing of the answers that are under way now."""


@dataclass(frozen=True, slots=True)
class Drains:
    """Drains that ended.

    Attributes:
        ended: (wall clock at the end, time from the decision until the engine was seen empty, s), the oldest first.
    """

    ended: tuple[tuple[float, float], ...] = ()

    def after(self, now_s: float, took_s: tuple[float, ...]) -> Drains:
        """With those that end now."""
        return Drains((*self.ended, *((now_s, each) for each in took_s))[-MOST:]) if took_s else self

    def longest_s(self, now_s: float) -> float | None:
        """The longest of those that count; None where none does."""
        return max((took_s for ended_s, took_s in self.ended if ended_s > now_s - COUNTS_S), default=None)
