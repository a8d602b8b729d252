"""Step time that bends with the batch, for mixtures of experts; power stays affine in the rate. Pure.

In a mixture of experts each further sequence reads fewer experts that no other has read, so that the step time rises
steeply at small batches and less so at large ones. One term more, with no negative coefficient, follows that:

    T(B) = a + b·B + c·log2(1 + B)   [s]        E(B) = P0·T(B) + e·B   [J]

Whatever T is, E of this form gives P = P0 + e·μ exactly, so that a plan's power needs no change. Where it wants
straight lines for time too, `tangent` gives those that touch at a batch. As T is concave they lie above it everywhere
else: they never promise more tokens than the bent fit does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controller.energy.least_squares import (
    Array,
    Errors,
    Indices,
    held_out,
    nonnegative,
    require_terms_told_apart,
)
from controller.energy.steady_sample import Sample, in_steady_state

TERMS = ("fixed", "sequences", "log2(1 + sequences)")


@dataclass(frozen=True, slots=True)
class StepLines:
    """Straight lines T = a + b·B [s] and E = A + C·B [J]."""

    step_base_s: float
    step_per_seq_s: float
    step_base_j: float
    step_per_seq_j: float


@dataclass(frozen=True, slots=True)
class BentFit:
    """The bent step time of one configuration, with errors like those of `step_fit.StepFit`.

    Attributes:
        step_base_s, step_per_seq_s, step_per_doubling_s: a, b and c.
        p0_w, decode_j_per_token: P0 and e.
        itl: errors of a bend of the same form through the median inter-token latencies.
    """

    step_base_s: float
    step_per_seq_s: float
    step_per_doubling_s: float
    p0_w: float
    decode_j_per_token: float
    power: Errors
    throughput: Errors
    itl: Errors

    def step_s_at(self, batch: float) -> float:
        """Step time."""
        return self.step_base_s + self.step_per_seq_s * batch + self.step_per_doubling_s * math.log2(1 + batch)

    def step_j_at(self, batch: float) -> float:
        """Step energy."""
        return self.p0_w * self.step_s_at(batch) + self.decode_j_per_token * batch

    def power_w_at(self, tokens_per_s: float) -> float:
        """Power at a decode rate."""
        return self.p0_w + self.decode_j_per_token * tokens_per_s

    def tangent(self, batch: float) -> StepLines:
        """Straight lines that meet the bent ones at a batch."""
        slope_s = self.step_per_seq_s + self.step_per_doubling_s / ((1 + batch) * math.log(2))
        base_s = self.step_s_at(batch) - slope_s * batch
        return StepLines(base_s, slope_s, self.p0_w * base_s, self.p0_w * slope_s + self.decode_j_per_token)


def fit_bent(samples: tuple[Sample, ...]) -> BentFit:
    """Fit the samples that were in steady state; prompt tokens are not told apart.

    Raises:
        FitRefused: fewer than four such samples, or no three different batches among them.
    """
    kept = tuple(sample for sample in samples if in_steady_state(sample))
    batch = np.array([sample.batch for sample in kept])
    step_s, step_j = np.array([s.step_s for s in kept]), np.array([s.step_j for s in kept])
    itl_s = np.array([s.median_itl_s for s in kept])
    design = np.column_stack([np.ones_like(batch), batch, np.log2(1 + batch)])
    require_terms_told_apart(TERMS, design / step_s[:, None])
    cells = tuple(n if sample.cell is None else sample.cell for n, sample in enumerate(kept))
    others_s = held_out(cells, lambda inside, wanted: _predicted(design, step_s, inside, wanted))
    others_itl_s = held_out(cells, lambda inside, wanted: _predicted(design, itl_s, inside, wanted))

    def power_of_others(inside: Indices, wanted: Indices) -> Array:
        time = nonnegative(design[inside], step_s[inside], 1 / step_s[inside])
        p0_w, per_token_j = _slopes(design[inside] @ time, batch[inside], step_j[inside])
        return np.asarray(p0_w + per_token_j * batch[wanted] / (design[wanted] @ time))

    everything = np.arange(len(kept))
    time = nonnegative(design, step_s, 1 / step_s)
    fitted_s = design @ time
    p0_w, per_token_j = _slopes(fitted_s, batch, step_j)
    fitted_itl_s = _predicted(design, itl_s, everything, everything)
    return BentFit(
        step_base_s=float(time[0]),
        step_per_seq_s=float(time[1]),
        step_per_doubling_s=float(time[2]),
        p0_w=p0_w,
        decode_j_per_token=per_token_j,
        power=Errors.of(step_j / step_s, p0_w + per_token_j * batch / fitted_s, held_out(cells, power_of_others)),
        throughput=Errors.of(batch / step_s, batch / fitted_s, batch / others_s),
        itl=Errors.of(itl_s, fitted_itl_s, others_itl_s),
    )


def _predicted(design: Array, y: Array, inside: Indices, wanted: Indices) -> Array:
    return np.asarray(design[wanted] @ nonnegative(design[inside], y[inside], 1 / y[inside]))


def _slopes(step_s: Array, batch: Array, step_j: Array) -> tuple[float, float]:
    p0_w, per_token_j = nonnegative(np.column_stack([step_s, batch]), step_j, 1 / step_j)
    return float(p0_w), float(per_token_j)
