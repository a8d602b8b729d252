"""Whole instances for a large fleet, from the relaxation: up where GPUs are left, else so that the kinds' totals stay.

Where a pool has tens of instances a fraction of one is a small share of the bill. Every number is rounded up where the
site's GPUs hold it. Where they do not, a site rounds up as many as fit, those first of which other sites have rounded
off most (error diffusion over the sites), so that the total of each kind stays near the relaxed one. Token rates and
flows then follow from the relaxation with the instances given: two linear programs in place of a search.
"""

from __future__ import annotations

import numpy as np

from controller.errors import SolverError
from controller.optimizer.data import ProblemData
from controller.optimizer.program import Answer, Held, Program

WHOLE = 1e-6
"""Distance from a whole number that counts as none."""


class WholeFleet:
    """Rounds the relaxed instances of one problem.

    Args:
        data: the problem.
    """

    def __init__(self, data: ProblemData) -> None:
        self._gpus_each = np.array([pool.gpus_per_instance for pool in data.pools])
        self._site = np.array([pool.site for pool in data.pools])
        self._gpus = np.array([site.gpus for site in data.sites])
        self._kind = _kinds(data)

    def counts(self, on: np.ndarray, sleeping: np.ndarray) -> np.ndarray:
        """Whole instances on, (K, T), for relaxed ones on and asleep."""
        least, most, asleep = np.floor(on + WHOLE), np.ceil(on - WHOLE), np.floor(sleeping + WHOLE)
        held = np.zeros((len(self._gpus), on.shape[1]))
        np.add.at(held, self._site, self._gpus_each[:, None] * (most + asleep))
        is_full = held > self._gpus[:, None] + WHOLE
        whole = most.copy()
        for t in np.flatnonzero(is_full.any(axis=0)):
            missing = np.zeros(self._kind.max() + 1)
            fits = ~is_full[self._site, t]
            np.add.at(missing, self._kind[fits], (on - most)[fits, t])
            for c in np.flatnonzero(is_full[:, t]):
                at = np.flatnonzero(self._site == c)
                room = self._gpus[c] - self._gpus_each[at] @ (least + asleep)[at, t]
                wanted = (on - least)[at, t] + missing[self._kind[at]]
                whole[at, t] = self._filled(at, least[at, t], most[at, t], room, wanted)
                np.add.at(missing, self._kind[at], (on - whole)[at, t])
        return whole

    def _filled(
        self, at: np.ndarray, least: np.ndarray, most: np.ndarray, room: float, wanted: np.ndarray
    ) -> np.ndarray:
        out = least.copy()
        for i in np.argsort(-wanted, kind="stable"):
            gpus = self._gpus_each[at[i]]
            if most[i] > least[i] and gpus <= room + WHOLE:
                out[i], room = most[i], room - gpus
        return out

    def answer(self, held: Held, program: Program, relaxed: Answer, time_limit_s: float) -> Answer | None:
        """The whole answer near a relaxed one; None where it breaks a bound or is not found in time.

        Args:
            held: the program whose relaxation was solved; its instances are fixed afterwards.
            program: the same, for its columns.
            relaxed: the relaxation's answer.
            time_limit_s: longest time of each linear program.
        """
        columns = program.columns
        on, sleeping = relaxed.x[columns["on"]], relaxed.x[columns["sleeping"]]
        held.fix(columns["on"], self.counts(on, sleeping))
        try:
            found = held.relaxed(time_limit_s)
            sleeping = found.x[columns["sleeping"]]
            if np.any(np.abs(sleeping - np.rint(sleeping)) > WHOLE):
                held.fix(columns["sleeping"], np.floor(sleeping + WHOLE))
                found = held.relaxed(time_limit_s)
        except SolverError:
            return None
        return Answer(found.x, found.objective, relaxed.objective)


def _kinds(data: ProblemData) -> np.ndarray:
    """(K,) kind of each pool: pools of a kind are alike to every class."""
    numbers: dict[object, int] = {}
    out = []
    for k in range(len(data.pools)):
        to_classes = tuple(
            (data.busy_s_per_token[r][k], data.losses(r)[k]) if data.allowed[r][k] else None
            for r in range(len(data.classes))
        )
        out.append(numbers.setdefault(to_classes, len(numbers)))
    return np.array(out)
