"""Fits of an engine's step time and step energy against its batch and the prompts it computes. Pure.

From steady-state measurements at batch B with throughput μ [token/s], power P [W] and κ prompt tokens computed a
second, a step, which gives each sequence one token, took B/μ seconds and P·B/μ joules and computed K = κ·B/μ prompt
tokens. Fitted with no negative coefficient (reference: ML.ENERGY v3, steady state):

    T(B, K) = a + b·B + p·K   [s]          E(B, K) = A + C·B + R·K   [J]

Hence P = P0 + e·μ + q·κ with P0 = A/a, e = C − b·P0 and q = R − p·P0. Of these e and q may be negative although no
coefficient is; a plan would then take work for a saving. Where they are, energy is fitted again in the form

    E = P0·T(B, K) + e·B + q·K   with P0, e, q ≥ 0

which is the same model with that bound. Residuals are weighted by 1/y, that is, relative errors are squared, so that
the small batches at which an idling fleet runs count as much as the full ones.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
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
from controller.energy.step_solution import covariance, solve
from controller.errors import FitRefused
from controller.model.perf import CurveUncertainty

MIN_SAMPLES = 3
LEAST_FIXED_FRAC = 1e-6
"""Of the shortest step: below it the fixed part is rounding, and P0 = A/a has no meaning."""
TERMS = ("fixed", "sequences", "prompt tokens")


@dataclass(frozen=True, slots=True)
class AffineFit:
    """y = intercept + slope·x (+ per_prompt_token·K) and how well it holds.

    Attributes:
        per_prompt_token: None where no prompt tokens were counted.
        r2: share of the variance explained, unweighted.
        mape_frac: mean absolute relative error on the fitted samples.
        held_out_mape_frac: the same where each sample is predicted by a fit to all the others.
    """

    intercept: float
    slope: float
    r2: float
    mape_frac: float
    held_out_mape_frac: float
    per_prompt_token: float | None = None

    def at(self, x: float, prompt_tokens: float = 0.0) -> float:
        """Value of the line."""
        return self.intercept + self.slope * x + (self.per_prompt_token or 0.0) * prompt_tokens


@dataclass(frozen=True, slots=True)
class StepFit:
    """Both lines of one configuration, and how well their ratios predict what was measured.

    Attributes:
        time, energy: T and E; in a fit with prompt tokens `energy.per_prompt_token` is R, the whole energy of one.
        samples: those fitted.
        power: of E/T against the measured power.
        throughput: of B/T against the measured tokens/s.
        itl: line through the median inter-token latencies, which leave out the steps that a prompt made longer.
        held_at_zero: which of P0 [p0_w], e [decode_j_per_token] and q [prefill_j_per_token] the bound holds at zero.
        covariance: (6, 6), of `controller.model.perf.FITTED` in that order; zeros for what was not fitted.
    """

    time: AffineFit
    energy: AffineFit
    samples: tuple[Sample, ...]
    power: Errors
    throughput: Errors
    itl: AffineFit
    held_at_zero: tuple[str, ...]
    covariance: tuple[tuple[float, ...], ...]

    @property
    def p0_w(self) -> float:
        """Power of a decoding instance extrapolated to rate zero: A/a."""
        return self.energy.intercept / self.time.intercept

    @property
    def decode_j_per_token(self) -> float:
        """Marginal energy of a decoded token, e ≥ 0."""
        return max(0.0, self.energy.slope - self.time.slope * self.p0_w)

    @property
    def prefill_s_per_token(self) -> float | None:
        """Engine time of a prompt token; None where none were counted."""
        return self.time.per_prompt_token

    @property
    def prefill_j_per_token(self) -> float | None:
        """Energy of a prompt token above P0·time, q ≥ 0; None where none were counted."""
        if self.energy.per_prompt_token is None or self.time.per_prompt_token is None:
            return None
        return max(0.0, self.energy.per_prompt_token - self.time.per_prompt_token * self.p0_w)

    @property
    def max_tokens_per_s(self) -> float:
        """Rate that no batch reaches, 1/b; infinite where the step time does not grow with the batch."""
        return 1 / self.time.slope if self.time.slope > 0 else math.inf

    @property
    def batches(self) -> tuple[float, float]:
        """Smallest and largest batch measured: the range in which the lines were seen to hold."""
        return min(sample.batch for sample in self.samples), max(sample.batch for sample in self.samples)

    def power_w_at(self, tokens_per_s: float, prompt_tokens_per_s: float = 0.0) -> float:
        """Power of an instance that decodes all the time: P0 + e·μ + q·κ."""
        prefill_w = (self.prefill_j_per_token or 0.0) * prompt_tokens_per_s
        return self.p0_w + self.decode_j_per_token * tokens_per_s + prefill_w

    def tokens_per_s_at(self, batch: float, prompt_tokens_per_step: float = 0.0) -> float:
        """Decode rate B/T."""
        return batch / self.time.at(batch, prompt_tokens_per_step)

    def parameters(self) -> tuple[float, ...]:
        """Values of `controller.model.perf.FITTED`, in that order; zero where no prompt tokens were counted."""
        time, energy = self.time, self.energy
        prefill = (self.prefill_s_per_token or 0.0, self.prefill_j_per_token or 0.0)
        return time.intercept, time.slope, energy.intercept, energy.slope, *prefill

    def uncertainty(self) -> CurveUncertainty:
        """How surely the parameters are known, as curves carry it."""
        return CurveUncertainty(self.covariance, self.power.held_out_mape_frac)


def fit_steps(samples: tuple[Sample, ...]) -> StepFit:
    """Fit both lines to the samples that were in steady state.

    Raises:
        FitRefused: fewer than three such samples, no two different batches among them, prompt tokens counted in some
            alone or never apart from the batch, or a step time without a fixed part.
    """
    kept = tuple(sample for sample in samples if in_steady_state(sample))
    if len(kept) < MIN_SAMPLES or len({sample.batch for sample in kept}) < 2:
        raise FitRefused(
            f"{len(kept)} of {len(samples)} measurements are usable; at least {MIN_SAMPLES} at two batches are needed"
        )
    rows = _Rows.of(kept)
    require_terms_told_apart(TERMS[: rows.design.shape[1]], rows.design / rows.step_s[:, None])
    found = solve(rows.design, rows.step_s, rows.step_j)
    if found.step_s[0] <= LEAST_FIXED_FRAC * rows.step_s.min():
        raise FitRefused(
            "the step time shows no part that does not grow with the batch, so that P0 is not known; "
            "measure at smaller batches"
        )
    time, energy = _Predicted.of(rows, found.step_s, 0), _Predicted.of(rows, found.step_j, 1)
    return StepFit(
        time=_line(found.step_s, rows.step_s, time),
        energy=_line(found.step_j, rows.step_j, energy),
        samples=kept,
        power=Errors.of(rows.step_j / rows.step_s, energy.fitted / time.fitted, energy.held_out / time.held_out),
        throughput=Errors.of(rows.batch / rows.step_s, rows.batch / time.fitted, rows.batch / time.held_out),
        itl=_itl_line(rows),
        held_at_zero=found.held_at_zero,
        covariance=covariance(found, rows.design, rows.step_s, rows.step_j),
    )


def nonnegative_line(x: Array, y: Array, weights: Array) -> tuple[float, float]:
    """Intercept and slope, both at least zero, that minimise Σ (weights·(y − intercept − slope·x))²."""
    intercept, slope = nonnegative(np.column_stack([np.ones_like(x), x]), y, weights)
    return float(intercept), float(slope)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Samples as columns: `design` is (samples, terms) of `TERMS`, without prompt tokens where none were computed."""

    design: Array
    step_s: Array
    step_j: Array
    itl_s: Array
    cells: tuple[Hashable, ...]

    @classmethod
    def of(cls, samples: tuple[Sample, ...]) -> _Rows:
        counted = sum(sample.prompt_tokens_per_s is not None for sample in samples)
        if 0 < counted < len(samples):
            raise FitRefused(
                f"prompt tokens were counted in {counted} of {len(samples)} measurements; count them in all or in none"
            )
        columns = [[1.0] * len(samples), [sample.batch for sample in samples]]
        prompts = [sample.prompt_tokens_per_step for sample in samples]
        if max(prompts) > 0:
            columns.append(prompts)
        return cls(
            design=np.array(columns).T,
            step_s=np.array([sample.step_s for sample in samples]),
            step_j=np.array([sample.step_j for sample in samples]),
            itl_s=np.array([sample.median_itl_s for sample in samples]),
            cells=tuple(n if sample.cell is None else sample.cell for n, sample in enumerate(samples)),
        )

    @property
    def batch(self) -> Array:
        return np.asarray(self.design[:, 1])

    def of_others(self, line: int, inside: Indices, wanted: Indices) -> Array:
        """Step times (line 0) or energies (line 1) of some samples by a fit to others."""
        found = solve(self.design[inside], self.step_s[inside], self.step_j[inside])
        return np.asarray(self.design[wanted] @ (found.step_j if line else found.step_s))


@dataclass(frozen=True, slots=True)
class _Predicted:
    """Each sample by the fit to all, and by a fit that did not see its cell."""

    fitted: Array
    held_out: Array

    @classmethod
    def of(cls, rows: _Rows, coefficients: Array, line: int) -> _Predicted:
        others = held_out(rows.cells, lambda inside, wanted: rows.of_others(line, inside, wanted))
        return cls(rows.design @ coefficients, others)


def _line(coefficients: Array, y: Array, predicted: _Predicted) -> AffineFit:
    errors = Errors.of(y, predicted.fitted, predicted.held_out)
    return AffineFit(
        intercept=float(coefficients[0]),
        slope=float(coefficients[1]),
        r2=errors.r2,
        mape_frac=errors.mape_frac,
        held_out_mape_frac=errors.held_out_mape_frac,
        per_prompt_token=float(coefficients[2]) if len(coefficients) > 2 else None,
    )


def _itl_line(rows: _Rows) -> AffineFit:
    design, y = rows.design[:, :2], rows.itl_s

    def predict(inside: Indices, wanted: Indices) -> Array:
        return np.asarray(design[wanted] @ nonnegative(design[inside], y[inside], 1 / y[inside]))

    found = nonnegative(design, y, 1 / y)
    return _line(found, y, _Predicted(design @ found, held_out(rows.cells, predict)))
