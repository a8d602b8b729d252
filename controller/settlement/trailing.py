"""The mean by which a draw is told as reached or exceeded: of five seconds, as one sample is no draw; pure."""

from __future__ import annotations

from collections import deque

MEAN_S = 5.0
_TOLERANCE_S = 0.5
"""Seconds are about one apart, not exactly."""


class Trailing:
    """The mean power of the last `MEAN_S`, measurement by measurement in order of time.

    Of measurements that are longer than that it is the last one alone. After a gap of more than that it begins anew.
    """

    def __init__(self) -> None:
        self._parts: deque[tuple[float, float, float]] = deque()

    def take(self, start_s: float, end_s: float, power_w: float) -> float | None:
        """Take the next measurement.

        Args:
            start_s: of the time that it stands for.
            end_s: of that time.
            power_w: its mean.

        Returns:
            W; None while less than `MEAN_S` was measured in a row.
        """
        parts = self._parts
        if parts and start_s - parts[-1][1] > MEAN_S:
            parts.clear()
        parts.append((start_s, end_s, power_w))
        from_s = end_s - MEAN_S + _TOLERANCE_S
        while len(parts) > 1 and parts[1][0] <= from_s:
            parts.popleft()
        if parts[0][0] > from_s:
            return None
        covered_s = sum(until_s - since_s for since_s, until_s, _ in parts)
        return sum(each_w * (until_s - since_s) for since_s, until_s, each_w in parts) / covered_s
