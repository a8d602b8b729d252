"""Reads the evidence of one event back from its file, without writing to it.

What grows with the length of the event (samples, decisions, minutes of service) is not held: `controller.evidence.flow`
passes it by.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.errors import StoreError
from controller.evidence import desk
from controller.evidence.listing import OWN, Listed, find, is_about
from controller.evidence.spans import AFTER_S, BEFORE_S
from controller.grid.kept import KeptCall
from controller.model.call import call_key
from controller.model.grid import FOREVER_S, GridEvent
from controller.model.programme import Programme
from controller.settlement.baseline_profile import Baseline
from controller.store.ledger_check import between_times, opened, rows_of_kinds
from controller.store.patient import GAP_KIND
from controller.store.plain import from_plain
from controller.utc_text import utc_text

FLOWING = frozenset((desk.TICK_KIND, desk.SERIES_KIND, desk.BEFORE_KIND, desk.SERVICE_KIND))
"""Kinds of rows of which there are the more the longer an event is."""
_SAME_W = 0.05
"""By which limits of one interval may differ without being another."""
_UNREAD = frozenset((*FLOWING, desk.ACTUATION_KIND, desk.QUALITY_KIND))


@dataclass(frozen=True, slots=True)
class Kept:
    """One row: its number and hash, by which it is found in the file, and what it says."""

    sequence: int
    hash: str
    time_s: float
    kind: str
    payload: Mapping[str, Any]


@dataclass(slots=True)
class EventEvidence:
    """What is kept of an event, but for what flows.

    Attributes:
        listed: by which it was found.
        calls: records of the call, oldest first; none of a limit that came from the loss of a source.
        events: the limits as they were resolved last, one for each interval; one that was cut short ends there.
        others: ids of other events that were in force while this one was, with their sources; none of a limit that
            is held over after its end.
        gaps: stretches without evidence.
        first, last: rows that all of it lies between.
        rows: how many there are of each kind.
    """

    listed: Listed
    programme: Programme | None
    calls: tuple[Kept, ...]
    call: KeptCall | None
    events: tuple[GridEvent, ...]
    baseline: Baseline | None
    others: tuple[str, ...]
    gaps: tuple[Mapping[str, Any], ...]
    software: tuple[Kept, ...]
    account: Mapping[str, Any] | None
    first: int
    last: int
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Who asked for it."""
        return self.listed.source

    @property
    def event_id(self) -> str:
        """Its name with that source."""
        return self.listed.event_id

    @property
    def start_s(self) -> float:
        """When the first interval begins, or was to begin."""
        starts = [event.start_s for event in self.events]
        return min(starts if self.call is None else [self.call.call.start_s, *starts])

    @property
    def end_s(self) -> float:
        """When the last interval ends, or was cut off."""
        ends = [event.end_s for event in self.events]
        return max(ends) if ends else (self.start_s if self.call is None else self.call.end_s)


def read_event(path: Path, event: str) -> EventEvidence:
    """Everything that is kept of an event.

    Raises:
        StoreError: there is no such event, or a row of it cannot be read.
    """
    return read_listed(path, find(path, event))


def read_listed(path: Path, listed: Listed) -> EventEvidence:
    """Everything that is kept of an event that was found.

    Raises:
        StoreError: a row of it cannot be read.
    """
    counts: Counter[str] = Counter()
    kept: list[Kept] = []
    first = last = 0
    with opened(path) as db:
        span = between_times(db, listed.start_s - BEFORE_S - 60.0, listed.end_s + AFTER_S + 60.0)
        for row in rows_of_kinds(db, OWN, span):
            if not is_about(row, listed):
                continue
            first, last = first or row.sequence, row.sequence
            counts[row.kind] += 1
            if row.kind not in _UNREAD:
                kept.append(Kept(row.sequence, row.hash, row.time_s, row.kind, json.loads(row.payload)))
    try:
        return _assembled(listed, kept, first, last, dict(counts))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path}: evidence of {listed.event_id} cannot be read: {type(error).__name__}: {error}"
        ) from error


def _assembled(listed: Listed, kept: list[Kept], first: int, last: int, counts: dict[str, int]) -> EventEvidence:
    by_kind: dict[str, list[Kept]] = {}
    for each in kept:
        by_kind.setdefault(each.kind, []).append(each)
    calls = by_kind.get(desk.CALL_KIND, [])
    baselines = by_kind.get(desk.BASELINE_KIND, [])
    accounts = by_kind.get(desk.ACCOUNT_KIND, [])
    call = from_plain(KeptCall, calls[-1].payload["kept"]) if calls else None
    limits = by_kind.get(desk.LIMITS_KIND, [])
    events = _events(limits, listed, _cut_s(call))
    return EventEvidence(
        listed=listed,
        programme=_terms(by_kind.get(desk.TERMS_KIND, []), listed.programme),
        calls=tuple(calls),
        call=call,
        events=events,
        baseline=from_plain(Baseline, baselines[-1].payload["baseline"]) if baselines else None,
        others=_others(limits, listed, events),
        gaps=tuple(each.payload for each in by_kind.get(GAP_KIND, [])),
        software=_changes(by_kind.get(desk.SOFTWARE_KIND, [])),
        account=accounts[-1].payload if accounts else None,
        first=first,
        last=last,
        rows=counts,
    )


def _changes(told: list[Kept]) -> tuple[Kept, ...]:
    """Without those that say the same as the one before, which were told for another event."""
    return tuple(
        each for before, each in zip([None, *told], told, strict=False) if not before or before.payload != each.payload
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
    """Each interval as it was in force; one of a call that vanished before its end is cut off there."""
    course = _Course()
    end_s = listed.end_s
    for each in limits:
        told = [from_plain(GridEvent, event) for event in each.payload["events"]]
        present = [
            event
            for event, plain in zip(told, each.payload["events"], strict=True)
            if call_key(event.source, event.event_id) == listed.subject and listed.overlaps(plain)
        ]
        if present:
            course.take(each.time_s, {event.event_id: event for event in present})
        spans = (span for span in each.payload["spans"] if span["subject"] == listed.subject and listed.overlaps(span))
        ends = [span["end_s"] for span in spans]
        end_s = ends[-1] if ends else end_s
    end_s = min(end_s, cut_s)
    cut = [
        dataclasses.replace(event, end_s=min(event.end_s, end_s)) for event in course.events if event.start_s < end_s
    ]
    return tuple(sorted(cut, key=lambda event: event.start_s))


def _others(limits: list[Kept], listed: Listed, events: tuple[GridEvent, ...]) -> tuple[str, ...]:
    """Other calls of which a limit was in force at a time of these; one that was taken back before it began was not."""
    known: dict[str, tuple[float, float]] = {}
    for each in limits:
        told = {span["subject"]: (span["start_s"], span["end_s"]) for span in each.payload["spans"]}
        known = {name: span for name, span in known.items() if name in told or span[0] <= each.time_s} | told
    known.pop(listed.subject, None)
    return tuple(
        subject.replace(" ", "/", 1)
        for subject, (start_s, end_s) in known.items()
        if any(event.start_s < end_s and event.end_s > start_s for event in events)
    )


class _Course:
    """The intervals of a call through its changes: what was in force stays as it was, what had not begun does not.

    What is begun anew since its sender changed it has a ramp of its own. What is since the operator follows it in part,
    or in another part, has none: what was asked for goes on, and no time of it is left out of the account.
    """

    def __init__(self) -> None:
        self._past: list[GridEvent] = []
        self._known: dict[str, GridEvent] = {}
        self._anew_s: dict[str, float] = {}
        self._without_ramp: set[str] = set()

    @property
    def events(self) -> tuple[GridEvent, ...]:
        """All of them; one whose limit was changed is several, each of a name of its own."""
        return (*self._past, *self._known.values())

    def take(self, now_s: float, present: Mapping[str, GridEvent]) -> None:
        """What is told at a time of those that are not over."""
        for name, known in tuple(self._known.items()):
            if known.end_s > now_s and name not in present:  # it was taken back
                self._known.pop(name)
                if known.start_s < now_s:
                    self._past.append(dataclasses.replace(known, end_s=now_s))
        for name, event in present.items():
            self._known[name] = self._continued(name, event, now_s)

    def _continued(self, name: str, event: GridEvent, now_s: float) -> GridEvent:
        """One that goes on; a limit that was changed once the ramp was over begins anew."""
        known = self._known.get(name)
        is_firm = known is not None and known.start_s + known.ramp_s < now_s < known.end_s
        if known is not None and is_firm and not (_is_same(known.limit_w, event.limit_w) and _is_asked(known, event)):
            until = f"{name} until {utc_text(now_s)}"
            self._past.append(dataclasses.replace(known, event_id=until, end_s=now_s))
            self._anew_s[name] = now_s
            (self._without_ramp.add if _is_asked(known, event) else self._without_ramp.discard)(name)
        ramp_s = 0.0 if name in self._without_ramp else event.ramp_s
        start_s = max(event.start_s, self._anew_s.get(name, event.start_s))
        return dataclasses.replace(event, start_s=start_s, ramp_s=ramp_s)


def _is_same(one_w: float, other_w: float) -> bool:
    return abs(one_w - other_w) <= _SAME_W


def _is_asked(known: GridEvent, event: GridEvent) -> bool:
    """Whether both ask for the same, however far it is followed."""
    return _is_same(known.due_w, event.due_w)
