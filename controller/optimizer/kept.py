"""Which promises an answer keeps: told by the slacks of the program, before there is a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from controller.optimizer.program import Program

INSTANCES_CARRY = {"unserved": 1e-4, "over_quality": 1e-6, "over_busy": 1e-5, "over_limit_w": 0.1, "over_ramp_w": 0.1}
"""Largest use of each slack, in its unit, at which its promise counts as kept: of those that bear on how many instances
an interval needs."""
KEPT = {**INSTANCES_CARRY, "over_spare": 1e-3, "short_wh": 1e-2}
"""The same of every promise."""


def broken_steps(program: Program, x: np.ndarray) -> set[int]:
    """Intervals in which an answer breaks a promise that bears on how many instances they need."""
    return {
        int(t)
        for name, kept in INSTANCES_CARRY.items()
        if name in program.columns
        for t in np.flatnonzero((x[program.columns[name]] > kept).any(axis=0))
    }


@dataclass(frozen=True, slots=True)
class Promises:
    """Promises that can be kept all at once where instances come in fractions.

    Attributes:
        slacks: of each promise to a class, a site or a pool, the columns of its slack and what counts as none.
    """

    slacks: tuple[tuple[np.ndarray, float], ...]

    @classmethod
    def kept_by(cls, program: Program, x: np.ndarray) -> Promises:
        """Those that an answer keeps throughout."""
        return cls(tuple((row, kept) for row, kept in _rows(program) if not np.any(x[row] > kept)))

    @property
    def columns(self) -> np.ndarray:
        """(n,) columns of the slacks."""
        return np.concatenate([np.zeros(0, dtype=int), *(row for row, _ in self.slacks)])

    def are_kept(self, x: np.ndarray) -> bool:
        """Whether another answer keeps them, too."""
        return not any(np.any(x[row] > kept) for row, kept in self.slacks)

    def bound(self, program: Program) -> Program:
        """The program in which none of them may be broken."""
        upper = program.upper.copy()
        upper[self.columns] = program.lower[self.columns]
        return program.within(program.lower, upper)


def _rows(program: Program) -> Iterator[tuple[np.ndarray, float]]:
    for name, kept in KEPT.items():
        for row in program.columns.get(name, ()):
            yield row, kept
