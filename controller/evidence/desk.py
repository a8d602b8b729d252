"""Records the evidence of events as they happen: a recorder between the loop and the ledger, which passes all on.

Every call, refusal and frozen baseline is kept; samples, decisions, ends of commands and bars from a quarter of an
hour before an event until an hour after it. Evidence has a file of its own because the rolling ledger lets go of its
rows by their number, after days, and evidence must last for years.

Evidence that cannot be written waits in memory, and is told as a gap where even that does not do; the control goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from controller.errors import StoreError
from controller.evidence import distil
from controller.evidence import service as services
from controller.evidence.series import Sample, pack, sample_of
from controller.evidence.service import ServiceClock, ServiceMinute
from controller.evidence.spans import AFTER_S, BEFORE_S, Span, closed, seen
from controller.model.programme import Programme
from controller.model.service import ServiceSource
from controller.store.ledger import Journal, Record
from controller.store.patient import GAP_KIND, PatientLedger
from controller.store.plain import to_plain

log = logging.getLogger(__name__)

CALL_KIND, REFUSED_KIND, BASELINE_KIND, QUALITY_KIND = "call", "call_refused", "baseline", "quality"
READINGS_KIND = "meter_day"
SAMPLE_KIND, DECISION_KIND, ACTUATION_KIND = "sample", "decision", "actuation"
SOFTWARE_KIND, TERMS_KIND, LIMITS_KIND, BEFORE_KIND = "software", "terms", "limits", "before"
TICK_KIND, SERIES_KIND, SERVICE_KIND, ACCOUNT_KIND = "tick", "series", "service", "account"
ALWAYS = frozenset((CALL_KIND, REFUSED_KIND, BASELINE_KIND, READINGS_KIND))
WHILE_NEAR = frozenset((ACTUATION_KIND, QUALITY_KIND))
MAX_WAITING = 2000
SERIES_LEN = 30
"""Samples after which they are written even where no decision comes."""
STANDING_LEN = 60
ABSENT_S = 10.0
"""An event under way without evidence for longer than this has a gap; twice as long as a sample stands."""
MAX_MINUTES = 32
"""Minutes of service that wait to be written; more than those from before an event."""
Closer = Callable[[Span], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class EvidenceParts:
    """What the desk works with.

    Attributes:
        ledger: the rolling one; a failure of it is passed on.
        evidence: the file of evidence.
        programmes: terms by name.
        software: version, configuration and fleet, told once for each event that is recorded.
        close: makes the account of an event that is over; None where there is none.
    """

    ledger: Journal
    evidence: PatientLedger
    programmes: Mapping[str, Programme]
    software: Mapping[str, Any]
    close: Closer = lambda span: None


class EvidenceDesk:
    """A `Recorder`; safe to call from several threads."""

    def __init__(self, parts: EvidenceParts) -> None:
        self._parts = parts
        self._guard = threading.Lock()
        self._spans: dict[str, Span] = {}
        self._samples: deque[Sample] = deque(maxlen=4 * MAX_WAITING)
        self._past: deque[Sample] = deque(maxlen=int(BEFORE_S))
        self._told: dict[str, Any] = {}
        self._near: set[str] = set()
        self._terms: set[str] = set()
        self._limits: Any = None
        self._is_recording = False
        self._last_s: float | None = None
        self._latency: dict[str, Any] = {}
        self._service = ServiceClock()
        self._minutes: deque[ServiceMinute] = deque(maxlen=MAX_MINUTES)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="accounts")

    def resume(self, now_s: float) -> None:
        """Go on with the events that a former process was recording."""
        file = self._parts.evidence.ledger
        last, limits = file.records(last=1), file.records(LIMITS_KIND, last=1)
        self._last_s = last[0].time_s if last else None
        if limits:
            spans = [Span(**span) for span in limits[0].payload["spans"]]
            self._spans = {span.key: span for span in spans if now_s < span.end_s + AFTER_S}

    def see(self, now_s: float, latency: Mapping[str, Any], service: ServiceSource) -> None:
        """Remember the latency of the last seconds and what classes got, for the next decision's evidence.

        Called by one thread alone; nothing is written.
        """
        self._latency = dict(latency)
        edges_s = [edge_s for span in self._spans.values() for edge_s in (span.start_s, span.end_s)]
        step_s = services.STANDING_S if self._is_thin(now_s) else services.MINUTE_S
        minute = self._service.take(now_s, service, edges_s=edges_s, step_s=step_s)
        if minute is not None:
            self._minutes.append(minute)

    def record(self, kind: str, time_s: float, payload: dict[str, Any]) -> None:
        """Pass a record on to the ledger, and keep what of it is evidence.

        Raises:
            StoreError: one of both could not be written; the other was.
        """
        try:
            self._parts.ledger.record(kind, time_s, payload)
        except StoreError:
            if kind not in ALWAYS:  # a call that is not recorded is not taken in: no evidence of it either
                self._keep(kind, time_s, payload)
            raise
        error = self._keep(kind, time_s, payload)
        if error is not None and kind not in (*ALWAYS, *WHILE_NEAR):
            raise error

    def records(self, kind: str | None = None, *, last: int | None = None) -> list[Record]:
        """Records of the rolling ledger."""
        return self._parts.ledger.records(kind, last=last)

    def close(self) -> None:
        """Write what waits, and wait for the accounts that are being made."""
        with self._guard:
            if self._samples and self._is_recording:
                self._tried(SERIES_KIND, self._samples[-1].time_s, {"samples": self._taken()})
        self._worker.shutdown(wait=True)

    def _keep(self, kind: str, time_s: float, payload: dict[str, Any]) -> StoreError | None:
        with self._guard:
            if kind == SAMPLE_KIND:
                return self._take_sample(sample_of(time_s, payload))
            if kind == DECISION_KIND:
                return self._take_decision(time_s, payload)
            if kind in ALWAYS or (kind in WHILE_NEAR and self._is_recording):
                return self._tried(kind, time_s, payload)
        return None

    def _take_sample(self, sample: Sample) -> StoreError | None:
        self._past.append(sample)
        if not self._is_recording:
            return None
        self._samples.append(sample)
        if len(self._samples) < (STANDING_LEN if self._is_thin(sample.time_s) else SERIES_LEN):
            return None
        return self._tried(SERIES_KIND, sample.time_s, {"samples": self._taken()})

    def _take_decision(self, now_s: float, record: Mapping[str, Any]) -> StoreError | None:
        events = [event for event in record["observation"]["events"] if not event.get("is_held_over")]
        before, self._spans = self._spans, seen(self._spans, events, now_s)
        for span in closed(before, self._spans):
            self._worker.submit(self._account, span, now_s)
        known, self._near = self._near, {key for key, span in self._spans.items() if span.is_near(now_s)}
        if not self._near:
            return self._rest(now_s)
        errors = self._begin_anew(now_s) if self._near - known else []
        limits = {"events": events, "spans": to_plain(tuple(self._spans.values()))}
        errors += self._tell_terms(now_s)
        if limits != self._limits:
            self._limits = limits
            errors.append(self._tried(LIMITS_KIND, now_s, limits))
        if not (self._is_thin(now_s) and len(self._samples) < STANDING_LEN // 2):
            tick = distil.tick_of(record, self._latency, self._told)
            self._told = distil.carried(tick, self._told)
            errors.append(self._tried(TICK_KIND, now_s, {**tick, "samples": self._taken()}))
        errors.append(self._tell_service(now_s))
        return next((error for error in errors if error is not None), None)

    def _begin_anew(self, now_s: float) -> list[StoreError | None]:
        """An event is near: what was told before, while others were recorded, is no part of its evidence."""
        self._told, self._limits = {}, None
        self._terms.clear()
        last_s = self._last_s or 0.0
        error = self._tried(SOFTWARE_KIND, now_s, dict(self._parts.software))
        return [error] if self._is_recording else [error, *self._begin(now_s, last_s)]

    def _begin(self, now_s: float, last_s: float) -> list[StoreError | None]:
        """A stretch begins: what was before it, and what of an event under way is missing since the last row."""
        self._is_recording = True
        while self._minutes and self._minutes[0].until_s < now_s - BEFORE_S:
            self._minutes.popleft()
        errors: list[StoreError | None] = []
        under_way = [span.start_s for span in self._spans.values() if span.start_s < now_s]
        if under_way:
            known_s = self._past[0].time_s if self._past else now_s
            from_s = max(min(under_way), last_s)
            if known_s - from_s > ABSENT_S:
                gap = {"from_s": from_s, "until_s": known_s, "lost": None, "reason": "no controller was recording"}
                errors.append(self._tried(GAP_KIND, now_s, gap))
        errors.append(self._tried(BEFORE_KIND, now_s, {"samples": pack(tuple(self._past))}))
        return errors

    def _rest(self, now_s: float) -> StoreError | None:
        if not self._is_recording:
            return None
        self._is_recording = False
        self._tell_service(now_s)
        return self._tried(SERIES_KIND, now_s, {"samples": self._taken()})

    def _tell_terms(self, now_s: float) -> list[StoreError | None]:
        """Keep the terms of each programme as they are now: the configuration may change later."""
        errors = []
        for span in self._spans.values():
            programme = self._parts.programmes.get(span.programme)
            if span.programme not in self._terms and programme is not None:
                self._terms.add(span.programme)
                errors.append(self._tried(TERMS_KIND, now_s, {"programme": to_plain(programme)}))
        return errors

    def _tell_service(self, now_s: float) -> StoreError | None:
        """Write the minutes that are over."""
        told = [services.pack(self._minutes.popleft()) for _ in range(len(self._minutes))]
        return self._tried(SERVICE_KIND, now_s, {"minutes": told}) if told else None

    def _is_thin(self, now_s: float) -> bool:
        """Whether nothing but standing limits is recorded."""
        near = [span for span in self._spans.values() if span.is_near(now_s)]
        return bool(near) and all(span.is_standing(now_s) for span in near)

    def _taken(self) -> dict[str, Any]:
        samples = tuple(self._samples)
        self._samples.clear()
        return pack(samples)

    def _tried(self, kind: str, time_s: float, payload: dict[str, Any]) -> StoreError | None:
        try:
            self._parts.evidence.record(kind, time_s, payload)
        except StoreError as error:
            return error
        self._last_s = time_s
        return None

    def _account(self, span: Span, now_s: float) -> None:
        try:
            account = self._parts.close(span)
            if account is not None:
                self._parts.evidence.record(ACCOUNT_KIND, now_s, {"subject": span.subject, **account})
        except (StoreError, ValueError) as error:  # the report makes it from the same rows
            log.error("account of an event not recorded", extra={"subject": span.subject, "reason": str(error)})
        else:
            log.info("event is over and accounted for", extra=dataclasses.asdict(span))
