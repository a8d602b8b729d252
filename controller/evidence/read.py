"""Reads the evidence of one event back from its file, without writing to it."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.errors import StoreError
from controller.evidence import desk
from controller.evidence import service as services
from controller.evidence.series import Sample, unpack
from controller.evidence.spans import AFTER_S, BEFORE_S, subject_of
from controller.grid.kept import KeptCall
from controller.model.grid import FOREVER_S, GridEvent
from controller.model.programme import Programme
from controller.settlement.baseline_profile import Baseline
from controller.store.chain import Row
from controller.store.ledger_check import between_times, opened, rows_of_kinds
from controller.store.patient import GAP_KIND
from controller.store.plain import from_plain

MAX_LISTED = 10_000
_OWN = frozenset((desk.CALL_KIND, desk.BASELINE_KIND, desk.ACCOUNT_KIND))
_WITHIN = frozenset(
    (desk.SOFTWARE_KIND, desk.TERMS_KIND, desk.LIMITS_KIND, desk.BEFORE_KIND, desk.TICK_KIND, desk.SERIES_KIND,
     desk.SERVICE_KIND, desk.ACTUATION_KIND, desk.QUALITY_KIND, GAP_KIND)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """One row: its number and hash, by which it is found in the file, and what it says."""

    sequence: int
    hash: str
    time_s: float
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """An event as it is listed.

    Attributes:
        event_id: of the call.
        state: as it was last recorded.
        rows: that are about it alone: calls, baselines, accounts.
        size_bytes: of everything recorded while it was near.
    """

    subject: str
    source: str
    event_id: str
    programme: str
    start_s: float
    end_s: float
    state: str
    rows: int
    size_bytes: int


@dataclass(slots=True)
class EventEvidence:
    """Everything that is kept of an event.

    Attributes:
        calls: records of the call, oldest first; none of a limit that came from the loss of a source.
        events: the limits as they were resolved last, one for each interval; one that was cut short ends there.
        samples: measured power, in order of time.
        ticks: decisions, oldest first.
        service: what classes got, minute by minute.
        others: commands that ended, bars, and gaps.
        first, last: rows that all of it lies between.
    """

    subject: str
    source: str
    event_id: str
    programme: Programme | None
    calls: tuple[Kept, ...]
    call: KeptCall | None
    events: tuple[GridEvent, ...]
    baseline: Baseline | None
    samples: tuple[Sample, ...]
    ticks: tuple[Kept, ...]
    service: tuple[services.ServiceMinute, ...]
    others: tuple[Kept, ...]
    software: tuple[Kept, ...]
    account: Mapping[str, Any] | None
    first: int
    last: int
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def start_s(self) -> float:
        """When the first interval begins, or was to begin."""
        if self.call is not None:
            return self.call.call.start_s
        return min(event.start_s for event in self.events)

    @property
    def end_s(self) -> float:
        """When the last interval ends, or was cut off."""
        ends = [event.end_s for event in self.events]
        return max(ends) if ends else (self.start_s if self.call is None else self.call.end_s)


def list_events(path: Path) -> tuple[Listed, ...]:
    """The events in a file, by their start.

    Raises:
        StoreError: it cannot be read.
    """
    with opened(path) as db:
        subjects: dict[str, dict[str, Any]] = {}
        for row in rows_of_kinds(db, (*_OWN, desk.LIMITS_KIND)):
            for subject, told in _mentioned(row):
                known = subjects.setdefault(subject, {"rows": 0, "state": "", "programme": ""})
                known["rows"] += row.kind in _OWN
                known.update(told)
                if len(subjects) > MAX_LISTED:
                    raise StoreError(f"{path}: more than {MAX_LISTED} events; read an extract instead")
        listed = [_listed(db, subject, told) for subject, told in subjects.items() if "start_s" in told]
    return tuple(sorted(listed, key=lambda each: each.start_s))


def _listed(db: sqlite3.Connection, subject: str, told: dict[str, Any]) -> Listed:
    source, _, event_id = subject.partition(" ")
    span = between_times(db, told["start_s"] - BEFORE_S, told["end_s"] + AFTER_S)
    size = "SELECT coalesce(sum(length(payload) + length(hash) + length(kind)), 0) FROM records "
    (size_bytes,) = db.execute(f"{size} WHERE sequence BETWEEN ? AND ?", span).fetchone()
    return Listed(subject=subject, source=source, event_id=event_id, size_bytes=size_bytes, **told)


def find(path: Path, event: str) -> Listed:
    """The event of that id, or of that source and id (``SOURCE/ID``); the latest of several that are called the same.

    Raises:
        StoreError: there is none, or those that there are differ in their source.
    """
    listed = list_events(path)
    wanted = event.partition("#")[0]
    found = [each for each in listed if wanted in (each.event_id, f"{each.source}/{each.event_id}")]
    sources = sorted({each.source for each in found})
    if len(sources) > 1:
        raise StoreError(f"event {event!r:.80} is known of {', '.join(sources)}; write SOURCE/{event}")
    if not found:
        latest = ", ".join(each.event_id for each in listed[-5:]) or "none"
        raise StoreError(f"{path}: no event {event!r:.80}; the latest are: {latest}; see: wattroute ledger list")
    return found[-1]


def is_about(row: Row, listed: Listed) -> bool:
    """Whether a row is evidence of the event."""
    if row.kind in _OWN:
        return any(subject == listed.subject for subject, _ in _mentioned(row))
    return row.kind in _WITHIN and listed.start_s - BEFORE_S <= row.time_s <= listed.end_s + AFTER_S + 60.0


def read_event(path: Path, event: str) -> EventEvidence:
    """Everything that is kept of an event.

    Raises:
        StoreError: there is no such event, or a row of it cannot be read.
    """
    listed = find(path, event)
    with opened(path) as db:
        span = between_times(db, listed.start_s - BEFORE_S - 60.0, listed.end_s + AFTER_S + 60.0)
        kept = [
            Kept(row.sequence, row.hash, row.time_s, row.kind, json.loads(row.payload))
            for row in rows_of_kinds(db, _OWN, span)
            if is_about(row, listed)
        ]
    try:
        return _assembled(listed, kept)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: evidence of {event} cannot be read: {type(error).__name__}: {error}") from error


def _assembled(listed: Listed, kept: list[Kept]) -> EventEvidence:
    by_kind: dict[str, list[Kept]] = {}
    for each in kept:
        by_kind.setdefault(each.kind, []).append(each)
    calls = by_kind.get(desk.CALL_KIND, [])
    baselines = by_kind.get(desk.BASELINE_KIND, [])
    accounts = by_kind.get(desk.ACCOUNT_KIND, [])
    call = from_plain(KeptCall, calls[-1].payload["kept"]) if calls else None
    others = [each for kind in (desk.ACTUATION_KIND, desk.QUALITY_KIND, GAP_KIND) for each in by_kind.get(kind, [])]
    return EventEvidence(
        subject=listed.subject,
        source=listed.source,
        event_id=listed.event_id,
        programme=_terms(by_kind.get(desk.TERMS_KIND, []), listed.programme),
        calls=tuple(calls),
        call=call,
        events=_events(by_kind.get(desk.LIMITS_KIND, []), listed, _cut_s(call)),
        baseline=from_plain(Baseline, baselines[-1].payload["baseline"]) if baselines else None,
        samples=_samples(kept),
        ticks=tuple(by_kind.get(desk.TICK_KIND, [])),
        service=tuple(
            services.unpack(packed) for row in by_kind.get(desk.SERVICE_KIND, []) for packed in row.payload["minutes"]
        ),
        others=tuple(sorted(others, key=lambda each: each.sequence)),
        software=tuple(by_kind.get(desk.SOFTWARE_KIND, [])),
        account=accounts[-1].payload if accounts else None,
        first=kept[0].sequence,
        last=kept[-1].sequence,
        rows={kind: len(rows) for kind, rows in by_kind.items()},
    )


def _terms(terms: list[Kept], programme: str) -> Programme | None:
    """As they were when the event began to be recorded."""
    for each in terms:
        if each.payload["programme"]["name"] == programme:
            return from_plain(Programme, each.payload["programme"])
    return None


def _cut_s(call: KeptCall | None) -> float:
    """When a call was cancelled or opted out of."""
    cuts_s = () if call is None else (call.cancelled_s, call.opted_out_s)
    return min((at_s for at_s in cuts_s if at_s is not None), default=FOREVER_S)


def _events(limits: list[Kept], listed: Listed, cut_s: float) -> tuple[GridEvent, ...]:
    """Each interval as it was resolved last; one of a call that vanished before its end is cut off there."""
    found: dict[str, GridEvent] = {}
    end_s = listed.end_s
    for each in limits:
        told = [from_plain(GridEvent, event) for event in each.payload["events"]]
        present = {
            event.event_id: event for event in told if subject_of(event.source, event.event_id) == listed.subject
        }
        if present:  # what has not ended and is told no more was taken back
            found = {name: event for name, event in found.items() if event.end_s <= each.time_s} | present
        ends = [span["end_s"] for span in each.payload["spans"] if span["subject"] == listed.subject]
        end_s = ends[-1] if ends else end_s
    end_s = min(end_s, cut_s)
    cut = [
        dataclasses.replace(event, end_s=min(event.end_s, end_s)) for event in found.values() if event.start_s < end_s
    ]
    return tuple(sorted(cut, key=lambda event: event.start_s))


def _samples(kept: list[Kept]) -> tuple[Sample, ...]:
    found = {
        sample.time_s: sample
        for each in kept
        if each.kind in (desk.TICK_KIND, desk.SERIES_KIND, desk.BEFORE_KIND)
        for sample in unpack(each.payload["samples"])
    }
    return tuple(found[time_s] for time_s in sorted(found))


def _mentioned(row: Row) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events that a row is about, with what it tells of them."""
    if row.kind not in (*_OWN, desk.LIMITS_KIND):
        return
    payload = json.loads(row.payload)
    if row.kind == desk.LIMITS_KIND:
        for span in payload["spans"]:
            told = {name: span[name] for name in ("programme", "start_s", "end_s")}
            yield span["subject"], told
    elif row.kind == desk.CALL_KIND:
        call = payload["kept"]["call"]
        cuts_s = [payload["kept"][name] for name in ("cancelled_s", "opted_out_s")]
        end_s = min([call["intervals"][-1]["end_s"], *(cut_s for cut_s in cuts_s if cut_s is not None)])
        yield (
            subject_of(call["source"], call["call_id"]),
            {
                "programme": call["programme"],
                "start_s": call["intervals"][0]["start_s"],
                "end_s": end_s,
                "state": payload["action"],
            },
        )
    elif row.kind == desk.BASELINE_KIND:
        yield payload["call"], {}
    else:
        yield payload["subject"], {}
