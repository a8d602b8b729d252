"""What a report says, as figures: of one event, from its evidence alone; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controller.evidence.account import Settled, SettledFold
from controller.evidence.flow import Flowing
from controller.evidence.read import EventEvidence
from controller.evidence.series import Sample
from controller.evidence.service import ServiceMinute
from controller.evidence.spans import AFTER_S, BEFORE_S
from controller.report.class_service import Promise, ServiceRow, minute_rows, phase_rows, promises
from controller.report.power_line import PowerLine
from controller.report.service_quality import Phase, PhaseFold
from controller.settlement.intervals import Interval
from controller.store.chain import Head

_TOLERANCE_W = 0.5
"""By which the recorded account may differ from the one made anew: samples are kept to 0.1 W."""


class Standing(StrEnum):
    """How an event stands as the report is made."""

    PENDING = "pending"
    UNDER_WAY = "preliminary: the event is under way"
    FINAL = "final"
    SETTLING = "preliminary: the hour after the end is not over"
    CANCELLED = "cancelled"
    OPTED_OUT = "opted out of by the operator"


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """One settlement interval, for tables and files; power in kW."""

    event_id: str
    start_s: float
    end_s: float
    limit_kw: float
    baseline_kw: float | None
    committed_kw: float | None
    measured_kw: float | None
    highest_kw: float | None
    delivered_kw: float | None
    performance_frac: float | None
    quality: str | None
    covered_frac: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a report says.

    Attributes:
        standing: whether the figures are final.
        power: its course, as (times in s, kW), thinned.
        parts: each interval of the call, settled.
        rows: all settlement intervals.
        phases: what requests got, by decisions.
        promised: to each class.
        service_minutes, service_phases: what classes got, as the routers counted it.
        qualities: how many samples were measured, estimated, emulated or missing.
        agrees: whether the account recorded at the end says the same; None where there is none.
        head: of the checked file.
        late: samples that came too late to be put in their place; they are in none of the figures.
    """

    evidence: EventEvidence
    made_s: float
    standing: Standing
    power: tuple[tuple[float, ...], tuple[float | None, ...]]
    parts: tuple[Settled, ...]
    rows: tuple[IntervalRow, ...]
    phases: tuple[Phase, ...]
    promised: Mapping[str, Promise]
    service_minutes: tuple[ServiceRow, ...]
    service_phases: tuple[ServiceRow, ...]
    qualities: Mapping[str, int]
    agrees: bool | None
    head: Head
    file: str
    late: int = 0

    @property
    def is_emulated(self) -> bool:
        """Whether any power in it is emulated."""
        return self.qualities.get("emulated", 0) > 0

    @property
    def gaps(self) -> tuple[Mapping[str, Any], ...]:
        """Stretches of which there is no evidence, and why."""
        return self.evidence.gaps


def findings(evidence: EventEvidence, flow: Iterable[Flowing], head: Head, file: str, now_s: float) -> Findings:
    """Judge an event by its evidence.

    Args:
        evidence: of the event.
        flow: its samples, decisions and minutes of service, see `controller.evidence.flow`.
        head: of its file, whose chain was checked.
        file: name of that file.
        now_s: the present.
    """
    start_s, end_s = evidence.start_s, min(evidence.end_s, max(now_s, evidence.start_s))
    account = SettledFold(evidence.events, evidence.programme, evidence.baseline, now_s)
    phases = PhaseFold(start_s, end_s)
    line = PowerLine(start_s - BEFORE_S - 60.0, end_s + AFTER_S + 60.0)
    minutes: list[ServiceMinute] = []
    qualities: Counter[str] = Counter()
    for each in flow:
        if isinstance(each, Sample):
            account.take(each)
            line.take(each)
            if start_s <= each.time_s < evidence.end_s:
                qualities["missing" if each.power_w is None else each.quality or "unknown"] += 1
        elif isinstance(each, ServiceMinute):
            minutes.append(each)
        else:
            phases.take(each)
    parts = account.settled()
    promised = promises([each.payload for each in evidence.software])
    return Findings(
        evidence=evidence,
        made_s=now_s,
        standing=_standing(evidence, now_s),
        power=line.points(),
        parts=parts,
        rows=tuple(row for part in parts for row in _rows(part)),
        phases=phases.phases(),
        promised=promised,
        service_minutes=minute_rows(minutes, promised, start_s, end_s),
        service_phases=phase_rows(minutes, promised, start_s, end_s),
        qualities=dict(qualities),
        agrees=_agrees(parts, evidence.account),
        head=head,
        file=file,
    )


def _standing(evidence: EventEvidence, now_s: float) -> Standing:
    kept = evidence.call
    if kept is not None and kept.cancelled_s is not None and kept.cancelled_s < kept.call.end_s:
        return Standing.CANCELLED
    if kept is not None and kept.opted_out_s is not None:
        return Standing.OPTED_OUT
    if now_s < evidence.start_s:
        return Standing.PENDING
    if now_s < evidence.end_s:
        return Standing.UNDER_WAY
    return Standing.FINAL if evidence.account is not None or now_s >= evidence.end_s + 3600.0 else Standing.SETTLING


def _rows(part: Settled) -> tuple[IntervalRow, ...]:
    return tuple(
        IntervalRow(
            event_id=part.event.event_id,
            start_s=each.start_s,
            end_s=each.end_s,
            limit_kw=part.event.limit_w / 1e3,
            baseline_kw=_kw(each.baseline_w),
            committed_kw=_kw(each.committed_w),
            measured_kw=_kw(each.mean_w),
            highest_kw=_kw(each.highest_w),
            delivered_kw=_kw(each.delivered_w),
            performance_frac=each.performance_frac,
            quality=None if each.quality is None else each.quality.value,
            covered_frac=each.covered_frac,
            verdict=_verdict(each),
        )
        for each in part.intervals
    )


def _verdict(interval: Interval) -> str:
    if interval.is_missing:
        return "MISSING"
    if interval.over_limit:
        return "over the limit"
    return "short" if interval.is_short else "kept"


def _kw(watts: float | None) -> float | None:
    return None if watts is None else watts / 1e3


def _agrees(parts: tuple[Settled, ...], account: Mapping[str, Any] | None) -> bool | None:
    if account is None:
        return None
    recorded = [
        each["delivered_w"]
        for interval in account["intervals"]
        if interval["settlement"] is not None
        for each in interval["settlement"]["intervals"]
    ]
    made = [
        each.delivered_w for part in parts if part.account is not None for each in part.account.settlement.intervals
    ]
    return len(recorded) == len(made) and all(
        (a is None) == (b is None) and abs((a or 0.0) - (b or 0.0)) <= _TOLERANCE_W
        for a, b in zip(recorded, made, strict=True)
    )
