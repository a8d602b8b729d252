"""Power at a load with its confidence interval: by the delta method, or by resampling measurements. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from controller.energy.load_power import Load
from controller.energy.steady_sample import Sample
from controller.energy.step_fit import StepFit
from controller.energy.step_solution import solve
from controller.errors import FitRefused
from controller.model.perf import PoolCurves

RESAMPLES = 500
LEVEL = 0.95
MOST_DRAWS = 5
"""For each resample wanted."""


@dataclass(frozen=True, slots=True)
class PowerInterval:
    """Power of an instance that decodes all the time.

    Attributes:
        sd_w: standard deviation of the mean power that the fit tells.
        low_w, high_w: ends of the confidence interval of that mean, at least zero.
    """

    mean_w: float
    sd_w: float
    low_w: float
    high_w: float


def power_sd_w(parameters: Sequence[float], covariance: Sequence[Sequence[float]], load: Load) -> float:
    """Standard deviation of P0 + e·μ + q·κ to first order.

    Args:
        parameters: values of `controller.model.perf.FITTED`, in that order.
        covariance: (6, 6), in that order.
        load: μ and κ.
    """
    a, b, base_j = parameters[:3]
    p0, rate = base_j / a, load.tokens_per_s
    gradient = np.array([-p0 / a * (1 - b * rate), -p0 * rate, (1 - b * rate) / a, rate, 0.0, load.prompt_tokens_per_s])
    return math.sqrt(max(0.0, float(gradient @ np.array(covariance) @ gradient)))


def power_interval(fit: StepFit, load: Load, level: float = LEVEL) -> PowerInterval:
    """Interval by the delta method, with Student's t of the samples beyond the fitted terms."""
    terms = 2 if fit.prefill_s_per_token is None else 3
    mean_w = fit.power_w_at(load.tokens_per_s, load.prompt_tokens_per_s)
    sd_w = power_sd_w(fit.parameters(), fit.covariance, load)
    reach_w = float(stdtrit(len(fit.samples) - terms, (1 + level) / 2)) * sd_w
    return PowerInterval(mean_w, sd_w, max(0.0, mean_w - reach_w), mean_w + reach_w)


def curves_power_sd_w(curves: PoolCurves, load: Load) -> float | None:
    """Standard deviation of the power that curves tell; None where they carry no uncertainty."""
    if curves.uncertainty is None:
        return None
    fitted = (
        curves.step_base_s,
        curves.step_per_seq_s,
        curves.step_base_j,
        curves.step_per_seq_j,
        curves.prefill_s_per_token,
        curves.prefill_j_per_token,
    )
    return power_sd_w(fitted, curves.uncertainty.covariance, load)


def bootstrap_interval(
    samples: Sequence[Sample], load: Load, rng: np.random.Generator, *, resamples: int = RESAMPLES, level: float = LEVEL
) -> PowerInterval:
    """Interval by fitting samples drawn with replacement; draws with fewer than two batches are drawn again.

    Raises:
        FitRefused: the samples have fewer than three batches, or too few draws of them carry a fit.
    """
    if len({sample.batch for sample in samples}) < 3:
        raise FitRefused("resampling needs measurements at three batches or more; measure another batch")
    counted = any(sample.prompt_tokens_per_step > 0 for sample in samples)
    columns = [[1.0, s.batch, s.prompt_tokens_per_step] if counted else [1.0, s.batch] for s in samples]
    design = np.array(columns)
    step_s, step_j = np.array([s.step_s for s in samples]), np.array([s.step_j for s in samples])
    loads = np.array([1.0, load.tokens_per_s, load.prompt_tokens_per_s])[: design.shape[1]]
    powers: list[float] = []
    for _ in range(MOST_DRAWS * resamples):
        if len(powers) == resamples:
            break
        drawn = rng.integers(len(samples), size=len(samples))
        if len(np.unique(design[drawn, 1])) < design.shape[1]:
            continue
        found = solve(design[drawn], step_s[drawn], step_j[drawn])
        if found.step_s[0] > 0:
            powers.append(float(found.slopes() @ loads))
    if len(powers) < resamples:
        raise FitRefused(f"{len(powers)} of {MOST_DRAWS * resamples} draws carry a fit; measure at smaller batches too")
    low_w, high_w = np.quantile(powers, [(1 - level) / 2, (1 + level) / 2])
    return PowerInterval(float(np.mean(powers)), float(np.std(powers)), float(low_w), float(high_w))
