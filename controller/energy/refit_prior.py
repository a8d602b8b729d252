"""What a pool's curves say before anything is observed, and how far they may be off. Pure.

    power parameters  θ = (P0 [W], e [J/token], e_prefill [J/token], idle [W])
    time parameters   φ = (a [s], b [s], s [s/token])

Where the curves carry a covariance (`CurveUncertainty`), it is carried over to θ and φ by the derivatives of
P0 = A/a and e = C - b·A/a, and widened by the error that the fit left on measurements it had not seen. Where they carry
none, each parameter has a relative standard deviation by its evidence: curves that were measured on the same model,
precision and GPU come within some 7.5 % elsewhere, those derived from another configuration within 40 %
(docs/reference/curves.md, "Precisions that were not measured": up to 46 %).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from controller.energy.refit_filter import Belief, Matrix, diagonal
from controller.model.perf import FITTED, CurveUncertainty, Evidence, PoolCurves

RELATIVE_SD = {Evidence.MEASURED: 0.075, Evidence.ESTIMATED: 0.4}
"""Standard deviation of a figure over the figure, where the curves tell none."""
WIDE_SD = 0.4
"""The same once observations have contradicted the curves: then they are worth no more than a guess."""
LEAST_MISFIT_FRAC = 0.03
"""No fit is taken to be nearer to another machine of the same kind than this."""
_MARGINAL_SHARE = 0.25
"""Share of P0 that the tokens of a full batch may add although the curves say that they add none."""
_FLOOR_FRAC = 0.05
"""P0, a and b are never taken for less than this share of what the curves say, the others for less than 0."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What a re-fit begins from, and returns to in its doubts.

    Attributes:
        power, time: beliefs of θ and φ, (4,) and (3,).
        sleeping, off: beliefs of the power asleep and off, (1,), W.
        wide: bounds on the covariances of these four once the curves were contradicted, in the same order.
        floors: least values of these four.
        full_tokens_per_s: decode rate of the largest batch.
        key: another one means other curves.
    """

    power: Belief
    time: Belief
    sleeping: Belief
    off: Belief
    wide: tuple[Matrix, Matrix, Matrix, Matrix]
    floors: tuple[tuple[float, ...], ...]
    full_tokens_per_s: float
    key: str

    @property
    def beliefs(self) -> tuple[Belief, Belief, Belief, Belief]:
        """Power, time, asleep, off."""
        return self.power, self.time, self.sleeping, self.off


def prior_of(curves: PoolCurves) -> Prior:
    """The prior of one instance with these curves."""
    groups, told = curves.group_provenance, curves.uncertainty
    decode, prefill, states = (RELATIVE_SD[g.evidence] for g in (groups.decode, groups.prefill, groups.states))
    full = max(1.0, float(curves.max_num_seqs))
    rate = curves.decode_tokens_per_s_at(full)
    power = (curves.p0_w, max(0.0, curves.decode_j_per_token), curves.prefill_j_per_token, curves.idle_w)
    time = (curves.step_base_s, curves.step_per_seq_s, curves.prefill_s_per_token)
    wide = (_power_spread(curves, rate, (WIDE_SD,) * 3), _time_spread(curves, full, (WIDE_SD,) * 2))
    power_spread = _power_spread(curves, rate, (decode, prefill, states))
    time_spread = _time_spread(curves, full, (decode, prefill))
    if told is not None:
        power_spread, time_spread = _told_spread(curves, told, states)
    resting = (curves.sleeping_w, curves.off_w)
    least = tuple(_FLOOR_FRAC * value for value in (power[0], *time[:2]))
    return Prior(
        power=Belief(power, power_spread),
        time=Belief(time, time_spread),
        sleeping=Belief(resting[:1], _rest_spread(curves, resting[0], states)),
        off=Belief(resting[1:], _rest_spread(curves, resting[1], states)),
        wide=(*wide, _rest_spread(curves, resting[0], WIDE_SD), _rest_spread(curves, resting[1], WIDE_SD)),
        floors=((least[0], 0.0, 0.0, 0.0), (*least[1:], 0.0), (0.0,), (0.0,)),
        full_tokens_per_s=rate,
        key=_key(curves),
    )


def _power_spread(curves: PoolCurves, full_rate: float, sds: tuple[float, float, float]) -> Matrix:
    """Covariance of θ for relative deviations of decode, prefill and the states."""
    decode, prefill, states = sds
    p0_w = curves.p0_w
    marginal_j = max(0.0, curves.decode_j_per_token) + _MARGINAL_SHARE * p0_w / full_rate
    prompt_j = curves.prefill_j_per_token + 0.5 * p0_w * curves.prefill_s_per_token
    idle_w = max(curves.idle_w, 0.1 * p0_w)
    return diagonal([v**2 for v in (decode * p0_w, decode * marginal_j, prefill * prompt_j, states * idle_w)])


def _time_spread(curves: PoolCurves, full_batch: float, sds: tuple[float, float]) -> Matrix:
    """Covariance of φ for relative deviations of decode and prefill."""
    decode, prefill = sds
    per_seq_s = curves.step_per_seq_s + _MARGINAL_SHARE * curves.step_base_s / full_batch
    prompt_s = max(curves.prefill_s_per_token, 0.1 * curves.step_per_seq_s)
    return diagonal([v**2 for v in (decode * curves.step_base_s, decode * per_seq_s, prefill * prompt_s)])


def _rest_spread(curves: PoolCurves, watts: float, sd: float) -> Matrix:
    """Variance of a resting power; one said to be near 0 W may still be a few hundredths of P0."""
    return (((sd * max(watts, 0.02 * curves.p0_w)) ** 2,),)


def _told_spread(curves: PoolCurves, told: CurveUncertainty, states: float) -> tuple[Matrix, Matrix]:
    """Covariances of θ and φ from that of the fitted parameters, widened by the fit's own error."""
    a, per_seq_s, p0_w = curves.step_base_s, curves.step_per_seq_s, curves.p0_w
    slopes = {
        "p0": {"step_base_j": 1 / a, "step_base_s": -p0_w / a},
        "e": {
            "step_per_seq_j": 1.0,
            "step_per_seq_s": -p0_w,
            "step_base_j": -per_seq_s / a,
            "step_base_s": per_seq_s * p0_w / a,
        },
        "prompt": {"prefill_j_per_token": 1.0},
    }
    rows = [[slopes[name].get(fitted, 0.0) for fitted in FITTED] for name in ("p0", "e", "prompt")]
    misfit = max(LEAST_MISFIT_FRAC, told.held_out_mape_frac)
    own = (misfit * p0_w, misfit * max(0.0, curves.decode_j_per_token), misfit * curves.prefill_j_per_token)
    power = [[_carried(told, x, y) + (own[i] ** 2 if x is y else 0.0) for y in rows] for i, x in enumerate(rows)]
    idle_sd = states * max(curves.idle_w, 0.1 * p0_w)
    spread = (*((*row, 0.0) for row in power), (0.0, 0.0, 0.0, idle_sd**2))
    names = ("step_base_s", "step_per_seq_s", "prefill_s_per_token")
    units = [[1.0 if fitted == name else 0.0 for fitted in FITTED] for name in names]
    own_s = tuple(misfit * getattr(curves, name) for name in names)
    time = tuple(
        tuple(_carried(told, x, y) + (own_s[i] ** 2 if x is y else 0.0) for y in units) for i, x in enumerate(units)
    )
    return spread, time


def _carried(told: CurveUncertainty, x: list[float], y: list[float]) -> float:
    """x·Σ·y."""
    return math.fsum(x[i] * told.covariance[i][j] * y[j] for i in range(len(x)) for j in range(len(y)) if x[i] and y[j])


def _key(curves: PoolCurves) -> str:
    """A short name of the figures: a new profile of the pool has another one."""
    figures = (*(getattr(curves, name) for name in FITTED), curves.idle_w, curves.sleeping_w, curves.off_w)
    return hashlib.sha256(repr(figures).encode()).hexdigest()[:16]
