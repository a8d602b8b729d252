"""One instance over one interval, as the re-fit takes it in. Pure.

With S steps that decoded D tokens and computed K prompt tokens in dt seconds,

    engine time     t = a·S + b·D + s·K                                      t = dt where the engine was never empty
    energy          E = P0·t + e·D + e_prefill·K + idle·(dt - t)

Both are linear in the parameters once t is known. An engine whose steps held six sequences or more on average is taken
as never empty; below, t follows from the steps counted. Where an engine counts no steps, t is dt if it had work at both
ends, else what the tokens alone would take one after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from controller.energy.load_power import is_never_empty
from controller.energy.refit_filter import Belief, Vector

_STEADY = 1.3
"""Ratio of the batches at both ends up to which their mean stands for the interval."""


class Doing(StrEnum):
    """What the instance did throughout."""

    SERVING = "serving"
    SLEEPING = "sleeping"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Interval:
    """One instance from one reading to another.

    Attributes:
        wall_s: length.
        energy_j: drawn by its GPUs.
        noise_frac: standard deviation of `energy_j` over itself, the meter's and the timing's.
        decode_tokens, prefill_tokens: made and computed by the engine, scaled to the length where its readings were
            apart; with the prompt tokens that a cache held where the engine does not tell those.
        steps: the same; None where the engine counts none.
        running: sequences in the batch at the beginning and at the end.
        cached_tokens: prompt tokens that a prefix cache held; None where the engine does not tell.
    """

    doing: Doing
    wall_s: float
    energy_j: float
    noise_frac: float
    decode_tokens: float = 0.0
    prefill_tokens: float = 0.0
    steps: float | None = None
    running: tuple[int, int] = (0, 0)
    cached_tokens: float | None = None

    @property
    def power_w(self) -> float:
        """Mean power."""
        return self.energy_j / self.wall_s

    @property
    def is_idle(self) -> bool:
        """Nothing was computed."""
        return self.decode_tokens == self.prefill_tokens == 0.0 and not any(self.running)

    @property
    def was_never_empty(self) -> bool:
        """Whether the engine surely computed throughout."""
        return is_never_empty(self.decode_tokens, self.steps, self.running)


@dataclass(frozen=True, slots=True)
class Busy:
    """Share of the time in which the engine computed, and its standard deviation."""

    share: float
    sd: float


def busy_of(interval: Interval, time: Belief) -> Busy:
    """How busy the engine was; (0, 0) where nothing was computed."""
    if interval.is_idle:
        return Busy(0.0, 0.0)
    if interval.was_never_empty:
        return Busy(1.0, 0.0)
    if interval.steps is not None:
        h = time_regressors(interval, interval.steps)
        share = min(1.0, max(0.0, time.at(h)))
        return Busy(share, min(0.5, math.sqrt(time.variance_at(h)) + 0.02) if share < 1.0 else 0.0)
    one_by_one = max(0.0, time.at(time_regressors(interval, interval.decode_tokens)))
    return Busy(-math.expm1(-one_by_one), 0.3)


def power_regressors(interval: Interval, busy: Busy) -> Vector:
    """(4,) h of the mean power, for θ = (P0, e, e_prefill, idle)."""
    dt = interval.wall_s
    return (busy.share, interval.decode_tokens / dt, interval.prefill_tokens / dt, 1.0 - busy.share)


def time_regressors(interval: Interval, steps: float) -> Vector:
    """(3,) h of the share of the time spent computing, for φ = (a, b, s), 1/s each."""
    dt = interval.wall_s
    return (steps / dt, interval.decode_tokens / dt, interval.prefill_tokens / dt)


def time_observation(interval: Interval) -> tuple[Vector, float] | None:
    """Regressors whose h·φ is 1, and the standard deviation of that; None where the engine may have been empty.

    Without a count of steps it follows from the batch, where that was the same at both ends.
    """
    if not interval.was_never_empty:
        return None
    if interval.steps is not None:
        return time_regressors(interval, interval.steps), 0.02
    least, most = sorted(interval.running)
    if most > _STEADY * least:
        return None
    return time_regressors(interval, interval.decode_tokens / (0.5 * (least + most))), 0.1
