"""What is known of a pool's curves while it serves, and the curves that the plan is given for it. Pure.

Figures are of prompt tokens that were computed. The plan reckons with all that routers count, those that a prefix cache
holds among them: it is given what the mean one of these costs, by the share that is computed of late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.energy.refit_filter import Belief, Vector
from controller.energy.refit_interval import Doing, Interval, busy_of, power_regressors
from controller.energy.refit_prior import Prior
from controller.model.perf import PoolCurves

_PER_PROMPT = (2, 6)
"""Places of e_prefill and s among θ, φ, asleep and off."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A belief with its record.

    Attributes:
        widened: the curves it began with were contradicted.
        streak: intervals in a row whose observations were left out.
        seen: observations taken in.
    """

    belief: Belief
    widened: bool = False
    streak: int = 0
    seen: int = 0


@dataclass(frozen=True, slots=True)
class PoolFit:
    """What is known of a pool.

    Attributes:
        key: of the curves it began with.
        power, time, sleeping, off: estimates of θ, φ, and the power asleep and off.
        in_force: θ, φ, asleep and off that the plan goes by, (9,).
        computed_frac: share of the prompt tokens computed that the plan goes by.
        usual_power, usual_time: smoothed regressors under load, (4,) and (3,); () before any was seen.
        usual_computed_frac: smoothed share of the prompt tokens that no prefix cache held; None where no engine tells.
        bias_frac: smoothed error of the prediction over the power: positive where more is drawn.
        rejected, changes: observations left out; times the pool was found to have changed.
        raised: drift alarms in force.
    """

    key: str
    power: Estimate
    time: Estimate
    sleeping: Estimate
    off: Estimate
    in_force: Vector
    usual_power: Vector = ()
    usual_time: Vector = ()
    bias_frac: float = 0.0
    rejected: int = 0
    changes: int = 0
    raised: tuple[str, ...] = ()
    usual_computed_frac: float | None = None
    computed_frac: float = 1.0

    @classmethod
    def begin(cls, prior: Prior) -> PoolFit:
        """Nothing observed yet."""
        power, time, sleeping, off = (Estimate(belief) for belief in prior.beliefs)
        return cls(prior.key, power, time, sleeping, off, in_force=figures_of((power, time, sleeping, off)))

    @property
    def estimates(self) -> tuple[Estimate, Estimate, Estimate, Estimate]:
        """Power, time, asleep, off."""
        return self.power, self.time, self.sleeping, self.off

    @property
    def planned(self) -> Vector:
        """The figures in force with those of the mean prompt token, cached or computed, (9,)."""
        return tuple(
            self.computed_frac * value if place in _PER_PROMPT else value for place, value in enumerate(self.in_force)
        )


def figures_of(estimates: Sequence[Estimate]) -> Vector:
    """What estimates of power, time, asleep and off come to, (9,)."""
    return tuple(value for estimate in estimates for value in estimate.belief.mean)


def curves_of(fit: PoolFit, curves: PoolCurves) -> PoolCurves:
    """The pool's curves with the figures in force: the same object while these are the curves' own."""
    p0_w, decode_j, prompt_j, idle_w, base_s, per_seq_s, prompt_s, sleeping_w, off_w = fit.planned
    told = (p0_w, decode_j, prompt_j, idle_w, base_s, per_seq_s, prompt_s, sleeping_w, off_w)
    if told == own_figures(curves):
        return curves
    return replace(
        curves,
        step_base_s=base_s,
        step_per_seq_s=per_seq_s,
        step_base_j=p0_w * base_s,
        step_per_seq_j=decode_j + per_seq_s * p0_w,
        prefill_s_per_token=prompt_s,
        prefill_j_per_token=prompt_j,
        idle_w=idle_w,
        sleeping_w=sleeping_w,
        off_w=off_w,
        uncertainty=None,
    )


def own_figures(curves: PoolCurves) -> Vector:
    """θ, φ, asleep and off by the curves, (9,)."""
    return (
        curves.p0_w,
        max(0.0, curves.decode_j_per_token),
        curves.prefill_j_per_token,
        curves.idle_w,
        curves.step_base_s,
        curves.step_per_seq_s,
        curves.prefill_s_per_token,
        curves.sleeping_w,
        curves.off_w,
    )


def predicted_w(fit: PoolFit, interval: Interval) -> float:
    """Mean power that the estimate expects of an instance in an interval."""
    if interval.doing is Doing.SERVING:
        busy = busy_of(interval, fit.time.belief)
        return fit.power.belief.at(power_regressors(interval, busy))
    return (fit.sleeping if interval.doing is Doing.SLEEPING else fit.off).belief.mean[0]
