"""A measured quantity as a sum of non-negative terms, with covariance and held-out errors. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controller.energy.least_squares import Array, Errors, Indices, held_out, nonnegative, require_terms_told_apart


@dataclass(frozen=True, slots=True)
class TermFit:
    """y = Σ value·term, each value at least zero.

    Attributes:
        names: of the terms, each in the unit of y over that of its term.
        covariance: of the values, in the order of `names`; zeros for what is held at zero.
        scatter_frac: standard deviation of a measurement about the fit, relative.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    errors: Errors
    scatter_frac: float

    @property
    def held_at_zero(self) -> tuple[str, ...]:
        """Terms whose value the bound holds at zero."""
        return tuple(name for name, value in zip(self.names, self.values, strict=True) if value == 0)

    def value(self, name: str) -> float:
        """Value of a term.

        Raises:
            ValueError: there is no such term.
        """
        return self.values[self.names.index(name)]

    def sd(self, name: str) -> float:
        """Standard deviation of a term's value.

        Raises:
            ValueError: there is no such term.
        """
        index = self.names.index(name)
        return math.sqrt(self.covariance[index][index])

    def at(self, terms: Mapping[str, float]) -> float:
        """Prediction for values of all terms."""
        return sum(value * terms[name] for name, value in zip(self.names, self.values, strict=True))


def fit_terms(
    columns: Mapping[str, Sequence[float]], y: Sequence[float], groups: Sequence[Hashable] | None = None
) -> TermFit:
    """Fit by weights 1/y.

    Args:
        columns: of each term its value in each measurement.
        y: measured, above zero.
        groups: measurements of one group are held out together; None where each stands for itself.

    Raises:
        FitRefused: the measurements cannot tell the terms apart.
    """
    names = tuple(columns)
    design, target = np.array([columns[name] for name in names], dtype=np.float64).T, np.array(y, dtype=np.float64)
    weights = 1 / target
    scaled = design * weights[:, None]
    require_terms_told_apart(names, scaled)
    values = nonnegative(design, target, weights)

    def predict(inside: Indices, wanted: Indices) -> Array:
        return np.asarray(design[wanted] @ nonnegative(design[inside], target[inside], weights[inside]))

    others = held_out(tuple(range(len(target))) if groups is None else groups, predict)
    fitted = design @ values
    variance = float(np.sum((fitted * weights - 1) ** 2)) / (len(target) - len(names))
    return TermFit(
        names=names,
        values=tuple(float(value) for value in values),
        covariance=_covariance(scaled, values, variance),
        errors=Errors.of(target, fitted, others),
        scatter_frac=math.sqrt(variance),
    )


def _covariance(scaled: Array, values: Array, variance: float) -> tuple[tuple[float, ...], ...]:
    free = np.flatnonzero(values > 0)
    found = np.zeros((len(values), len(values)))
    if free.size:
        norms = np.linalg.norm(scaled[:, free], axis=0)
        unit = scaled[:, free] / norms
        found[np.ix_(free, free)] = variance * np.linalg.inv(unit.T @ unit) / np.outer(norms, norms)
    return tuple(tuple(float(value) for value in row) for row in (found + found.T) / 2)
