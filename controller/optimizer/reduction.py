"""Leaves out of a program what says nothing: rows of one entry are bounds, and some rows cannot bind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from controller.optimizer.program import Program

SLACK_FRAC = 1e-9
"""Share of a row's bound by which its largest value may pass it by arithmetic alone."""


def reduced(program: Program) -> Program:
    """The same program with fewer rows: same variables, same answers.

    cvxpy states a bound that is a parameter as a row. HiGHS would take those out itself, but not where it goes on from
    a basis.
    """
    matrix = program.matrix
    entries = np.diff(matrix.indptr)
    lower, upper = _bounds(program, np.flatnonzero(entries == 1))
    largest = _largest(matrix, lower, upper)
    room = SLACK_FRAC * np.maximum(1.0, np.abs(program.row_upper))
    never = np.isneginf(program.row_lower) & (largest <= program.row_upper + room)
    kept = (entries != 1) & ~never
    return replace(
        program,
        matrix=sparse.csr_array(matrix[kept]),
        row_lower=program.row_lower[kept],
        row_upper=program.row_upper[kept],
        lower=lower,
        upper=upper,
    )


def _bounds(program: Program, alone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the variables with those of rows of one entry."""
    lower, upper, matrix = program.lower.copy(), program.upper.copy(), program.matrix
    first = matrix.indptr[alone]
    column, factor = matrix.indices[first], matrix.data[first]
    ends = program.row_lower[alone] / factor, program.row_upper[alone] / factor
    np.maximum.at(lower, column, np.where(factor > 0, *ends))
    np.minimum.at(upper, column, np.where(factor > 0, *ends[::-1]))
    return lower, upper


def _largest(matrix: sparse.csr_array, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Largest value of each row within the bounds."""
    most = np.where(matrix.data > 0, upper[matrix.indices], lower[matrix.indices])
    with np.errstate(invalid="ignore"):
        ends = np.where(matrix.data == 0, 0.0, matrix.data * most)
    return np.bincount(np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), ends, matrix.shape[0])
