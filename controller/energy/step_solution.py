"""Coefficients of step time and step energy, and how surely measurements tell them. Pure.

Terms of both lines are {1, B, K} or, where no prompt tokens were counted, {1, B}. `controller.energy.step_fit` says
what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.energy.least_squares import Array, nonnegative
from controller.model.perf import FITTED

SLOPES = ("p0_w", "decode_j_per_token", "prefill_j_per_token")
"""P0, e and q: coefficients of E = P0·T + e·B + q·K."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Coefficients of both lines.

    Attributes:
        step_s: (terms,): a, b and p.
        step_j: (terms,): A, C and R.
        held_at_zero: which of `SLOPES` are at their bound.
    """

    step_s: Array
    step_j: Array
    held_at_zero: tuple[str, ...]

    def slopes(self) -> Array:
        """P0, e and q; (terms,)."""
        found = self.step_j.copy()
        found[0] /= self.step_s[0]
        found[1:] = np.maximum(0.0, self.step_j[1:] - self.step_s[1:] * found[0])
        return found


def solve(design: Array, step_s: Array, step_j: Array) -> Solution:
    """Both lines by weights 1/y, with P0, e and q at least zero where the step time has a fixed part.

    Args:
        design: (measurements, terms).
        step_s: (measurements,), above zero.
        step_j: (measurements,), above zero.
    """
    time = nonnegative(design, step_s, 1 / step_s)
    energy = nonnegative(design, step_j, 1 / step_j)
    if time[0] <= 0:
        return Solution(time, energy, ())
    if (energy[1:] >= time[1:] * (energy[0] / time[0])).all():
        return Solution(time, energy, ("p0_w",) if energy[0] == 0 else ())
    slopes = nonnegative(_bounded_design(design, time), step_j, 1 / step_j)
    bounded = slopes[0] * time
    bounded[1:] += slopes[1:]
    return Solution(time, bounded, tuple(name for name, value in zip(SLOPES, slopes, strict=False) if value == 0))


def covariance(solution: Solution, design: Array, step_s: Array, step_j: Array) -> tuple[tuple[float, ...], ...]:
    """Covariance (6, 6) of `FITTED`, to first order in the relative errors of step time and step energy.

    These errors are taken as independent between measurements, of one spread each, and correlated within one, as a step
    that took long also took energy. Coefficients held at zero are taken as known. Needs a step time with a fixed part.
    """
    rows, terms = design.shape
    of_time, of_energy = _influences(solution, design, step_s, step_j)
    errors = np.stack([step_s / (design @ solution.step_s) - 1, step_j / (design @ solution.step_j) - 1])
    spread = errors @ errors.T / max(1, rows - terms)
    found = (
        spread[0, 0] * of_time @ of_time.T
        + spread[1, 1] * of_energy @ of_energy.T
        + spread[0, 1] * (of_time @ of_energy.T + of_energy @ of_time.T)
    )
    deviations = np.sqrt(np.maximum(0.0, np.diag(found)))
    bound = np.outer(deviations, deviations)
    found = np.clip((found + found.T) / 2, -bound, bound)
    return tuple(tuple(float(value) for value in row) for row in found)


def _bounded_design(design: Array, time: Array) -> Array:
    return np.column_stack([design @ time, design[:, 1:]])


def _influences(solution: Solution, design: Array, step_s: Array, step_j: Array) -> tuple[Array, Array]:
    """How `FITTED` answers to a relative error of each step time, and of each step energy; (6, measurements) each.

    The energy's coefficients are those of E = P0·T + e·B + q·K with the fitted T, so that an error of T reaches them.
    """
    terms, rows = design.shape[1], design.shape[0]
    time = _answers(design / step_s[:, None], solution.step_s > 0)
    slopes = solution.slopes()
    free = np.array([name not in solution.held_at_zero for name in SLOPES[:terms]])
    by_energy = _answers(_bounded_design(design, solution.step_s) / step_j[:, None], free)
    by_time = -by_energy @ (slopes[0] * (design / step_j[:, None]) @ time)
    answers_time, answers_energy = np.zeros((len(FITTED), rows)), np.zeros((len(FITTED), rows))
    for term, (second, joule) in enumerate((("step_base_s", "step_base_j"), ("step_per_seq_s", "step_per_seq_j"))):
        answers_time[FITTED.index(second)] = time[term]
        # A = P0·a and C = P0·b + e.
        own = by_time[term] if term else 0.0
        answers_time[FITTED.index(joule)] = slopes[0] * time[term] + solution.step_s[term] * by_time[0] + own
        answers_energy[FITTED.index(joule)] = solution.step_s[term] * by_energy[0] + (by_energy[term] if term else 0.0)
    if terms > 2:
        answers_time[FITTED.index("prefill_s_per_token")] = time[2]
        answers_time[FITTED.index("prefill_j_per_token")] = by_time[2]
        answers_energy[FITTED.index("prefill_j_per_token")] = by_energy[2]
    return answers_time, answers_energy


def _answers(scaled: Array, free: NDArray[np.bool_]) -> Array:
    """(terms, measurements): how coefficients answer to each scaled target; zeros for those not free."""
    found = np.zeros((scaled.shape[1], scaled.shape[0]))
    if free.any():
        found[free] = np.linalg.pinv(scaled[:, free])
    return found
