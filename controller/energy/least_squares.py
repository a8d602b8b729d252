"""Weighted non-negative least squares with held-out errors. Pure.

Every fit of this package is linear in non-negative coefficients, with residuals relative to what was measured (weights
1/y), so that small values count as much as large ones and no figure inside the fitted range can become negative.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from controller.errors import FitRefused

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
MOST_FOLDS = 100
MOST_DEPENDENT = 1e4
"""Condition number of columns of unit length beyond which rounding of the measurements decides the coefficients."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How well predictions meet measurements.

    Attributes:
        r2: share of the variance explained, unweighted; it may be negative, and says little where the measurements
            hardly differ.
        mape_frac: mean absolute relative error on the fitted measurements.
        held_out_mape_frac: the same where each measurement is predicted by a fit that did not see it.
    """

    r2: float
    mape_frac: float
    held_out_mape_frac: float

    @classmethod
    def of(cls, y: Array, predicted: Array, held_out: Array) -> Errors:
        """Errors of two sets of predictions of `y`, all of the same length and `y` above zero."""
        return cls(r2(y, predicted), mape(y, predicted), mape(y, held_out))


def nonnegative(design: Array, y: Array, weights: Array) -> Array:
    """Coefficients, all at least zero, that minimise Σ (weights·(y − design @ coefficients))².

    Args:
        design: (measurements, terms).
        y: (measurements,).
        weights: (measurements,), above zero.
    """
    scaled, target = design * weights[:, None], y * weights
    free, *_ = np.linalg.lstsq(scaled, target, rcond=None)
    if free.min() >= 0:
        return np.asarray(free, dtype=np.float64)
    norms = np.linalg.norm(scaled, axis=0)
    norms[norms == 0] = 1.0
    found, _ = nnls(scaled / norms, target)
    return np.asarray(found / norms, dtype=np.float64)


def require_terms_told_apart(names: Sequence[str], scaled: Array) -> None:
    """Refuse measurements in which one term goes with the others.

    Args:
        names: of the terms.
        scaled: (measurements, terms), weighted.

    Raises:
        FitRefused: there are no more measurements than terms, or their columns are all but dependent.
    """
    rows, terms = scaled.shape
    if rows <= terms:
        raise FitRefused(
            f"{rows} measurements cannot tell {terms} terms ({', '.join(names)}) and their errors; "
            f"measure at least {terms + 1}"
        )
    norms = np.linalg.norm(scaled, axis=0)
    empty = [name for name, norm in zip(names, norms, strict=True) if norm == 0]
    if empty:
        raise FitRefused(f"{', '.join(empty)} is zero in every measurement; measure where it is not")
    if np.linalg.cond(scaled / norms) > MOST_DEPENDENT:
        raise FitRefused(
            f"the measurements do not tell {', '.join(names)} apart: they rise and fall together; "
            "measure at more values of each, and at more than one ratio between them"
        )


def held_out(groups: Sequence[Hashable], predict: Callable[[Indices, Indices], Array]) -> Array:
    """Each measurement as predicted by a fit to all groups but its own.

    Args:
        groups: of each measurement; those of one group are left out together. Of more than `MOST_FOLDS` groups every
            `MOST_FOLDS`-th one goes with them, so that the work does not grow with the square of the measurements.
        predict: given the indices to fit and those to predict, the predictions.

    Raises:
        FitRefused: all measurements are of one group.
    """
    folds = {group: number % MOST_FOLDS for number, group in enumerate(dict.fromkeys(groups))}
    if len(folds) < 2:
        raise FitRefused("all measurements are of one cell; measure a second, on which a fit to the first can be tried")
    found = np.empty(len(groups))
    fold = np.array([folds[group] for group in groups])
    for number in range(fold.max() + 1):
        found[fold == number] = predict(np.flatnonzero(fold != number), np.flatnonzero(fold == number))
    return found


def r2(y: Array, predicted: Array) -> float:
    """Share of the variance explained, about the mean; zero where there is no variance."""
    total = float(np.sum((y - y.mean()) ** 2))
    return 1.0 - float(np.sum((y - predicted) ** 2)) / total if total > 0 else 0.0


def mape(y: Array, predicted: Array) -> float:
    """Mean absolute relative error."""
    return float(np.mean(np.abs(predicted / y - 1)))
