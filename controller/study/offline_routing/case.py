"""One case: models, queries, and the coefficient of every query on every model. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.errors import ConfigError
from controller.study.offline_routing.assignment import Assignment, Problem, assign
from controller.study.offline_routing.queries import Queries
from controller.study.offline_routing.workload_model import LanguageModel

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Case:
    """What is assigned and what it costs. Queries of equal length form a group.

    Attributes:
        models: K of them.
        amount: (G,) queries of each group.
        group_of: (Q,) group of each query, in order of arrival.
        tokens: (G,) input and output of one query.
        energy_j, runtime_s: (G, K) of one query, raised to zero where the fit is below it.
        accuracy_tokens: (G, K) A_K·(τin + τout) of one query, the measure of accuracy of arXiv 2407.04014.
        able: (G, K) whether the model may serve the group.
        least, most: (K,) bounds on the queries of each model.
        below_zero_frac: share of the pairs of a query and a model that may serve it whose fitted energy is below zero.
    """

    models: tuple[LanguageModel, ...]
    amount: Whole
    group_of: Whole
    tokens: Whole
    energy_j: Floats
    runtime_s: Floats
    accuracy_tokens: Floats
    able: NDArray[np.bool_]
    least: tuple[int, ...]
    most: tuple[int, ...]
    below_zero_frac: float

    @property
    def queries(self) -> int:
        """Queries in all."""
        return int(self.amount.sum())

    @property
    def energy_scale_j(self) -> float:
        """Largest energy of a query on a model that may serve it."""
        return float(self.energy_j[self.able].max()) or 1.0

    @property
    def accuracy_scale(self) -> float:
        """Largest accuracy measure of a query on a model that may serve it."""
        return float(self.accuracy_tokens[self.able].max()) or 1.0


def make_case(models: tuple[LanguageModel, ...], queries: Queries) -> Case:
    """Coefficients of all queries.

    Raises:
        ConfigError: there are no queries, or a coefficient is not finite.
    """
    if len(queries) == 0:
        raise ConfigError("queries: there are none; give at least one")
    lengths = np.column_stack([queries.input_tokens, queries.output_tokens])
    shapes, group_of, amount = np.unique(lengths, axis=0, return_inverse=True, return_counts=True)
    given, made = shapes[:, 0], shapes[:, 1]
    fitted_j = np.column_stack([model.energy_j.at(given, made) for model in models])
    able = np.column_stack([model.may_serve(given, made) for model in models])
    if not np.isfinite(fitted_j[able]).all():
        raise ConfigError("models: an energy is not finite for a query of the set; check the coefficients")
    pairs = able * amount[:, None]
    tokens = given + made
    return Case(
        models=models,
        amount=amount.astype(np.int64),
        group_of=group_of.reshape(-1).astype(np.int64),
        tokens=tokens,
        energy_j=np.maximum(0.0, fitted_j),
        runtime_s=np.maximum(0.0, np.column_stack([model.runtime_s.at(given, made) for model in models])),
        accuracy_tokens=tokens[:, None] * np.array([model.accuracy_frac for model in models]),
        able=able,
        least=tuple(_least(model, len(queries)) for model in models),
        most=tuple(math.floor(model.max_share_frac * len(queries)) for model in models),
        below_zero_frac=float((pairs * (fitted_j < 0)).sum() / pairs.sum()),
    )


@dataclass(frozen=True, slots=True)
class Point:
    """An assignment of all queries and what it gives.

    Attributes:
        zeta: weight of energy it was made with.
        accuracy_frac: mean over tokens.
        runtime_s: mean over queries, without waiting.
        queries: (K,) of each model.
    """

    zeta: float
    energy_j: float
    accuracy_frac: float
    runtime_s: float
    queries: tuple[int, ...]


def costs(case: Case, zeta: float) -> Floats:
    """(G, K) ζ·e/max e − (1 − ζ)·a/max a of one query; infinite where the model may not serve it.

    Raises:
        ConfigError: zeta is not within 0..1.
    """
    if not 0 <= zeta <= 1:
        raise ConfigError(f"zeta {zeta} is not between 0 (accuracy alone) and 1 (energy alone)")
    cost = zeta * case.energy_j / case.energy_scale_j - (1 - zeta) * case.accuracy_tokens / case.accuracy_scale
    return np.where(case.able, cost, np.inf)


def solve(case: Case, zeta: float) -> Point:
    """The best assignment at a zeta, with a coefficient for each query."""
    return point(case, zeta, _assigned(case, costs(case, zeta)))


def point(case: Case, zeta: float, assigned: Assignment) -> Point:
    """What an assignment gives."""
    return _summed(case, zeta, assigned.queries.astype(np.float64))


def all_on(case: Case, k: int) -> Point | None:
    """All queries on one model; None where it may not serve them all."""
    if not case.able[:, k].all():
        return None
    served = np.zeros_like(case.energy_j)
    served[:, k] = case.amount
    return _summed(case, 1.0, served)


def _least(model: LanguageModel, queries: int) -> int:
    return max(1, math.ceil(model.min_share_frac * queries - 1e-9)) if model.min_share_frac > 0 else 0


def _assigned(case: Case, cost: Floats) -> Assignment:
    return assign(Problem(cost, case.amount, case.least, case.most, tuple(model.name for model in case.models)))


def _summed(case: Case, zeta: float, served: Floats) -> Point:
    return Point(
        zeta=zeta,
        energy_j=float((served * case.energy_j).sum()),
        accuracy_frac=float((served * case.accuracy_tokens).sum() / (case.tokens @ case.amount)),
        runtime_s=float((served * case.runtime_s).sum() / case.queries),
        queries=tuple(round(count) for count in served.sum(axis=0)),
    )
