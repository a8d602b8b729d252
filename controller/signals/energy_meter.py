"""Energy of the site since the controller began; pure."""

from __future__ import annotations

from controller.model.observation import Missing, Reading

MAX_GAP_S = 60.0
"""Longest time between two readings that is bridged with their mean power; a longer one is left out."""


class EnergyMeter:
    """Sums energy from the site's counter where it has one, else from its power by the trapezoidal rule.

    Counters of two sources have nothing to do with each other: across a change of source, power is integrated.
    """

    def __init__(self) -> None:
        self._last: Reading | None = None
        self.total_j = 0.0

    def take(self, reading: Reading | Missing) -> float:
        """Take in a reading; returns the energy since the first one."""
        if isinstance(reading, Missing):
            return self.total_j
        last, self._last = self._last, reading
        if last is None or reading.observed_at_s <= last.observed_at_s:
            self._last = last or reading
            return self.total_j
        gap_s = reading.observed_at_s - last.observed_at_s
        counted_j = None
        if reading.source == last.source and reading.energy_j is not None and last.energy_j is not None:
            counted_j = reading.energy_j - last.energy_j
        if counted_j is not None and counted_j >= 0:
            self.total_j += counted_j
        elif gap_s <= MAX_GAP_S:
            self.total_j += 0.5 * (reading.value_w + last.value_w) * gap_s
        return self.total_j
