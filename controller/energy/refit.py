"""A pool's curves, followed while it serves. Pure.

Each instance and interval gives one observation of power and, where its engine was never empty, one of engine time
(`refit_interval`). Both move a belief (`refit_filter`) that begins with the pool's curves (`refit_prior`). Instances of
a pool share one belief; n that report for the same interval weigh as much as one, since what a model leaves out is
common to them. Power asleep and off is learnt as it is seen.

An observation further than `GATE_SD` from what is believed is left out. Where most of a pool are so, `CHANGE_STREAK`
intervals in a row, the pool has changed (another engine, other clocks, a wrong profile): its belief is widened to a
guess and learnt anew.

The plan uses the figures in force, which follow the estimate once one of them differs by more than `DEAD_BAND_FRAC` and
a standard deviation: a plan must not change with every reading, and curves that are right stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.energy.pool_fit import Estimate, PoolFit, figures_of
from controller.energy.refit_filter import Belief, Vector, floored, relaxed, updated
from controller.energy.refit_interval import Doing, Interval, busy_of, power_regressors, time_observation
from controller.energy.refit_prior import Prior

FORGET_TAU_S = 86_400.0
"""Time constant with which a figure that is not seen becomes as doubtful as at the beginning."""
GATE_SD = 5.0
CHANGE_STREAK = 3
DEAD_BAND_FRAC = 0.02
MISFIT_FRAC = 0.02
"""What straight lines leave of the power of an instance in a single interval."""
SHARE_BAND_FRAC = 0.05
"""Change of the computed share of the prompts from which on the plan goes by the new one."""
BIAS_TAU_S = 120.0
USUAL_TAU_S = 300.0


@dataclass(frozen=True, slots=True)
class _Observed:
    """y = h·θ + noise."""

    h: Vector
    value: float
    sd: float


def learn(fit: PoolFit, prior: Prior, intervals: Sequence[Interval], passed_s: float) -> PoolFit:
    """What is known of a pool after the intervals that ended now.

    Args:
        fit: what was known `passed_s` ago.
        prior: of the pool's curves.
        intervals: of its instances, of those that can be used.
        passed_s: time since the last call, over which what was known has become older.
    """
    share = -math.expm1(-max(0.0, passed_s) / FORGET_TAU_S)
    aged = [_aged(fit, prior, place, share) for place in range(4)]
    serving = [one for one in intervals if one.doing is Doing.SERVING]
    powers = [_power_observed(one, aged[0].belief, aged[1].belief) for one in serving]
    times = [_Observed(found[0], 1.0, found[1]) for one in serving if (found := time_observation(one)) is not None]
    rests = [
        [_Observed((1.0,), one.power_w, _sd(one)) for one in intervals if one.doing is doing]
        for doing in (Doing.SLEEPING, Doing.OFF)
    ]
    taken = [_taken(aged[i], observed, prior, i) for i, observed in enumerate((powers, times, *rests))]
    fit = replace(
        fit,
        power=taken[0][0],
        time=taken[1][0],
        sleeping=taken[2][0],
        off=taken[3][0],
        rejected=fit.rejected + sum(rejected for _, rejected, _ in taken),
        changes=fit.changes + sum(changed for _, _, changed in taken),
        usual_time=_usual(fit.usual_time, [one.h for one in times], passed_s),
    )
    loaded = [one for one in powers if one.h[0] > 0.0]
    fit = replace(
        fit,
        usual_power=_usual(fit.usual_power, [one.h for one in loaded], passed_s),
        usual_computed_frac=_usual_computed_frac(fit.usual_computed_frac, serving, passed_s),
        bias_frac=_bias(fit.bias_frac, powers, aged[0].belief, passed_s),
    )
    return replace(fit, in_force=_in_force(fit, prior), computed_frac=_computed_frac(fit))


def _aged(fit: PoolFit, prior: Prior, place: int, share: float) -> Estimate:
    estimate = fit.estimates[place]
    bound = prior.wide[place] if estimate.widened else prior.beliefs[place].covariance
    return replace(estimate, belief=relaxed(estimate.belief, bound, share))


def _sd(interval: Interval) -> float:
    return interval.power_w * math.hypot(interval.noise_frac, MISFIT_FRAC)


def _power_observed(interval: Interval, power: Belief, time: Belief) -> _Observed:
    busy = busy_of(interval, time)
    swing_w = abs(power.mean[0] - power.mean[3])
    return _Observed(power_regressors(interval, busy), interval.power_w, math.hypot(_sd(interval), swing_w * busy.sd))


def _taken(estimate: Estimate, observed: list[_Observed], prior: Prior, place: int) -> tuple[Estimate, int, int]:
    """The estimate with the observations of an interval; how many were left out, and whether it has changed."""
    if not observed:
        return estimate, 0, 0
    share = float(len(observed))
    off = [_is_off(estimate.belief, one) for one in observed]
    streak = estimate.streak + 1 if abs(sum(off)) * 2 > len(off) else 0
    changed = streak >= CHANGE_STREAK
    belief, left_out = estimate.belief, 0
    if changed:
        belief, streak = Belief(belief.mean, prior.wide[place]), 0
    for one, side in zip(observed, off, strict=True):
        if side and not changed:
            left_out += 1
            continue
        belief = updated(belief, one.h, one.value - belief.at(one.h), share * one.sd**2)
    belief = floored(belief, prior.floors[place])
    seen = estimate.seen + len(observed) - left_out
    return Estimate(belief, estimate.widened or changed, streak, seen), left_out, int(changed)


def _is_off(belief: Belief, one: _Observed) -> int:
    """1 or -1 where an observation lies too far above or below what is believed, else 0."""
    residual = one.value - belief.at(one.h)
    return int(math.copysign(1, residual)) if residual**2 > GATE_SD**2 * (belief.variance_at(one.h) + one.sd**2) else 0


def _usual(before: Vector, seen: Sequence[Vector], passed_s: float) -> Vector:
    if not seen:
        return before
    mean = tuple(sum(values) / len(seen) for values in zip(*seen, strict=True))
    if not before:
        return mean
    share = -math.expm1(-max(0.0, passed_s) / USUAL_TAU_S)
    return tuple(old + share * (new - old) for old, new in zip(before, mean, strict=True))


def _usual_computed_frac(before: float | None, serving: Sequence[Interval], passed_s: float) -> float | None:
    computed = sum(one.prefill_tokens for one in serving)
    prompts = computed + sum(one.cached_tokens or 0.0 for one in serving)
    if prompts <= 0.0:
        return before
    if all(one.cached_tokens is None for one in serving):
        return None
    return _usual(() if before is None else (before,), [(computed / prompts,)], passed_s)[0]


def _computed_frac(fit: PoolFit) -> float:
    """The share in force: the usual one where it has left the band around it, all where no engine tells."""
    usual = 1.0 if fit.usual_computed_frac is None else fit.usual_computed_frac
    return usual if abs(usual - fit.computed_frac) > SHARE_BAND_FRAC else fit.computed_frac


def _bias(before: float, observed: list[_Observed], belief: Belief, passed_s: float) -> float:
    """Smoothed error of the prediction, observations that were left out included."""
    drawn_w = sum(one.value for one in observed)
    if drawn_w <= 0.0:
        return before
    error = sum(one.value - belief.at(one.h) for one in observed) / drawn_w
    return before - math.expm1(-max(0.0, passed_s) / BIAS_TAU_S) * (error - before)


def _in_force(fit: PoolFit, prior: Prior) -> Vector:
    """The figures in force: the estimate's where any that matters has left the dead band, else as they were."""
    now, before = figures_of(fit.estimates), fit.in_force
    rate = prior.full_tokens_per_s
    batch = max(1.0, rate * prior.time.mean[0])
    loads = [(0.0, 0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0), (1.0, rate, 0.0, 0.0), fit.usual_power]
    steps = [(1.0, 1.0, 0.0), (1.0, batch, 0.0), fit.usual_time]
    looks = [(fit.power.belief, h, before[:4]) for h in loads if h]
    looks += [(fit.time.belief, h, before[4:7]) for h in steps if h]
    looks += [(fit.sleeping.belief, (1.0,), before[7:8]), (fit.off.belief, (1.0,), before[8:])]
    return now if any(_has_left(*look) for look in looks) else before


def _has_left(belief: Belief, h: Vector, before: Vector) -> bool:
    """Whether a figure surely differs from what is in force by more than the dead band."""
    old = _dot(h, before)
    return abs(belief.at(h) - old) > max(DEAD_BAND_FRAC * abs(old), math.sqrt(belief.variance_at(h)))


def _dot(h: Sequence[float], figures: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(h, figures, strict=True))
