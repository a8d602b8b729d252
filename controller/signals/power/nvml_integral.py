"""Energy from power that is polled, for GPUs without an energy counter; pure."""

from __future__ import annotations

import math

MAX_GAP_S = 2.0
"""Longest time between two polls that is bridged by their mean; what was drawn in a longer one is not known."""


class PowerIntegral:
    """Sums power over time by the trapezoidal rule; its sum only grows.

    A reading that misses power between polls misses it here too: on A100 and H100 a sample shows a quarter of the time
    (arXiv 2312.02741), so that the energy counter comes first where there is one.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self.energy_j = 0.0

    def take(self, observed_at_s: float, power_w: float) -> float:
        """Take in a poll: power in W at a time of any one clock; returns the energy in J since the first one.

        Raises:
            ValueError: the power is negative or not finite.
        """
        if not (math.isfinite(power_w) and power_w >= 0):
            raise ValueError(f"{power_w} W is no power")
        last, self._last = self._last, (observed_at_s, power_w)
        if last is not None and 0 < observed_at_s - last[0] <= MAX_GAP_S:
            self.energy_j += 0.5 * (last[1] + power_w) * (observed_at_s - last[0])
        return self.energy_j
