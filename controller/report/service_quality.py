"""What requests got before, during and after an event, from the counters and quantiles kept at each decision; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.evidence.read import Kept

_NAMES = ("before", "during", "after")
_COUNTERS = ("requests", "finished", "refused")
_LATENCIES = ("ttft_p50_s", "ttft_p99_s", "itl_p50_s", "itl_p99_s")


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """One class over one phase.

    Attributes:
        requests, finished, refused: within the phase; None where fewer than two decisions tell.
        quality_burnt_frac: mean loss over the class's window, at the phase's end.
        most_queued: at any decision.
    """

    class_id: str
    requests: float | None
    finished: float | None
    refused: float | None
    quality_burnt_frac: float | None
    most_queued: int | None


@dataclass(frozen=True, slots=True)
class Phase:
    """Before, during or after.

    Attributes:
        decisions: of which there is evidence.
        latency_s: quantiles over all classes: mean of the decisions' values, and the worst; None without a request.
    """

    name: str
    from_s: float
    until_s: float
    decisions: int
    classes: tuple[ClassQuality, ...]
    latency_s: Mapping[str, tuple[float, float] | None]


class PhaseFold:
    """Gathers the phases of an event by the decisions that fall into each; none of them is held.

    Args:
        start_s, end_s: of the event.
    """

    def __init__(self, start_s: float, end_s: float) -> None:
        self._edges_s = start_s, end_s
        self._parts = {name: _Phase() for name in _NAMES}
        self._first_s: float | None = None
        self._last_s = end_s

    def take(self, tick: Kept) -> None:
        """Take the next decision."""
        start_s, end_s = self._edges_s
        self._first_s = tick.time_s if self._first_s is None else self._first_s
        self._last_s = max(self._last_s, tick.time_s)
        name = "before" if tick.time_s < start_s else "during" if tick.time_s < end_s else "after"
        self._parts[name].take(tick.payload)

    def phases(self) -> tuple[Phase, ...]:
        """Before, during and after; none where there was no decision."""
        if self._first_s is None:
            return ()
        start_s, end_s = self._edges_s
        spans = (min(start_s, self._first_s), start_s), (start_s, end_s), (end_s, self._last_s)
        return tuple(
            Phase(
                name=name,
                from_s=from_s,
                until_s=until_s,
                decisions=part.decisions,
                classes=tuple(part.classes[class_id].quality(class_id) for class_id in sorted(part.classes)),
                latency_s={latency: part.latency(latency) for latency in _LATENCIES},
            )
            for (name, part), (from_s, until_s) in zip(self._parts.items(), spans, strict=True)
        )


def phases(ticks: Iterable[Kept], start_s: float, end_s: float) -> tuple[Phase, ...]:
    """The phases of an event, by the decisions that fell into each."""
    fold = PhaseFold(start_s, end_s)
    for tick in ticks:
        fold.take(tick)
    return fold.phases()


@dataclass(slots=True)
class _Class:
    """One class in one phase: the first and the last of its counters."""

    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    burnt_frac: float | None = None
    most_queued: int | None = None

    def take(self, told: Mapping[str, Any]) -> None:
        for name in _COUNTERS:
            if name in told:
                self.first.setdefault(name, told[name])
                self.last[name] = told[name]
                self.times[name] += 1
        if told.get("quality_burnt_frac") is not None:
            self.burnt_frac = told["quality_burnt_frac"]
        if "queued" in told:
            self.most_queued = max(told["queued"], self.most_queued or 0)

    def quality(self, class_id: str) -> ClassQuality:
        requests, finished, refused = (
            max(0.0, self.last[name] - self.first[name]) if self.times[name] > 1 else None for name in _COUNTERS
        )
        return ClassQuality(class_id, requests, finished, refused, self.burnt_frac, self.most_queued)


@dataclass(slots=True)
class _Phase:
    """One phase: its classes, and of each latency the sum, the number and the worst of the decisions' values."""

    decisions: int = 0
    classes: dict[str, _Class] = field(default_factory=dict)
    sums: dict[str, tuple[float, int, float]] = field(default_factory=dict)

    def take(self, tick: Mapping[str, Any]) -> None:
        self.decisions += 1
        for class_id, told in tick.get("classes", {}).items():
            self.classes.setdefault(class_id, _Class()).take(told)
        for name in _LATENCIES:
            value = tick.get("latency", {}).get(name)
            if value is not None:
                total, count, worst = self.sums.get(name, (0.0, 0, value))
                self.sums[name] = total + value, count + 1, max(worst, value)

    def latency(self, name: str) -> tuple[float, float] | None:
        total, count, worst = self.sums.get(name, (0.0, 0, 0.0))
        return (total / count, worst) if count else None
