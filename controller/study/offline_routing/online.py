"""Routing queries as they arrive, to models that serve a bounded number at once. Pure.

Each model has so many servers; a query takes one for its runtime r(τin, τout) and waits, first come first served, while
none is free. A rule sees the query, the time and how long each model would have it wait.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.study.offline_routing.case import Case

Floats = NDArray[np.float64]
Rule = Callable[[int, Sequence[float], Sequence[float]], int]
"""(number of the query, its costs, the waits in seconds) -> model; costs are infinite where it may not go."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What came of routing all queries.

    Attributes:
        rule: in words.
        accuracy_frac: mean over tokens.
        wait_mean_s, wait_p95_s, wait_max_s: from arrival to the beginning of service.
        latency_mean_s: wait and runtime together.
        queries: (K,) of each model.
        busy_frac: (K,) share of its servers' time in use until its last query ends; None where it served none.
    """

    rule: str
    energy_j: float
    accuracy_frac: float
    wait_mean_s: float
    wait_p95_s: float
    wait_max_s: float
    latency_mean_s: float
    queries: tuple[int, ...]
    busy_frac: tuple[float | None, ...]


def cheapest(number: int, costs: Sequence[float], waits_s: Sequence[float]) -> int:
    """The model of least cost, whatever the queues."""
    return min(range(len(costs)), key=costs.__getitem__)


def in_turn(number: int, costs: Sequence[float], waits_s: Sequence[float]) -> int:
    """One model after the other; the next one that may serve it where one may not."""
    order = range(number, number + len(costs))
    return next(k % len(costs) for k in order if costs[k % len(costs)] < float("inf"))


def pricing_wait(cost_per_s: float) -> Rule:
    """The model of least cost with waiting at a price, in the unit of the costs a second."""

    def rule(number: int, costs: Sequence[float], waits_s: Sequence[float]) -> int:
        return min(range(len(costs)), key=lambda k: costs[k] + cost_per_s * waits_s[k])

    return rule


def limiting_wait(limit_s: float) -> Rule:
    """The model of least cost among those within a wait; the least wait where there is none."""

    def rule(number: int, costs: Sequence[float], waits_s: Sequence[float]) -> int:
        able = [k for k, cost in enumerate(costs) if cost < float("inf")]
        soon = [k for k in able if waits_s[k] <= limit_s]
        return min(soon, key=costs.__getitem__) if soon else min(able, key=waits_s.__getitem__)

    return rule


def only(k: int) -> Rule:
    """One model where it may serve the query, the cheapest of the others where not."""

    def rule(number: int, costs: Sequence[float], waits_s: Sequence[float]) -> int:
        return k if costs[k] < float("inf") else cheapest(number, costs, waits_s)

    return rule


def route(case: Case, arrival_s: Floats, costs: Floats, rule: Rule, name: str) -> Flow:
    """Route all queries in order of arrival.

    Args:
        case: the models and what each query takes of them.
        arrival_s: (Q,) rising.
        costs: (G, K) cost of one query of a group.
        rule: chooses a model.
        name: the rule in words.
    """
    free_s: list[list[float]] = [[0.0] * model.servers for model in case.models]
    runtime_rows, cost_rows = case.runtime_s.tolist(), costs.tolist()
    groups = case.group_of.tolist()
    chosen = np.empty(len(groups), dtype=np.int64)
    wait_s = np.empty(len(groups))
    for number, (group, now_s) in enumerate(zip(groups, arrival_s.tolist(), strict=True)):
        waits_s = [max(0.0, servers[0] - now_s) for servers in free_s]
        k = rule(number, cost_rows[group], waits_s)
        heapq.heapreplace(free_s[k], now_s + waits_s[k] + runtime_rows[group][k])
        chosen[number], wait_s[number] = k, waits_s[k]
    return _flow(case, arrival_s, chosen, wait_s, name)


def _flow(case: Case, arrival_s: Floats, chosen: NDArray[np.int64], wait_s: Floats, name: str) -> Flow:
    group = case.group_of
    runtime_s = case.runtime_s[group, chosen]
    end_s = arrival_s + wait_s + runtime_s
    busy: list[float | None] = []
    for k, model in enumerate(case.models):
        mine = chosen == k
        span_s = float(end_s[mine].max() - arrival_s[0]) if mine.any() else 0.0
        busy.append(float(runtime_s[mine].sum()) / (model.servers * span_s) if span_s > 0 else None)
    return Flow(
        rule=name,
        energy_j=float(case.energy_j[group, chosen].sum()),
        accuracy_frac=float(case.accuracy_tokens[group, chosen].sum() / case.tokens[group].sum()),
        wait_mean_s=float(wait_s.mean()),
        wait_p95_s=float(np.quantile(wait_s, 0.95)),
        wait_max_s=float(wait_s.max()),
        latency_mean_s=float((wait_s + runtime_s).mean()),
        queries=tuple(int((chosen == k).sum()) for k in range(len(case.models))),
        busy_frac=tuple(busy),
    )
