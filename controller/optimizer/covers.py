"""How many instances a demand takes, told in whole numbers: what makes the relaxation of the plan tight.

A group of classes shares some kinds of instances. Engine time, demand and quality budgets of one interval say which
totals N of instances by kind can carry the demand:

    { N : there are token rates with  Σ_r busy[r, q]·y[r, q] <= η·N[q],  Σ_q y[r, q] = demand[r],
          Σ_q loss[q]·y[r, q] <= budget[r]·demand[r] }  =  { N : rates of every price u >= 0 hold }

By linear duality a total N suffices exactly if, for every price vector u of engine time, what N is worth covers what
the demand costs at these prices: η·u·N >= Σ_r p_r(u)·demand[r], with p_r(u) the price of a token of class r in its
cheapest mix within the budget. p_r is piecewise linear and concave in u, so finitely many u decide: the rays at which
the pieces meet.

Instances are whole. The smallest whole totals that suffice, and the facets of their convex hull, give inequalities
a·N >= b that no fractional plan satisfies by accident: a plan that needs 1.3 instances has 2. (The plain relaxation
pays for 1.3.) These are Chvátal-Gomory cuts of every rank at once, found by enumeration, as the kinds of one group are
few. Where totals are large the enumeration is of the neighbourhood of a given total, and its inequalities hold for
plans within that neighbourhood.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

MAX_POINTS = 6000
"""Largest box that is enumerated for the whole hull."""
MAX_KINDS = 4
"""Kinds of instances in a group up to which hulls are made."""
MAX_RAYS = 4000
"""Combinations looked at for rays; beyond, some rays are missed, which makes inequalities weaker and never wrong."""
NEAR = 2
"""Instances above the rounded-down total that a neighbourhood holds; one below it belongs to it, too."""
TOLERANCE = 1e-7
MAX_WEIGHT = 1000
"""Largest whole weight of an inequality. The facets of a hull of whole totals have whole weights, mostly small ones; a
larger one is left as a fraction."""
_FAR = 1000.0
_SAME = 1e-6
_SCALES = np.arange(1, MAX_WEIGHT + 1)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one interval asks of a group's instances: worth[v]·N >= cost[v] for every ray v.

    Attributes:
        worth: (V, Q), nonnegative.
        cost: (V,).
    """

    worth: np.ndarray
    cost: np.ndarray


@dataclass(frozen=True, slots=True)
class Cover:
    """weights·N >= least, N the instances by kind; weights (Q,), nonnegative, whole where they can be.

    Whole weights hold without rounding: HiGHS has taken a weight of 0.571428571 with a bound of 7.2857142857 for a
    contradiction in whole numbers.
    """

    weights: np.ndarray
    least: float


def mixes(loss: np.ndarray, budget: float, allowed: np.ndarray) -> np.ndarray:
    """Vertices of the mixes of kinds that keep a budget: (V, Q) shares; V = 0 where no mix does.

    A vertex is one kind within the budget, or two of which one is beyond it.
    """
    shares = []
    every = np.eye(len(loss))
    inside = [q for q in np.flatnonzero(allowed) if loss[q] <= budget + TOLERANCE]
    outside = [q for q in np.flatnonzero(allowed) if loss[q] > budget + TOLERANCE]
    for q in inside:
        shares.append(every[q])
        for other in outside:
            lossy = (budget - loss[q]) / (loss[other] - loss[q])
            if lossy > TOLERANCE:
                shares.append(lossy * every[other] + (1 - lossy) * every[q])
    return np.array(shares).reshape(-1, len(loss))


def rays(busy_mixes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Prices of engine time that decide, and what a token of each class costs at them.

    Args:
        busy_mixes: of each class its mixes, (V_r, Q) engine time by kind of a token.

    Returns:
        (V, Q) prices u, each summing to 1, and (V, R) token prices p_r(u) = min over the mixes of mix·u.
    """
    kinds = busy_mixes[0].shape[1]
    planes = list(np.eye(kinds))
    for rows in busy_mixes:
        planes += [a - b for a, b in itertools.combinations(rows, 2)]
    chosen = list(itertools.islice(itertools.combinations(range(len(planes)), kinds - 1), MAX_RAYS))
    found = _on_all(np.array(planes)[np.array(chosen, dtype=int)])
    # Many sets of planes meet in the same ray.
    once = {tuple(rounded): ray for rounded, ray in zip(np.round(found, 9).tolist(), found, strict=True)}
    prices = np.array(list(once.values())).reshape(-1, kinds)
    token_prices = np.stack([(prices @ rows.T).min(axis=1) for rows in busy_mixes], axis=1)
    return prices, token_prices


def _on_all(planes: np.ndarray) -> np.ndarray:
    """The nonnegative vectors, summing to 1, each on all planes of its set, (V, Q); none of a set that has several.

    Args:
        planes: (N, Q - 1, Q), N sets.
    """
    kinds = planes.shape[2]
    if kinds == 1:
        return np.ones((1, 1))
    _, sizes, directions = np.linalg.svd(planes)
    is_one = (sizes > TOLERANCE * np.maximum(1e-300, sizes[:, :1])).all(axis=1)
    found = directions[:, -1] * np.where(directions[:, -1].sum(axis=1) > 0, 1.0, -1.0)[:, None]
    found = np.clip(found[is_one & (found.min(axis=1) >= -TOLERANCE)], 0.0, None)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def covers(requirement: Requirement, near: np.ndarray | None = None) -> tuple[tuple[Cover, ...], bool]:
    """Inequalities of the convex hull of the whole totals that meet a requirement.

    Args:
        requirement: of one interval.
        near: (Q,) total around which to look where the hull is too large to enumerate.

    Returns:
        The inequalities, and whether they hold everywhere or only near `near`; none where nothing can be enumerated.
    """
    worth, cost = requirement.worth, requirement.cost
    kinds = worth.shape[1]
    if kinds > MAX_KINDS or not np.any(cost > TOLERANCE):
        return (), True
    useful = worth > TOLERANCE
    alone = np.where(useful, np.maximum(cost, 0.0)[:, None] / np.where(useful, worth, 1.0), 0.0).max(axis=0)
    sides = np.ceil(alone - TOLERANCE).astype(int) + 1
    if np.prod(sides.astype(float)) <= MAX_POINTS:
        return _hull(worth, cost, np.zeros(kinds, dtype=int), sides), True
    if near is None:
        return (), True
    base = np.maximum(np.floor(near + TOLERANCE).astype(int) - 1, 0)
    return _hull(worth, cost, base, np.full(kinds, NEAR + 2)), False


def _hull(worth: np.ndarray, cost: np.ndarray, base: np.ndarray, sides: np.ndarray) -> tuple[Cover, ...]:
    """Facets of the hull of the totals in a box that suffice, with everything above them."""
    kinds = len(base)
    steps = np.indices(tuple(sides)).reshape(kinds, -1).T
    left = cost - worth @ base
    slack = TOLERANCE * np.maximum(1.0, np.abs(cost))
    enough = (steps @ worth.T >= left - slack).all(axis=1).reshape(tuple(sides))
    least = _minimal(enough)
    if len(least) == 0 or not np.any(least):
        return ()
    if kinds == 1:
        return (Cover(np.ones(1), float(least[0, 0] + base[0])),)
    far = np.concatenate([least, *(least + _FAR * axis for axis in np.eye(kinds))])
    equations = ConvexHull(np.unique(far, axis=0)).equations
    weights = -equations[:, :-1][(equations[:, :-1].max(axis=1) <= TOLERANCE) & (equations[:, -1] >= TOLERANCE)]
    facets = np.unique(_whole(np.clip(weights, 0.0, None) / weights.max(axis=1, keepdims=True)), axis=0)
    return tuple(Cover(facet, float(((least + base) @ facet).min())) for facet in facets)


def _whole(weights: np.ndarray) -> np.ndarray:
    """The smallest whole multiple of each row of weights of at most 1; as it is where that is above `MAX_WEIGHT`.

    Args:
        weights: (F, Q), rows may occur more than once.
    """
    weights = np.unique(np.round(weights, 9), axis=0)
    multiples = _SCALES[:, None, None] * weights
    is_whole = (np.abs(multiples - np.rint(multiples)) <= _SAME).all(axis=2)
    return np.where(
        is_whole.any(axis=0)[:, None], np.rint(_SCALES[is_whole.argmax(axis=0)][:, None] * weights), weights
    )


def _minimal(enough: np.ndarray) -> np.ndarray:
    """Points of a box that suffice while no point below them does, (V, Q)."""
    least = enough.copy()
    for axis in range(enough.ndim):
        below = np.zeros_like(enough)
        upper, lower = [slice(None)] * enough.ndim, [slice(None)] * enough.ndim
        upper[axis], lower[axis] = slice(1, None), slice(None, -1)
        below[tuple(upper)] = enough[tuple(lower)]
        least &= ~below
    return np.argwhere(least)
