"""What classes got before, during and after an event and minute by minute, beside what they are promised; pure.

A stretch of which no look at the routers tells is missing: no figure of it is zero. The promises are means over
requests, so that a mean is what is held against them; quantiles stand beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.evidence.service import NO_SERVICE, ServiceMinute
from controller.model.service import ClassService, Latencies, summed


@dataclass(frozen=True, slots=True)
class Promise:
    """What a class is promised; None where the evidence does not tell."""

    ttft_s: float | None = None
    itl_s: float | None = None
    quality_budget_frac: float | None = None


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Latencies of one class; None without any that was measured.

    Attributes:
        count: of requests that tell.
        promised_s: their mean; None where the evidence does not tell.
    """

    count: float | None
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    promised_s: float | None

    @property
    def is_kept(self) -> bool | None:
        """Whether the promise was kept; None where that is not known."""
        if self.mean_s is None or self.promised_s is None:
            return None
        return self.mean_s <= self.promised_s


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """What one class got in one stretch of time; None is what is not known.

    Attributes:
        phase: before, during or after.
        heard_frac: share of the stretch for which every router told.
        failed: attempts at engines that ended badly, by no doing of the client.
    """

    phase: str
    class_id: str
    from_s: float
    until_s: float
    heard_frac: float
    requests: float | None
    finished: float | None
    refused: float | None
    failed: float | None
    input_tokens: float | None
    output_tokens: float | None
    outcomes: Mapping[str, float]
    ttft: LatencyFigures
    itl: LatencyFigures


def promises(software: Sequence[Mapping[str, Any]]) -> dict[str, Promise]:
    """What each class is promised, as it stood when the event began to be recorded."""
    classes = software[0].get("classes", {}) if software else {}
    return {
        class_id: Promise(told.get("ttft_slo_s"), told.get("itl_slo_s"), told.get("quality_budget_frac"))
        for class_id, told in classes.items()
    }


def minute_rows(
    minutes: Sequence[ServiceMinute], promised: Mapping[str, Promise], start_s: float, end_s: float
) -> tuple[ServiceRow, ...]:
    """One row a minute and class."""
    return tuple(
        _row(_phase_of(minute, start_s, end_s), class_id, (minute,), (minute.from_s, minute.until_s), promised)
        for minute in minutes
        for class_id in sorted({*promised, *minute.classes})
    )


def phase_rows(
    minutes: Sequence[ServiceMinute], promised: Mapping[str, Promise], start_s: float, end_s: float
) -> tuple[ServiceRow, ...]:
    """One row a phase and class; nothing where no minute was kept, as by versions that did not."""
    if not minutes:
        return ()
    last_s = max(end_s, minutes[-1].until_s)
    spans = {"before": (min(start_s, minutes[0].from_s), start_s), "during": (start_s, end_s), "after": (end_s, last_s)}
    classes = sorted({*promised, *(class_id for minute in minutes for class_id in minute.classes)})
    within: dict[str, list[ServiceMinute]] = {name: [] for name in spans}
    for minute in minutes:
        within[_phase_of(minute, start_s, end_s)].append(minute)
    return tuple(
        _row(name, class_id, within[name], span, promised)
        for name, span in spans.items()
        if span[1] > span[0]
        for class_id in classes
    )


def _phase_of(minute: ServiceMinute, start_s: float, end_s: float) -> str:
    middle_s = 0.5 * (minute.from_s + minute.until_s)
    return "before" if middle_s < start_s else "during" if middle_s < end_s else "after"


def _row(
    phase: str,
    class_id: str,
    minutes: Sequence[ServiceMinute],
    span: tuple[float, float],
    promised: Mapping[str, Promise],
) -> ServiceRow:
    told = [minute for minute in minutes if _is_told(minute, class_id)]
    heard_s = sum((minute.until_s - minute.from_s) * minute.heard_frac for minute in told)
    service = summed(minute.classes[class_id] for minute in told) if told else None
    left_out = {name for minute in told for name in minute.left_out}
    promise = promised.get(class_id, Promise())
    latencies = None if service is None else service.ttft, None if service is None else service.itl
    return ServiceRow(
        phase=phase,
        class_id=class_id,
        from_s=span[0],
        until_s=span[1],
        heard_frac=min(1.0, heard_s / (span[1] - span[0])),
        **_counts(service, left_out),
        outcomes={} if service is None else service.outcomes,
        ttft=_figures(None if "ttft_s" in left_out else latencies[0], promise.ttft_s),
        itl=_figures(None if "itl_s" in left_out else latencies[1], promise.itl_s),
    )


def _is_told(minute: ServiceMinute, class_id: str) -> bool:
    """Whether it is known what the class got: all of it, or what those routers told that answered."""
    service = minute.classes.get(class_id)
    return service is not None and (minute.whole_looks > 0 or service != NO_SERVICE)


def _counts(service: ClassService | None, left_out: set[str]) -> dict[str, float | None]:
    if service is None:
        return dict.fromkeys(("requests", "finished", "refused", "failed", "input_tokens", "output_tokens"))
    return {
        "requests": service.requests,
        "finished": service.finished,
        "refused": service.refused,
        "failed": None if "outcomes" in left_out else service.failed,
        "input_tokens": service.input_tokens,
        "output_tokens": service.output_tokens,
    }


def _figures(latencies: Latencies | None, promised_s: float | None) -> LatencyFigures:
    if latencies is None:
        return LatencyFigures(None, None, None, None, None, promised_s)
    p50_s, p95_s, p99_s = (latencies.quantile_s(frac) for frac in (0.5, 0.95, 0.99))
    return LatencyFigures(latencies.count, latencies.mean_s, p50_s, p95_s, p99_s, promised_s)
