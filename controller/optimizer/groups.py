"""Which classes share which instances, and the cover inequalities that follow for the plan's columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.optimizer.covers import Cover, Requirement, covers, mixes, rays
from controller.optimizer.data import ClassData, ProblemData
from controller.optimizer.kept import broken_steps
from controller.optimizer.program import Program, Row


@dataclass(frozen=True, slots=True)
class Group:
    """Classes and pools that have to do with each other.

    Attributes:
        classes: r of its classes.
        kinds: of each kind of instance the k of its pools; to the group's classes they are all alike.
    """

    classes: tuple[int, ...]
    kinds: tuple[tuple[int, ...], ...]


def groups_of(data: ProblemData) -> tuple[Group, ...]:
    """The groups of a problem; pools that no class may use are in none."""
    left = {r for r, row in enumerate(data.allowed) if any(row)}
    out = []
    while left:
        classes, pools = {min(left)}, set[int]()
        while True:
            pools = {k for r in classes for k, may in enumerate(data.allowed[r]) if may}
            joined = {r for r in left if any(data.allowed[r][k] for k in pools)}
            if joined == classes:
                break
            classes = joined
        left -= classes
        out.append(Group(tuple(sorted(classes)), _kinds(data, tuple(sorted(classes)), pools)))
    return tuple(out)


def _budget(cls: ClassData, t: int) -> float:
    """Largest mean loss that an interval may have: any where the budget holds over the horizon together."""
    return 1.0 if cls.quality_window else cls.quality_budget_frac[t]


def _row(cover: Cover, columns: list[np.ndarray], t: int) -> Row:
    used = np.flatnonzero(cover.weights)
    sizes = [len(columns[q]) for q in used]
    where = np.concatenate([columns[q][:, t] for q in used])
    return Row(where, np.repeat(cover.weights[used], sizes), cover.least, t)


def _kinds(data: ProblemData, classes: tuple[int, ...], pools: set[int]) -> tuple[tuple[int, ...], ...]:
    alike: dict[object, list[int]] = {}
    for k in sorted(pools):
        alike.setdefault(data.kind_for(classes, k), []).append(k)
    return tuple(tuple(members) for members in alike.values())


class Covering:
    """Makes the cover inequalities of one problem.

    Args:
        data: the problem.
    """

    def __init__(self, data: ProblemData) -> None:
        self._data = data
        self._groups = groups_of(data)
        self._rays: dict[tuple[int, tuple[float, ...]], tuple[np.ndarray, np.ndarray] | None] = {}

    def rows(self, program: Program, x: np.ndarray) -> tuple[list[Row], bool]:
        """The inequalities of every group and every interval in which a relaxed answer keeps all promises.

        Where it breaks one, what is left of the demand is part of the decision, and no whole number follows from it.

        Args:
            program: of the problem.
            x: an answer of its relaxation; hulls too large to enumerate are made around it.

        Returns:
            The inequalities, and whether all of them hold everywhere rather than only near `x`.
        """
        on = x[program.columns["on"]]
        kept = set(range(on.shape[1])) - broken_steps(program, x)
        out: list[Row] = []
        hold_everywhere = True
        for g, group in enumerate(self._groups):
            columns = [program.columns["on"][list(kind)] for kind in group.kinds]
            near = np.array([on[list(kind)].sum(axis=0) for kind in group.kinds])
            for t in sorted(kept):
                requirement = self._requirement(g, group, t)
                if requirement is None:
                    continue
                found, everywhere = covers(requirement, near[:, t])
                hold_everywhere &= everywhere
                out += [_row(cover, columns, t) for cover in found]
        return out, hold_everywhere

    def _requirement(self, g: int, group: Group, t: int) -> Requirement | None:
        data = self._data
        found = self._rays_of(g, group, tuple(_budget(data.classes[r], t) for r in group.classes))
        if found is None:
            return None
        prices, token_prices = found
        # What may wait need not be served in the interval.
        demand = np.array(
            [0.0 if data.classes[r].defer_steps else data.classes[r].demand_tokens_per_s[t] for r in group.classes]
        )
        late = np.array([sum(data.pools[k].late[t] for k in kind) for kind in group.kinds])
        worth = data.utilisation_frac * prices
        return Requirement(worth, token_prices @ demand + worth @ late)

    def _rays_of(self, g: int, group: Group, budgets: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray] | None:
        key = (g, budgets)
        if key not in self._rays:
            self._rays[key] = self._find_rays(group, budgets)
        return self._rays[key]

    def _find_rays(self, group: Group, budgets: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray] | None:
        data, first = self._data, [kind[0] for kind in group.kinds]
        busy_mixes = []
        for r, budget in zip(group.classes, budgets, strict=True):
            allowed = np.array([data.allowed[r][k] for k in first])
            shares = mixes(np.array(data.losses(r))[first], budget, allowed)
            if len(shares) == 0:
                return None
            busy_mixes.append(shares * np.array([data.busy_s_per_token[r][k] for k in first]))
        return rays(busy_mixes)
