"""Latency quantiles over a moving window, from cumulative histograms; pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

Histogram = tuple[tuple[float, float], ...]
"""(upper edge in s, cumulative count) pairs with growing edges; the last edge is infinite."""


class LatencySource(Protocol):
    """What holds the two histograms of an engine."""

    @property
    def ttft(self) -> Histogram:
        """Time to first token."""

    @property
    def itl(self) -> Histogram:
        """Inter-token latency."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles; None where no request or token fell into the window."""

    ttft_p50_s: float | None = None
    ttft_p99_s: float | None = None
    itl_p50_s: float | None = None
    itl_p99_s: float | None = None


class LatencyWindow:
    """Sums what histograms of many engines grew by within the last `window_s`."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._growth: deque[tuple[float, Histogram, Histogram]] = deque(maxlen=100_000)

    def add(self, now_s: float, previous: LatencySource | None, current: LatencySource) -> None:
        """Take in one engine's histograms; the first ones, and those after a restart, only set the reference."""
        if previous is None:
            return
        ttft, itl = grown(previous.ttft, current.ttft), grown(previous.itl, current.itl)
        if ttft or itl:
            self._growth.append((now_s, ttft, itl))

    def prune(self, now_s: float) -> None:
        """Forget what left the window."""
        while self._growth and self._growth[0][0] <= now_s - self._window_s:
            self._growth.popleft()

    def quantiles(self) -> Latency:
        """Quantiles over the window."""
        ttft = summed(item[1] for item in self._growth)
        itl = summed(item[2] for item in self._growth)
        return Latency(quantile(ttft, 0.5), quantile(ttft, 0.99), quantile(itl, 0.5), quantile(itl, 0.99))


def grown(previous: Histogram, current: Histogram) -> Histogram:
    """What was added between two states of a histogram; empty where nothing was, or where it began anew."""
    before = dict(previous)
    if set(before) != {edge_s for edge_s, _ in current}:
        return ()
    difference = tuple((edge_s, count - before[edge_s]) for edge_s, count in current)
    if not difference or difference[-1][1] <= 0 or any(count < 0 for _, count in difference):
        return ()
    return difference


def summed(histograms: Iterable[Histogram]) -> Histogram:
    """Sum over histograms of the same edges."""
    total: dict[float, float] = {}
    for histogram in histograms:
        for edge_s, count in histogram:
            total[edge_s] = total.get(edge_s, 0.0) + count
    return tuple(sorted(total.items()))


def quantile(histogram: Histogram, frac: float) -> float | None:
    """Quantile by linear interpolation within its bucket, as Prometheus' histogram_quantile; None when empty.

    In the last, unbounded bucket the largest finite edge is returned.
    """
    if not histogram or histogram[-1][1] <= 0:
        return None
    rank = frac * histogram[-1][1]
    lower_s, below = 0.0, 0.0
    for edge_s, count in histogram:
        if count >= rank:
            if math.isinf(edge_s):
                return lower_s
            share = (rank - below) / (count - below) if count > below else 1.0
            return lower_s + (edge_s - lower_s) * share
        lower_s, below = edge_s, count
    return lower_s
