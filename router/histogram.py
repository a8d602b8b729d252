"""Counts by fixed bounds, as Prometheus has them, taken many at a time. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import msgspec

_FEW = 8
"""Values up to which counting one by one is faster than sorting them."""


class Histogram(msgspec.Struct):
    """Counts by fixed upper bounds.

    Attributes:
        bounds: upper bounds, ascending.
        counts: observations per bucket, one more than bounds (the last is open above).
        total: sum of all observations.
    """

    bounds: tuple[float, ...]
    counts: list[int]
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> Histogram:
        """A histogram without observations."""
        return cls(bounds, [0] * (len(bounds) + 1))

    def observe(self, value: float) -> None:
        """Add one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: list[float] | list[int]) -> None:
        """Add observations, and maybe sort the list."""
        if len(values) < _FEW:
            for value in values:
                self.observe(value)
            return
        values.sort()
        self.total += sum(values)
        counts, seen = self.counts, 0
        for number, bound in enumerate(self.bounds):
            if seen == len(values):
                return
            within = bisect_right(values, bound, seen)
            counts[number] += within - seen
            seen = within
        counts[-1] += len(values) - seen

    def add(self, other: Histogram) -> None:
        """Add all observations of a histogram with the same bounds."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
