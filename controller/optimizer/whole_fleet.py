"""Whole instances for a large fleet, from the relaxation: up where GPUs are left, else so that the kinds' totals stay.

Where a pool has tens of instances a fraction of one is a small share of the bill. Every number is rounded up where the
site's GPUs hold it. Where they do not, a site rounds up as many as fit, those first of which other sites have rounded
off most (error diffusion over the sites), so that the total of each kind stays near the relaxed one. Token rates and
flows then follow from the relaxation with the instances given: two linear programs in place of a search.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from controller.errors import SolverError
from controller.optimizer.data import ProblemData
from controller.optimizer.kept import Promises
from controller.optimizer.program import Answer, Held, Program, Row

WHOLE = 1e-6
"""Distance from a whole number that counts as none."""


class WholeFleet:
    """Rounds the relaxed instances of one problem.

    Args:
        data: the problem.
    """

    def __init__(self, data: ProblemData) -> None:
        self._gpus_each = np.array([pool.gpus_per_instance for pool in data.pools])
        self._instances = np.array([pool.instances for pool in data.pools])
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

    def answer(self, held: Held, program: Program, relaxed: Answer, left_s: Callable[[], float]) -> Answer | None:
        """The whole answer near a relaxed one; None where it breaks a bound or is not found in time.

        Args:
            held: the program whose relaxation was solved; its instances are fixed afterwards.
            program: the same, for its columns.
            relaxed: the relaxation's answer.
            left_s: tells the time left.
        """
        return self._rounded(held, program, relaxed, left_s)

    def keeping(self, held: Held, program: Program, promises: Promises, left_s: Callable[[], float]) -> Answer | None:
        """A whole answer that keeps the promises; None where rounding finds none in time.

        A full site has no GPUs for a part of an instance: the relaxation is solved again with the promises bound and
        as many GPUs less as rounding up may take. What it costs bounds no other answer.

        Args:
            held: the program as `answer` left it.
            program: the same, for its columns and bounds.
            promises: to keep.
            left_s: tells the time left.
        """
        held.free(program, ("on", "sleeping"))
        held.fix(promises.columns, np.zeros(len(promises.columns)))
        try:
            roomy = held.relaxed_under(self._room(program), left_s())
        except SolverError:
            return None
        return self._rounded(held, program, roomy, left_s, asleep_up=True)

    def _rounded(
        self, held: Held, program: Program, relaxed: Answer, left_s: Callable[[], float], *, asleep_up: bool = False
    ) -> Answer | None:
        """Instances on fixed, then what that leaves of those asleep rounded: down, or up as far as there are any."""
        columns = program.columns
        on = self.counts(relaxed.x[columns["on"]], relaxed.x[columns["sleeping"]])
        held.fix(columns["on"], on)
        try:
            found = held.relaxed(left_s())
            sleeping = found.x[columns["sleeping"]]
            if np.any(np.abs(sleeping - np.rint(sleeping)) > WHOLE):
                up = np.minimum(np.ceil(sleeping - WHOLE), np.maximum(0.0, self._instances[:, None] - on))
                held.fix(columns["sleeping"], up if asleep_up else np.floor(sleeping + WHOLE))
                found = held.relaxed(left_s())
        except SolverError:
            return None
        return Answer(found.x, found.objective, relaxed.objective)

    def _room(self, program: Program) -> list[Row]:
        """Each site keeps GPUs free for one instance more of each of its pools on, and one asleep."""
        on, sleeping = program.columns["on"], program.columns["sleeping"]
        rows = []
        for c, gpus in enumerate(self._gpus):
            at = np.flatnonzero(self._site == c)
            held, room = np.tile(self._gpus_each[at], 2), 2 * self._gpus_each[at].sum()
            for t in range(on.shape[1]):
                where = np.concatenate([on[at, t], sleeping[at, t]])
                rows.append(Row(where, -held.astype(float), float(room - gpus), t))
        return rows


def _kinds(data: ProblemData) -> np.ndarray:
    """(K,) kind of each pool: pools of a kind are alike to every class."""
    numbers: dict[object, int] = {}
    everyone = range(len(data.classes))
    return np.array([numbers.setdefault(data.kind_for(everyone, k), len(numbers)) for k in range(len(data.pools))])
