"""From a solver's floating-point answer to whole instances and clean token rates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from controller.errors import SolverError
from controller.optimizer.onsite import Flows, Powers
from controller.optimizer.outcome import Counts
from controller.optimizer.spare import Rates
from controller.optimizer.variables import Shape

WHOLE_TOLERANCE = 1e-4
"""HiGHS holds integers to 1e-6; a larger distance means that something else is wrong."""
LEAST_RATE = 1e-6
"""Output tokens/s below which a rate is zero."""
LEAST_W = 1e-3
"""Power of an asset below which it is zero."""


def whole(name: str, values: np.ndarray) -> Counts:
    """Whole numbers of a (K, T) array.

    Raises:
        SolverError: a value is not finite or not whole within the tolerance.
    """
    nearest = np.rint(values)
    if not np.all(np.isfinite(values)) or np.max(np.abs(values - nearest)) > WHOLE_TOLERANCE:
        raise SolverError(f"{name}: {values.tolist()} is not whole; the plan is refused, the next rung takes its place")
    return tuple(tuple(int(value) for value in row) for row in np.maximum(nearest, 0.0))


def rates(values: np.ndarray, shape: Shape) -> Rates:
    """[r][k][t] token rates of a (P, T) array; what is negative or tiny by arithmetic alone is zero.

    Raises:
        SolverError: a value is not finite.
    """
    if not np.all(np.isfinite(values)):
        raise SolverError("a token rate is not finite; the plan is refused, the next rung takes its place")
    clean = np.zeros((shape.classes, shape.pools, shape.steps))
    of_class, of_pool = zip(*shape.pairs, strict=True)
    clean[of_class, of_pool] = np.where(values > LEAST_RATE, values, 0.0)
    return tuple(tuple(tuple(float(x) for x in cell) for cell in row) for row in clean)


def flows(x: np.ndarray, columns: Mapping[str, np.ndarray]) -> Flows | None:
    """What a plan does with the sites' assets; None where its program has none.

    Args:
        x: a program's answer.
        columns: where its variables stand.

    Raises:
        SolverError: a value is not finite.
    """
    if "import_w" not in columns:
        return None
    return Flows(*(_powers(x[columns[name]]) for name in ("pv_used_w", "charge_w", "discharge_w")))


def _powers(values: np.ndarray) -> Powers:
    if not np.all(np.isfinite(values)):
        raise SolverError("a power of an asset is not finite; the plan is refused, the next rung takes its place")
    return tuple(tuple(float(x) if x > LEAST_W else 0.0 for x in row) for row in values)
