"""The scale on which differences between outcomes and forecasts are alike at every level.

Of a count n the square root √(n + ¼) spreads by about ½ whether n is 10 or 10,000, so that nights and peaks teach one
quantile, and a forecast of a count is never negative (root-unroot; Brown et al., Journal of the American Statistical
Association 100 (2005) 36-50). Prices and emission rates are left as they are: they may be negative.
"""

from __future__ import annotations

import math
from enum import StrEnum


class Scale(StrEnum):
    """How a series is seen by its forecasters.

    Attributes:
        ROOT: rates per second of something that is counted over an interval.
        PLAIN: anything else.
    """

    ROOT = "root"
    PLAIN = "plain"


def scaled(value: float, scale: Scale, step_s: float) -> float:
    """A value, or a rate over intervals of `step_s`, on the scale."""
    return math.sqrt(max(0.0, value) * step_s + 0.25) if scale is Scale.ROOT else value


def unscaled(value: float, scale: Scale, step_s: float) -> float:
    """The value or rate back from the scale; no rate is negative."""
    return max(0.0, max(0.0, value) ** 2 - 0.25) / step_s if scale is Scale.ROOT else value
