"""Metered power over time: the mean of an interval, with what is known of how it came about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.model.observation import Quality

TRUST = (Quality.DIRECT, Quality.ESTIMATED, Quality.EMULATED)
"""From the most to the least trusted; what is made of several values is of the least trusted one's quality."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Power over [start_s, end_s).

    Attributes:
        mean_w: mean over the part that was measured; None where nothing was.
        quality: of the least trusted reading within; None where nothing was measured.
        covered_frac: share of the interval that was measured, 0..1. Missing is not zero.
    """

    start_s: float
    end_s: float
    mean_w: float | None
    quality: Quality | None
    covered_frac: float

    @property
    def length_s(self) -> float:
        """Length of the interval."""
        return self.end_s - self.start_s


MeterReader = Callable[[float, float, float], tuple[Mean, ...]]
"""Reads means: of (from, until, step), all in s, one `Mean` for each step from the first; the last may be shorter."""


def least_trusted(qualities: Iterable[Quality]) -> Quality | None:
    """The least trusted of several qualities; None of none."""
    return max(qualities, key=TRUST.index, default=None)


def mean_over(means: Iterable[Mean], start_s: float, end_s: float) -> Mean:
    """Mean over [start_s, end_s) of what lies within it; an interval that only overlaps counts by its overlap."""
    energy_j, covered_s, qualities = 0.0, 0.0, []
    for mean in means:
        overlap_s = min(mean.end_s, end_s) - max(mean.start_s, start_s)
        if mean.mean_w is None or mean.quality is None or overlap_s <= 0.0:
            continue
        known_s = overlap_s * mean.covered_frac
        energy_j += mean.mean_w * known_s
        covered_s += known_s
        qualities.append(mean.quality)
    if covered_s <= 0.0:
        return Mean(start_s, end_s, None, None, 0.0)
    return Mean(start_s, end_s, energy_j / covered_s, least_trusted(qualities), min(1.0, covered_s / (end_s - start_s)))
