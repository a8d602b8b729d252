"""Exponential smoothing with a season, one observation at a time: level, seasonal naive and Holt-Winters in one law.

    e[k] = x[k] - level - season[slot(k)]               what level and season did not explain
    level           += α · ( e[k] - φ · e[k-1] )
    season[slot(k)] += γ · e[k]
    forecast of h intervals ahead = level + season[slot(k+h)] + φ^h · e[k],      φ = exp(-step / τ)

α = 0 with γ = 1 is the seasonal naive forecast; no season is simple exponential smoothing; α and γ together are
Holt-Winters' additive season without trend, and φ is the error correction that Taylor adds to it for short intervals
(Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., §8.3; J. W. Taylor, Journal of the Operational
Research Society 54 (2003) 799-805, with one season). Weights are given, not fitted, so that an observation costs
microseconds, and a gap costs nothing: a missing value changes neither level nor season, and the error fades by φ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import tzinfo

from controller.forecast.season import Season, slot_of, slots

MAX_SLOTS = 20_160
"""Longest season kept: a week of half minutes."""
FADING_S = 16_200.0
"""Time constant of the error in Holt-Winters: 4.5 h. Half an hour to half a day differ by a few per cent of MASE."""


@dataclass(frozen=True, slots=True)
class SmoothingSpec:
    """Weights of one forecaster.

    Attributes:
        season: what repeats, None for nothing.
        level_gain: α, 0..1.
        season_gain: γ, 0..1.
        error_tau_s: τ, time constant with which an error fades; None where it tells nothing of the next.
    """

    name: str
    season: Season | None
    level_gain: float
    season_gain: float = 0.0
    error_tau_s: float | None = None

    @classmethod
    def seasonal_naive(cls, name: str, season: Season) -> SmoothingSpec:
        """What was there a season ago comes again."""
        return cls(name, season, level_gain=0.0, season_gain=1.0)

    @classmethod
    def holt_winters(cls, name: str, season: Season) -> SmoothingSpec:
        """A level, a season and an error that fades; docs/reference/forecasts.md shows how the weights do."""
        return cls(name, season, level_gain=0.05, season_gain=0.2, error_tau_s=FADING_S)

    def fits(self, step_s: float) -> bool:
        """Whether the season has at least two slots and no more than are kept."""
        return self.season is None or 2 <= slots(self.season, step_s) <= MAX_SLOTS


@dataclass(frozen=True, slots=True)
class SmoothingState:
    """What one forecaster has learnt; empty before the first observation.

    Attributes:
        last: interval of the last observation.
        season: deviation of each slot from the level, None for a slot never seen; empty without a season.
        error: the last observation's.
    """

    last: int | None = None
    level: float = 0.0
    season: tuple[float | None, ...] = ()
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Intervals of a series.

    Attributes:
        step_s: length of an interval.
        zone: the users' clock.
    """

    step_s: float
    zone: tzinfo


def learn(spec: SmoothingSpec, state: SmoothingState, grid: Grid, index: int, value: float) -> SmoothingState:
    """Take in the value of an interval later than the last."""
    if state.last is None:
        empty = () if spec.season is None else (None,) * slots(spec.season, grid.step_s)
        state = SmoothingState(index - 1, value, empty)
        return learn(spec, state, grid, index, value)
    faded = state.error * _fading(spec, grid, index - state.last)
    if spec.season is None:
        error = value - state.level
        return SmoothingState(index, state.level + spec.level_gain * (error - faded), (), error)
    slot = slot_of(spec.season, index, grid.step_s, grid.zone)
    seen = state.season[slot]
    if seen is None:
        season = (*state.season[:slot], value - state.level, *state.season[slot + 1 :])
        return SmoothingState(index, state.level, season, 0.0)
    error = value - state.level - seen
    season = (*state.season[:slot], seen + spec.season_gain * error, *state.season[slot + 1 :])
    return SmoothingState(index, state.level + spec.level_gain * (error - faded), season, error)


def ahead(spec: SmoothingSpec, state: SmoothingState, grid: Grid, index: int) -> float | None:
    """Forecast of an interval after the last one seen, None where nothing like it was seen."""
    if state.last is None:
        return None
    faded = state.error * _fading(spec, grid, index - state.last)
    if spec.season is None:
        return state.level + faded
    seen = state.season[slot_of(spec.season, index, grid.step_s, grid.zone)]
    return None if seen is None else state.level + seen + faded


def _fading(spec: SmoothingSpec, grid: Grid, intervals: int) -> float:
    """φ^h, the share of an error that is left after h intervals."""
    return 0.0 if spec.error_tau_s is None else math.exp(-max(0, intervals) * grid.step_s / spec.error_tau_s)
