"""Distribution of durations in bounded memory: counts in buckets whose edges grow by a constant factor. Pure."""

from __future__ import annotations

import math

LOWEST_S = 1e-4
GROWTH = 1.02
BUCKETS = 800


class Latencies:
    """Durations from 0.1 ms to about ten minutes with at most 2 % error; others go to the end buckets."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._scale = 1.0 / math.log(GROWTH)
        self.count = 0

    def add(self, duration_s: float, times: int = 1) -> None:
        """Count a duration."""
        index = 0
        if duration_s > LOWEST_S:
            index = min(BUCKETS - 1, int(math.log(duration_s / LOWEST_S) * self._scale) + 1)
        self._counts[index] += times
        self.count += times

    def quantile_s(self, share_frac: float) -> float | None:
        """Duration that `share_frac` of those counted do not exceed (upper edge of its bucket); None without any."""
        if not self.count:
            return None
        wanted = max(1, math.ceil(share_frac * self.count))
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return float(LOWEST_S * GROWTH**index)
        return float(LOWEST_S * GROWTH**BUCKETS)
