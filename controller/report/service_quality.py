"""What requests got before, during and after an event, from the counters and quantiles kept at each decision; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from controller.evidence.read import Kept

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


def phases(ticks: Sequence[Kept], start_s: float, end_s: float) -> tuple[Phase, ...]:
    """The phases of an event, by the decisions that fell into each."""
    if not ticks:
        return ()
    first_s, last_s = min(start_s, ticks[0].time_s), max(end_s, ticks[-1].time_s)
    spans = (("before", first_s, start_s), ("during", start_s, end_s), ("after", end_s, last_s))
    return tuple(_phase(name, from_s, until_s, ticks) for name, from_s, until_s in spans)


def _phase(name: str, from_s: float, until_s: float, ticks: Sequence[Kept]) -> Phase:
    within = [tick.payload for tick in ticks if from_s <= tick.time_s < until_s]
    classes = sorted({class_id for tick in within for class_id in tick.get("classes", {})})
    return Phase(
        name=name,
        from_s=from_s,
        until_s=until_s,
        decisions=len(within),
        classes=tuple(_class(class_id, within) for class_id in classes),
        latency_s={name: _latency(name, within) for name in _LATENCIES},
    )


def _class(class_id: str, ticks: Sequence[Mapping[str, Any]]) -> ClassQuality:
    told = [tick["classes"][class_id] for tick in ticks if class_id in tick.get("classes", {})]

    def grown(name: str) -> float | None:
        values = [each[name] for each in told if name in each]
        return max(0.0, values[-1] - values[0]) if len(values) > 1 else None

    burnt = [each["quality_burnt_frac"] for each in told if each.get("quality_burnt_frac") is not None]
    queued = [each["queued"] for each in told if "queued" in each]
    return ClassQuality(
        class_id,
        grown("requests"),
        grown("finished"),
        grown("refused"),
        burnt[-1] if burnt else None,
        max(queued, default=None),
    )


def _latency(name: str, ticks: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    values = [value for tick in ticks if (value := tick.get("latency", {}).get(name)) is not None]
    return (fmean(values), max(values)) if values else None
