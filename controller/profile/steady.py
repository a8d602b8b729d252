"""Whether a window was steady enough to stand for its load. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MAX_SPREAD_FRAC = 0.10
"""Of throughput, where the operator allows no other."""
POWER_SHARE = 0.5
"""Power may vary by this share of it: rates vary more between parts of a window, as requests end in whole numbers."""
PARTS = 4
"""Parts of a window that are held against each other."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Spread between the parts of a window, standard deviation over mean."""

    power_cv: float
    rate_cv: float

    def is_within(self, max_spread_frac: float) -> bool:
        """Whether throughput varies by no more than that, and power by no more than half of it."""
        return self.power_cv <= POWER_SHARE * max_spread_frac and self.rate_cv <= max_spread_frac

    def told(self, max_spread_frac: float) -> str:
        """Why a window that is not within bounds is left out."""
        return (
            f"not steady: power varies by {self.power_cv:.1%} and throughput by {self.rate_cv:.1%} between parts of "
            f"the window; let pass are {POWER_SHARE * max_spread_frac:.1%} and {max_spread_frac:.1%}"
        )


def steadiness(power_w: Sequence[float], tokens_per_s: Sequence[float]) -> Steadiness:
    """Of the parts of a window, at least two."""
    return Steadiness(_cv(power_w), _cv(tokens_per_s))


def _cv(values: Sequence[float]) -> float:
    mean = statistics.fmean(values)
    return statistics.stdev(values) / mean if mean > 0 else float("inf")
