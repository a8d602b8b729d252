"""The course of measured power, thinned to what a picture shows, made of samples as they come; pure."""

from __future__ import annotations

from controller.evidence.account import HOLD_S
from controller.evidence.series import Sample

MAX_POINTS = 1500


class PowerLine:
    """Means over bins of equal length; of what lies between no more than the bins is held.

    Args:
        from_s, until_s: what is shown.
    """

    def __init__(self, from_s: float, until_s: float) -> None:
        self._from_s = from_s
        self._step_s = max(1.0, (until_s - from_s) / (MAX_POINTS // 2))
        self._bins: dict[int, tuple[float, int]] = {}

    def take(self, sample: Sample) -> None:
        """Take the next sample; one of which the power is not known breaks the line where no other is beside it."""
        number = int((sample.time_s - self._from_s) // self._step_s)
        if not 0 <= number <= MAX_POINTS // 2:
            return
        total_kw, count = self._bins.get(number, (0.0, 0))
        known = sample.power_w is not None
        self._bins[number] = total_kw + (sample.power_w or 0.0) / 1e3, count + known

    def points(self) -> tuple[tuple[float, ...], tuple[float | None, ...]]:
        """Times in s and power in kW; None where nothing was measured for longer than a sample stands."""
        times_s: list[float] = []
        powers_kw: list[float | None] = []
        numbers = sorted(self._bins)
        for before, number in zip([*numbers[:1], *numbers], numbers, strict=False):
            time_s = self._from_s + number * self._step_s
            if number - before > max(1.0, HOLD_S / self._step_s):
                times_s.append(0.5 * (times_s[-1] + time_s))
                powers_kw.append(None)
            total_kw, count = self._bins[number]
            times_s.append(time_s)
            powers_kw.append(total_kw / count if count else None)
        return tuple(times_s), tuple(powers_kw)
