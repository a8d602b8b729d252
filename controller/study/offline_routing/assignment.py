"""Assigning every query to one model at least cost, with bounds on each model's number of queries. Pure and exact.

    min Σ_g Σ_k cost[g,k]·x[g,k]     Σ_k x[g,k] = amount[g],   least[k] ≤ Σ_g x[g,k] ≤ most[k],   x ≥ 0, whole

with groups g of queries of the same cost and models k. This is a transportation problem: its linear relaxation has a
whole-numbered optimum. There are many groups and few models, so it is solved in two steps:

1. A price per model, λ[k], moved in turn to the value that is best given the others (Gauss-Seidel on the dual). Every
   group takes the model of least cost[g,k] − λ[k]. What then breaks a bound is little: ties, and what the turns missed.
2. Successive shortest paths between models on the residual graph, whose arc j → k weighs what the cheapest group to
   move from j to k costs. Optimal from any prices; the prices only make the paths few.

The end is proved by the dual: Σ_g amount[g]·min_k(cost[g,k] − λ[k]) + Σ_k (λ[k]·least[k] if λ[k] > 0 else λ[k]·most[k])
is a bound on every assignment's cost and equals the cost found, but for rounding.
Source: Ahuja, Magnanti, Orlin, Network Flows (1993), ch. 9.7 (successive shortest paths).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.errors import ConfigError
from controller.study.offline_routing.residual import Residual

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
PRICE_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Problem:
    """What is assigned.

    Attributes:
        cost: (G, K), any unit; infinite where a model may not serve a group.
        amount: (G,) queries of each group, at least 1.
        least, most: (K,) bounds on the queries of each model.
        models: (K,) names, for messages.
    """

    cost: Floats
    amount: Whole
    least: tuple[int, ...]
    most: tuple[int, ...]
    models: tuple[str, ...]

    @property
    def queries(self) -> int:
        """Queries in all."""
        return int(self.amount.sum())


@dataclass(frozen=True, slots=True)
class Assignment:
    """A cheapest assignment.

    Attributes:
        queries: (G, K) queries of each group on each model.
        cost: of all, in the unit of the problem's costs.
        bound: proven lower bound on the cost of any assignment.
    """

    queries: Whole
    cost: float
    bound: float


def assign(problem: Problem) -> Assignment:
    """Solve the problem.

    Raises:
        ConfigError: a cost is not a number, a group may go nowhere, or the bounds cannot be kept.
    """
    _check(problem)
    prices = _prices(problem)
    chosen = np.argmin(problem.cost - prices, axis=1)
    queries = np.zeros(problem.cost.shape, dtype=np.int64)
    queries[np.arange(len(chosen)), chosen] = problem.amount
    counts = queries.sum(axis=0)
    if (counts < problem.least).any() or (counts > problem.most).any() or prices.any():
        residual = Residual(problem.cost, queries, problem.least, problem.most, prices)
        stuck = residual.settle()
        if stuck is not None:
            raise ConfigError(
                f"the bounds on {problem.models[stuck]!r} cannot be kept together with those of the others: too many "
                "queries are outside of its range; widen min_share_frac, max_share_frac or the ranges of the models"
            )
        prices = residual.prices()
    cost = float(np.sum(np.where(queries > 0, problem.cost, 0.0) * queries))
    return Assignment(queries, cost, _bound(problem, prices))


def _check(problem: Problem) -> None:
    if problem.queries == 0:
        raise ConfigError("there are no queries to assign; give at least one")
    if np.isnan(problem.cost).any():
        group, model = np.argwhere(np.isnan(problem.cost))[0]
        raise ConfigError(f"the cost of query group {group} on {problem.models[model]!r} is not a number")
    nowhere = np.flatnonzero(~np.isfinite(problem.cost).any(axis=1))
    if len(nowhere):
        raise ConfigError(f"query group {nowhere[0]} may be served by no model; widen a model's range or leave it out")
    total = problem.queries
    if sum(problem.least) > total:
        raise ConfigError(
            f"the models' least shares ask for {sum(problem.least)} queries, there are {total}; lower them"
        )
    if sum(problem.most) < total:
        raise ConfigError(f"the models' largest shares allow {sum(problem.most)} of {total} queries; raise them")
    for name, least, able in zip(problem.models, problem.least, np.isfinite(problem.cost).T, strict=True):
        if (servable := int(problem.amount[able].sum())) < least:
            raise ConfigError(f"{name!r} must serve {least} queries and may serve {servable}; lower its min_share_frac")


def _prices(problem: Problem) -> Floats:
    """(K,) prices by Gauss-Seidel on the dual; a price above 0 draws queries to a model, one below keeps them away."""
    prices = np.zeros(len(problem.models))
    for _ in range(PRICE_ROUNDS):
        before = prices.copy()
        for k in range(len(prices)):
            prices[k] = _best_price(problem, prices, k)
        if np.array_equal(before, prices):
            break
    return prices


def _best_price(problem: Problem, prices: Floats, k: int) -> float:
    """The price nearest to 0 at which model k gets between its least and its most, the others' prices given."""
    least, most = problem.least[k], problem.most[k]
    if len(prices) == 1 or (least == 0 and most >= problem.queries):
        return 0.0
    others = np.delete(problem.cost - prices, k, axis=1).min(axis=1)
    wanted = problem.cost[:, k] - others
    order = np.argsort(wanted, kind="stable")
    reached = np.cumsum(problem.amount[order])
    low = wanted[order[np.searchsorted(reached, least)]] if least > 0 else -np.inf
    high = wanted[order[np.searchsorted(reached, most, side="right")]] if most < problem.queries else np.inf
    price = min(max(0.0, float(low)), float(high))
    return price if np.isfinite(price) else 0.0


def _bound(problem: Problem, prices: Floats) -> float:
    cheapest = (problem.cost - prices).min(axis=1)
    ends = np.where(prices > 0, problem.least, problem.most)
    return float(cheapest @ problem.amount + prices @ ends)
