"""A linear estimate that follows its parameters: recursive least squares on Gaussian beliefs. Pure.

An observation y = h·θ + noise moves the belief (θ, P) by the Kalman filter's measurement update

    S = h·P·h + σ²        K = P·h / S        θ ← θ + K·(y - h·θ)        P ← P - K·(h·P)

Forgetting is towards what was known at the beginning: P ← P + share·(P_bound - P). A convex combination of two
covariances never exceeds the larger, so that a direction which nothing excites returns to P_bound and no further, and
one that is observed forgets only as fast as it is relearnt. Exponential forgetting divides P by a factor instead and
grows without bound where nothing is observed (Kulhavý and Zarrop, On a general concept of forgetting, 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]


@dataclass(frozen=True, slots=True)
class Belief:
    """Parameters and how surely they are known.

    Attributes:
        mean: (n,) θ, each in its own unit.
        covariance: (n, n) P, symmetric.
    """

    mean: Vector
    covariance: Matrix

    def at(self, h: Sequence[float]) -> float:
        """h·θ."""
        return sum(a * b for a, b in zip(h, self.mean, strict=True))

    def variance_at(self, h: Sequence[float]) -> float:
        """h·P·h, never negative."""
        return max(0.0, sum(a * b for a, b in zip(h, _times(self.covariance, h), strict=True)))


def updated(belief: Belief, h: Sequence[float], residual: float, noise_variance: float) -> Belief:
    """The belief after an observation whose value was `residual` above h·θ."""
    spread = _times(belief.covariance, h)
    total = sum(a * b for a, b in zip(h, spread, strict=True)) + noise_variance
    if total <= 0.0:
        return belief
    gain = [value / total for value in spread]
    return Belief(
        tuple(value + k * residual for value, k in zip(belief.mean, gain, strict=True)),
        tuple(
            tuple(value - k * other for value, other in zip(row, spread, strict=True))
            for row, k in zip(belief.covariance, gain, strict=True)
        ),
    )


def relaxed(belief: Belief, bound: Matrix, share: float) -> Belief:
    """The belief with `share` (0..1) of the way back to the covariance `bound`; what was learnt is kept."""
    return Belief(
        belief.mean,
        tuple(
            tuple(value + share * (most - value) for value, most in zip(row, most_row, strict=True))
            for row, most_row in zip(belief.covariance, bound, strict=True)
        ),
    )


def floored(belief: Belief, floors: Sequence[float]) -> Belief:
    """The belief with no parameter below its floor; the others move along as far as they hang together with it.

    One below its floor is set to it as by an exact observation of the mean alone: the covariance stays, so that
    evidence of the contrary can lift it again. A second one that this pushes below its floor is cut off.
    """
    mean = list(belief.mean)
    for i, floor in enumerate(floors):
        variance = belief.covariance[i][i]
        lacking = floor - mean[i]
        if lacking > 0.0 and variance > 0.0:
            mean = [value + belief.covariance[j][i] / variance * lacking for j, value in enumerate(mean)]
    return Belief(tuple(max(value, floor) for value, floor in zip(mean, floors, strict=True)), belief.covariance)


def scaled(matrix: Matrix, factor: float) -> Matrix:
    """Every entry times a factor."""
    return tuple(tuple(value * factor for value in row) for row in matrix)


def diagonal(variances: Sequence[float]) -> Matrix:
    """A covariance without correlations."""
    return tuple(tuple(v if i == j else 0.0 for j in range(len(variances))) for i, v in enumerate(variances))


def _times(matrix: Matrix, h: Sequence[float]) -> Vector:
    return tuple(sum(a * b for a, b in zip(row, h, strict=True)) for row in matrix)
