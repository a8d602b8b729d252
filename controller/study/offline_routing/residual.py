"""The residual graph between models, and successive shortest paths on it. Pure.

Nodes are the models and one sink T behind them. An arc j → k stands for moving the cheapest group from model j to k; an
arc k → T for one more query than the flow counts on model k, within its bounds. T has room for all queries. Prices λ
hold with the flow throughout: no arc of the residual graph costs less than the difference of its ends' prices.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
SLACK = 1e-12
"""Differences of cost below it, relative to the largest cost, are rounding."""


class _Front:
    """Groups on model j in the order of what moving them to model k costs."""

    def __init__(self, moved: Floats, groups: Whole) -> None:
        order = np.argsort(moved[groups], kind="stable")
        kept = groups[order]
        self._groups = kept[np.isfinite(moved[kept])]
        self._moved = moved
        self._at = 0
        self._returned: list[tuple[float, int]] = []

    def push(self, group: int) -> None:
        """Take in a group that came to model j."""
        if math.isfinite(self._moved[group]):
            heapq.heappush(self._returned, (float(self._moved[group]), group))

    def cheapest(self, on_model: Whole) -> tuple[float, int] | None:
        """Cost and group; None where nothing can move. `on_model` is (G,) queries now on model j."""
        while self._at < len(self._groups) and on_model[self._groups[self._at]] == 0:
            self._at += 1
        while self._returned and on_model[self._returned[0][1]] == 0:
            heapq.heappop(self._returned)
        first = self._returned[0] if self._returned else None
        if self._at < len(self._groups):
            group = int(self._groups[self._at])
            cost = float(self._moved[group])
            if first is None or cost <= first[0]:
                return cost, group
        return first


class Residual:
    """The graph of one assignment; `settle` changes the `queries` it was given in place."""

    def __init__(self, cost: Floats, queries: Whole, least: Sequence[int], most: Sequence[int], prices: Floats) -> None:
        """Start from the cheapest assignment at some prices.

        Args:
            cost: (G, K).
            queries: (G, K), each group on the model of least cost less price.
            least: (K,) fewest queries of each model.
            most: (K,) most queries of each model.
            prices: (K,) those the assignment is cheapest at.
        """
        models = cost.shape[1]
        self._queries = queries
        self._least, self._most = least, most
        self._models = range(models)
        self._sink = models
        self._slack = SLACK * float(np.max(np.abs(cost[np.isfinite(cost)]), initial=0.0))
        counts = [int(count) for count in queries.sum(axis=0)]
        self._flow = [self._cheapest_flow(k, counts[k], float(prices[k])) for k in self._models]
        self._excess = [counts[k] - self._flow[k] for k in self._models]
        self._excess.append(sum(self._flow) - sum(counts))
        self._fronts = {
            (j, k): _Front(_difference(cost, k, j), np.flatnonzero(queries[:, j]))
            for j in self._models
            for k in self._models
            if j != k
        }

    def settle(self) -> int | None:
        """Move queries until every bound holds, at least cost; returns a model whose bound cannot be kept."""
        while True:
            source = next((node for node, excess in enumerate(self._excess) if excess > 0), None)
            if source is None:
                return None
            distance, back = self._paths(source)
            needy = [node for node, excess in enumerate(self._excess) if excess < 0 and distance[node] < math.inf]
            if not needy:
                return source if source != self._sink else next(n for n, e in enumerate(self._excess) if e < 0)
            self._move(source, min(needy, key=lambda node: distance[node]), back)

    def prices(self) -> Floats:
        """(K,) prices at which the settled assignment is the cheapest, relative to the sink's."""
        distance = [0.0] * (self._sink + 1)
        self._relax(distance, [-1] * len(distance))
        return np.array(distance[: self._sink]) - distance[self._sink]

    def _cheapest_flow(self, k: int, count: int, price: float) -> int:
        if price > 0:
            return self._least[k]
        if price < 0:
            return self._most[k]
        return min(max(count, self._least[k]), self._most[k])

    def _arcs(self) -> Iterator[tuple[int, int, float]]:
        for (j, k), front in self._fronts.items():
            first = front.cheapest(self._queries[:, j])
            if first is not None:
                yield j, k, first[0]
        for k in self._models:
            if self._flow[k] < self._most[k]:
                yield k, self._sink, 0.0
            if self._flow[k] > self._least[k]:
                yield self._sink, k, 0.0

    def _paths(self, source: int) -> tuple[list[float], list[int]]:
        distance = [math.inf] * (self._sink + 1)
        distance[source] = 0.0
        back = [-1] * len(distance)
        self._relax(distance, back)
        return distance, back

    def _relax(self, distance: list[float], back: list[int]) -> None:
        """Bellman-Ford; the residual graph of a cheapest flow has no cycle of negative cost."""
        arcs = list(self._arcs())
        for _ in distance:
            changed = False
            for tail, head, cost in arcs:
                reached = distance[tail] + cost
                if reached < distance[head] - self._slack:
                    distance[head], back[head], changed = reached, tail, True
            if not changed:
                return

    def _move(self, source: int, target: int, back: list[int]) -> None:
        """Send along the path as much as its narrowest arc lets through."""
        path = [target]
        while path[-1] != source:
            path.append(back[path[-1]])
        arcs = list(zip(path[:0:-1], path[-2::-1], strict=True))
        amount = min(self._excess[source], -self._excess[target], *(self._room(*arc) for arc in arcs))
        for tail, head in arcs:
            if head == self._sink:
                self._flow[tail] += amount
            elif tail == self._sink:
                self._flow[head] -= amount
            else:
                self._shift(tail, head, amount)
        self._excess[source] -= amount
        self._excess[target] += amount

    def _room(self, tail: int, head: int) -> int:
        if head == self._sink:
            return self._most[tail] - self._flow[tail]
        if tail == self._sink:
            return self._flow[head] - self._least[head]
        return int(self._queries[self._group(tail, head), tail])

    def _group(self, tail: int, head: int) -> int:
        first = self._fronts[tail, head].cheapest(self._queries[:, tail])
        if first is None:
            raise RuntimeError(f"no group can move from model {tail} to {head}, though a path leads there")
        return first[1]

    def _shift(self, tail: int, head: int, amount: int) -> None:
        group = self._group(tail, head)
        self._queries[group, tail] -= amount
        self._queries[group, head] += amount
        for other in self._models:
            if other != head:
                self._fronts[head, other].push(group)


def _difference(cost: Floats, to: int, of: int) -> Floats:
    """(G,) what moving a group costs; infinite where it may not go, whatever it costs where it is."""
    there, here = cost[:, to], cost[:, of]
    return np.where(np.isfinite(there) & np.isfinite(here), np.nan_to_num(there) - np.nan_to_num(here), np.inf)
