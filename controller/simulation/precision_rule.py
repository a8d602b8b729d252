"""Curves of a precision that was not measured, from one that was. Pure.

Two rules, checked on the configurations measured at both precisions (docs/reference/curves.md):

* `KEPT`. With σ = GPUs after / GPUs before, the base step time a and the energy of a sequence C stay, the base step
  energy A goes with the GPUs, the time of a sequence b goes against them:  a, b/σ, A·σ, C. Where σ is the ratio of the
  weights' bytes, each GPU reads the same bytes in a step. Where σ = 1 nothing changes: of the models measured at both
  precisions on as many GPUs, none steps faster at small batches for its lighter weights.
* `EXPERTS_HALVED`, for mixtures of experts on half of the GPUs: each of a, b, A, C changes by the geometric mean of
  its ratios over the measured pairs of the same kind. Their small-batch steps grow by half, which `KEPT` misses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.energy.step_fit import StepFit


class Rule(StrEnum):
    """How the curves of an estimate come from measured ones."""

    KEPT = "kept"
    EXPERTS_HALVED = "experts_halved"


@dataclass(frozen=True, slots=True)
class Lines:
    """T(B) = a + b·B [s] and E(B) = A + C·B [J] of an instance; or, of two such, their ratios."""

    step_base_s: float
    step_per_seq_s: float
    step_base_j: float
    step_per_seq_j: float

    @classmethod
    def of(cls, fit: StepFit) -> Lines:
        """The lines of a fit."""
        return cls(fit.time.intercept, fit.time.slope, fit.energy.intercept, fit.energy.slope)

    def step_s(self, batch: float) -> float:
        """Step time."""
        return self.step_base_s + self.step_per_seq_s * batch

    def step_j(self, batch: float) -> float:
        """Step energy."""
        return self.step_base_j + self.step_per_seq_j * batch

    def largest_batch_within(self, limit_w: float) -> float:
        """Largest batch whose power is within a limit, above the lines' crossing; infinite where all are."""
        per_seq_w = self.step_per_seq_j - limit_w * self.step_per_seq_s
        return (limit_w * self.step_base_s - self.step_base_j) / per_seq_w if per_seq_w > 0 else math.inf


def kept(lines: Lines, share: float) -> Lines:
    """The rule `KEPT` with σ = share."""
    return Lines(lines.step_base_s, lines.step_per_seq_s / share, lines.step_base_j * share, lines.step_per_seq_j)


def mean_ratios(pairs: Sequence[tuple[Lines, Lines]]) -> Lines:
    """Geometric means over pairs (before, after) of the four ratios after / before.

    Raises:
        ValueError: there is no pair, or a coefficient is not positive and so has no ratio.
    """
    if not pairs:
        raise ValueError("ratios need at least one pair of measured configurations")
    figures = [(_figures(before), _figures(after)) for before, after in pairs]
    if min(min(*before, *after) for before, after in figures) <= 0:
        raise ValueError("a coefficient of a measured pair is zero and has no ratio")
    means = [
        math.exp(sum(math.log(after[n] / before[n]) for before, after in figures) / len(figures)) for n in range(4)
    ]
    return Lines(*means)


def scaled(lines: Lines, ratios: Lines) -> Lines:
    """Each coefficient times its ratio."""
    return Lines(*(figure * ratio for figure, ratio in zip(_figures(lines), _figures(ratios), strict=True)))


def _figures(lines: Lines) -> tuple[float, float, float, float]:
    return lines.step_base_s, lines.step_per_seq_s, lines.step_base_j, lines.step_per_seq_j
