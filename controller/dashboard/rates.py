"""Rates over the last seconds, from counters; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.observation import InstanceObservation
from router.contract import InstanceId, PoolId

_LEAST_SPAN_S = 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """What happened within the window.

    Attributes:
        output_tokens_per_s: by pool.
        share_frac: by pool, of all output tokens; empty while there are none.
        j_per_output_token: site energy over output tokens; None while there are none, or power was not measured.
    """

    output_tokens_per_s: Mapping[PoolId, float]
    share_frac: Mapping[PoolId, float]
    j_per_output_token: float | None


class Rates:
    """Keeps the counters of the last `window_s`."""

    def __init__(self, window_s: float = 15.0) -> None:
        self._window_s = window_s
        self._last: dict[InstanceId, float] = {}
        self._totals: dict[PoolId, float] = {}
        self._points: deque[tuple[float, dict[PoolId, float], float | None]] = deque(maxlen=4096)

    def take(self, now_s: float, instances: tuple[InstanceObservation, ...], energy_j: float | None) -> Window:
        """Take in counters; an engine that restarted counts on from where it was.

        Args:
            now_s: wall clock.
            instances: with their counters.
            energy_j: of the site so far; None while its power is not measured.
        """
        for instance in instances:
            counted = instance.generation_tokens
            before = self._last.get(instance.instance_id, counted)
            grown = counted - before if counted >= before else counted
            self._last[instance.instance_id] = counted
            self._totals[instance.pool_id] = self._totals.get(instance.pool_id, 0.0) + grown
        self._points.append((now_s, dict(self._totals), energy_j))
        while len(self._points) > 2 and self._points[1][0] <= now_s - self._window_s:
            self._points.popleft()
        return self._window()

    def _window(self) -> Window:
        first_s, first, _ = self._points[0]
        last_s, last, _ = self._points[-1]
        span_s = last_s - first_s
        if span_s < _LEAST_SPAN_S:
            return Window({}, {}, None)
        tokens = {pool_id: total - first.get(pool_id, 0.0) for pool_id, total in last.items()}
        total = sum(tokens.values())
        return Window(
            output_tokens_per_s={pool_id: count / span_s for pool_id, count in tokens.items()},
            share_frac={pool_id: count / total for pool_id, count in tokens.items()} if total > 0 else {},
            j_per_output_token=self._j_per_token(),
        )

    def _j_per_token(self) -> float | None:
        """Between the first and the last new reading: tokens after it are of energy that nobody has told yet."""
        if any(energy_j is None for _, _, energy_j in self._points):
            return None
        told: list[tuple[float, float]] = []
        for _, totals, energy_j in self._points:
            if energy_j is not None and (not told or energy_j > told[-1][1]):
                told.append((sum(totals.values()), energy_j))
        tokens = told[-1][0] - told[0][0]
        return (told[-1][1] - told[0][1]) / tokens if tokens > 0 else None
