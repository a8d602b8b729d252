"""Whether a pool has left its curves, told once and taken back late. Pure.

Four figures of the estimate are held against the curves: the power and the engine time at the load that the pool
usually has, and the power without work and asleep. One that is more than `RAISE_FRAC` and `SURE_SD` standard deviations
away raises an alarm; it falls when it is back within `CLEAR_FRAC`. A fifth is the smoothed error of the predictions:
where that does not vanish, straight lines do not describe the pool.

Prompt tokens are those that were computed, so that a cache that finds much is no drift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.energy.pool_fit import PoolFit
from controller.energy.refit_filter import Belief, Vector
from controller.energy.refit_prior import Prior

RAISE_FRAC, CLEAR_FRAC = 0.10, 0.07
RAISE_BIAS_FRAC, CLEAR_BIAS_FRAC = 0.05, 0.03
SURE_SD = 3.0
LEAST_SEEN = 12
"""Observations before anything is said."""
ENGINE_TIME = "engine_time"
FIGURES = ("loaded_w", "idle_w", "sleeping_w", ENGINE_TIME)
MISFIT = "misfit"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a pool beside its curves'.

    Attributes:
        name: of `FIGURES`.
        estimate, profile: in W, or as a share of the time.
        sd: standard deviation of the estimate.
        seen: observations behind it.
    """

    name: str
    estimate: float
    profile: float
    sd: float
    seen: int

    @property
    def ratio(self) -> float:
        """Estimate over profile; NaN where the profile says zero."""
        return self.estimate / self.profile if self.profile else math.nan

    def is_off(self, by_frac: float) -> bool:
        """Whether it surely lies further away than a share of the profile's."""
        away = abs(self.estimate - self.profile)
        return self.seen >= LEAST_SEEN and away > max(by_frac * self.profile, SURE_SD * self.sd)


def figures(fit: PoolFit, prior: Prior) -> tuple[Figure, ...]:
    """Those that can be told: power and time under load only once there was load."""
    out = []
    if fit.usual_power:
        out.append(_figure("loaded_w", fit.power.belief, prior.power, fit.usual_power, fit.power.seen))
    out.append(_figure("idle_w", fit.power.belief, prior.power, (0.0, 0.0, 0.0, 1.0), fit.power.seen))
    out.append(_figure("sleeping_w", fit.sleeping.belief, prior.sleeping, (1.0,), fit.sleeping.seen))
    if fit.usual_time:
        out.append(_figure(ENGINE_TIME, fit.time.belief, prior.time, fit.usual_time, fit.time.seen))
    return tuple(out)


def alarms(fit: PoolFit, found: Sequence[Figure]) -> tuple[str, ...]:
    """Names of the figures whose alarm is in force from now on; `MISFIT` among them."""
    out = [one.name for one in found if one.is_off(CLEAR_FRAC if one.name in fit.raised else RAISE_FRAC)]
    bias_frac = CLEAR_BIAS_FRAC if MISFIT in fit.raised else RAISE_BIAS_FRAC
    if fit.power.seen >= LEAST_SEEN and abs(fit.bias_frac) > bias_frac:
        out.append(MISFIT)
    return tuple(out)


def told(pool: str, name: str, fit: PoolFit, found: Sequence[Figure]) -> str:
    """An alarm in words, with what to do."""
    remedy = f"profile the pool again and set plan.pools.{pool}.curves"
    figure = next((one for one in found if one.name == name), None)
    if figure is None:
        return f"pool {pool}: its power is {fit.bias_frac:+.0%} from what its curves can follow; {remedy}"
    unit, digits = ("of the time", 2) if name == ENGINE_TIME else ("W", 0)
    return (
        f"pool {pool}: {name} is {figure.estimate:.{digits}f} {unit}, {figure.ratio - 1:+.0%} from its curves "
        f"({figure.profile:.{digits}f}); {remedy}"
    )


def _figure(name: str, belief: Belief, prior: Belief, h: Vector, seen: int) -> Figure:
    return Figure(name, belief.at(h), prior.at(h), math.sqrt(belief.variance_at(h)), seen)
