"""Fits of an engine's step time and step energy against its batch. Pure.

From steady-state measurements at batch B with throughput μ [token/s] and power P [W], a step, which gives each
sequence one token, took B/μ seconds and P·B/μ joules. Both are fitted as straight lines with no negative coefficient:

    T(B) = a + b·B   [s]          E(B) = A + C·B   [J]

Residuals are weighted by 1/y, that is, relative errors are squared, so that the small batches at which an idling fleet
runs count as much as the full ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_SAMPLES = 3
ODD_RATIO = 1.5
"""A row whose step time is this far from its median inter-token latency was not in steady state: sequences were queued
or preempted, and the average batch does not describe its steps."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One steady-state measurement of a whole instance."""

    batch: float
    tokens_per_s: float
    power_w: float
    median_itl_s: float

    @property
    def step_s(self) -> float:
        """Time of a step."""
        return self.batch / self.tokens_per_s

    @property
    def step_j(self) -> float:
        """Energy of a step."""
        return self.power_w * self.step_s


@dataclass(frozen=True, slots=True)
class AffineFit:
    """y = intercept + slope·x and how well it holds.

    Attributes:
        r2: share of the variance explained, unweighted.
        mape_frac: mean absolute relative error on the fitted samples.
        held_out_mape_frac: the same where each sample is predicted by a fit to all the others.
    """

    intercept: float
    slope: float
    r2: float
    mape_frac: float
    held_out_mape_frac: float

    def at(self, x: float) -> float:
        """Value of the line."""
        return self.intercept + self.slope * x


@dataclass(frozen=True, slots=True)
class StepFit:
    """Both lines of one configuration, and how well their ratio predicts power.

    Attributes:
        power_r2, power_mape_frac, power_held_out_mape_frac: of E(B)/T(B) against the measured power.
    """

    time: AffineFit
    energy: AffineFit
    samples: tuple[Sample, ...]
    power_r2: float
    power_mape_frac: float
    power_held_out_mape_frac: float


def in_steady_state(sample: Sample) -> bool:
    """Whether the figures are finite, positive and describe the same steps."""
    figures = (sample.batch, sample.tokens_per_s, sample.power_w, sample.median_itl_s)
    if not all(np.isfinite(figures)) or min(figures) <= 0:
        return False
    return 1 / ODD_RATIO <= sample.step_s / sample.median_itl_s <= ODD_RATIO


def fit_steps(samples: tuple[Sample, ...]) -> StepFit:
    """Fit both lines to the samples that were in steady state.

    Raises:
        ValueError: fewer than three such samples, or no two different batches among them.
    """
    kept = tuple(sample for sample in samples if in_steady_state(sample))
    if len(kept) < MIN_SAMPLES or len({sample.batch for sample in kept}) < 2:
        raise ValueError(
            f"{len(kept)} of {len(samples)} measurements are usable; at least {MIN_SAMPLES} at two batches are needed"
        )
    batch = np.array([sample.batch for sample in kept])
    step_s = np.array([sample.step_s for sample in kept])
    step_j = np.array([sample.step_j for sample in kept])
    power_w = np.array([sample.power_w for sample in kept])
    time, energy = _fit(batch, step_s), _fit(batch, step_j)
    predicted_w = (energy.intercept + energy.slope * batch) / (time.intercept + time.slope * batch)
    return StepFit(
        time=time,
        energy=energy,
        samples=kept,
        power_r2=_r2(power_w, predicted_w),
        power_mape_frac=_mape(power_w, predicted_w),
        power_held_out_mape_frac=_mape(power_w, _held_out(batch, step_j) / _held_out(batch, step_s)),
    )


def nonnegative_line(x: Array, y: Array, weights: Array) -> tuple[float, float]:
    """Intercept and slope, both at least zero, that minimise Σ (weights·(y − intercept − slope·x))².

    With two unknowns the constrained minimum is the free one or lies on one of the two axes.
    """
    design = np.column_stack([np.ones_like(x), x]) * weights[:, None]
    target = y * weights
    free, *_ = np.linalg.lstsq(design, target, rcond=None)
    if free.min() >= 0:
        return float(free[0]), float(free[1])
    candidates = []
    for column in (0, 1):
        value = max(0.0, float(design[:, column] @ target / (design[:, column] @ design[:, column])))
        candidates.append((float(np.sum((target - design[:, column] * value) ** 2)), column, value))
    _, column, value = min(candidates)
    return (value, 0.0) if column == 0 else (0.0, value)


def _fit(x: Array, y: Array) -> AffineFit:
    intercept, slope = nonnegative_line(x, y, 1 / y)
    predicted = intercept + slope * x
    return AffineFit(intercept, slope, _r2(y, predicted), _mape(y, predicted), _mape(y, _held_out(x, y)))


def _held_out(x: Array, y: Array) -> Array:
    """Each y as predicted by a fit to all the others."""
    predicted = np.empty_like(y)
    for index in range(len(x)):
        others = np.arange(len(x)) != index
        intercept, slope = nonnegative_line(x[others], y[others], 1 / y[others])
        predicted[index] = intercept + slope * x[index]
    return predicted


def _r2(y: Array, predicted: Array) -> float:
    total = float(np.sum((y - y.mean()) ** 2))
    return 1.0 - float(np.sum((y - predicted) ** 2)) / total if total > 0 else 0.0


def _mape(y: Array, predicted: Array) -> float:
    return float(np.mean(np.abs(predicted / y - 1)))
