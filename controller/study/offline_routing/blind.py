"""What routing without looking at a query's length can reach: one coefficient a model instead of one a query. Pure.

Which queries a model gets is then chance, so that a model's share of the queries is its share of all energy and tokens.
The best shares for every zeta are corners of a polygon of (energy, accuracy); between two corners shares are mixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from controller.errors import ConfigError
from controller.study.offline_routing.assignment import Problem, assign
from controller.study.offline_routing.case import Case


@dataclass(frozen=True, slots=True)
class Corner:
    """Expected energy and mean accuracy of the best shares of a range of zeta."""

    energy_j: float
    accuracy_frac: float


def corners(case: Case) -> tuple[Corner, ...]:
    """The corners, by rising energy; each is the most accurate for its energy.

    Raises:
        ConfigError: a query is outside of some model's range, so that it cannot be ignored which one it is.
    """
    if not case.able.all():
        raise ConfigError("a router blind to length needs models that may serve every query; align their ranges")
    low, high = _best(case, 1.0), _best(case, 0.0)
    return (low, *_between(case, low, high), high) if high.energy_j > low.energy_j else (low,)


def energy_at(found: tuple[Corner, ...], accuracy_frac: float) -> float | None:
    """Least energy of a blind router with this accuracy, in joules; None outside of what it can reach."""
    for low, high in pairwise(found):
        if low.accuracy_frac <= accuracy_frac <= high.accuracy_frac:
            share = (accuracy_frac - low.accuracy_frac) / (high.accuracy_frac - low.accuracy_frac)
            return low.energy_j + share * (high.energy_j - low.energy_j)
    return None


def _between(case: Case, low: Corner, high: Corner) -> tuple[Corner, ...]:
    """Corners strictly between two others: the best one at the zeta that sees the two as equal."""
    rise = (high.energy_j - low.energy_j) / _energy_scale(case)
    gain = high.accuracy_frac - low.accuracy_frac
    if rise <= 0 or gain <= 0:
        return ()
    found = _best(case, gain / (rise + gain))
    line = low.accuracy_frac + gain * (found.energy_j - low.energy_j) / (high.energy_j - low.energy_j)
    if found.accuracy_frac - line < 1e-9 or found in (low, high):
        return ()
    return (*_between(case, low, found), found, *_between(case, found, high))


def _best(case: Case, zeta: float) -> Corner:
    """Best shares for one coefficient a model: the same problem with all queries in one group."""
    energy_j = case.amount @ case.energy_j
    accuracy = np.array([model.accuracy_frac for model in case.models])
    cost = zeta * energy_j / _energy_scale(case) - (1 - zeta) * accuracy
    names = tuple(model.name for model in case.models)
    problem = Problem(cost[None, :], np.array([case.queries]), case.least, case.most, names)
    share = assign(problem).queries[0] / case.queries
    return Corner(float(share @ energy_j), float(share @ accuracy))


def _energy_scale(case: Case) -> float:
    return float((case.amount @ case.energy_j).max()) or 1.0
