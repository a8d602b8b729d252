"""Whether a window was steady enough to stand for its load. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MOST_POWER_CV = 0.05
MOST_RATE_CV = 0.10
"""Rates vary more between parts of a window than power does: requests end in whole numbers."""
PARTS = 4
"""Parts of a window that are held against each other."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Spread between the parts of a window, standard deviation over mean."""

    power_cv: float
    rate_cv: float

    @property
    def is_steady(self) -> bool:
        """Whether both are within bounds."""
        return self.power_cv <= MOST_POWER_CV and self.rate_cv <= MOST_RATE_CV

    def __str__(self) -> str:
        return f"power varies by {self.power_cv:.1%} and throughput by {self.rate_cv:.1%} between parts of the window"


def steadiness(power_w: Sequence[float], tokens_per_s: Sequence[float]) -> Steadiness:
    """Of the parts of a window, at least two."""
    return Steadiness(_cv(power_w), _cv(tokens_per_s))


def _cv(values: Sequence[float]) -> float:
    mean = statistics.fmean(values)
    return statistics.stdev(values) / mean if mean > 0 else float("inf")
