"""The events of which a file of evidence holds anything, and which of its rows are about one."""

from __future__ import annotations

import dataclasses
import json
import math
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.errors import StoreError
from controller.evidence import desk
from controller.evidence.spans import AFTER_S, BEFORE_S, Span
from controller.model.call import call_key
from controller.store.chain import Row
from controller.store.ledger_check import between_times, opened, rows_of_kinds
from controller.store.patient import GAP_KIND
from controller.utc_text import utc_text

MAX_LISTED = 10_000
OWN = frozenset((desk.CALL_KIND, desk.BASELINE_KIND, desk.ACCOUNT_KIND))
WITHIN = frozenset(
    (desk.SOFTWARE_KIND, desk.TERMS_KIND, desk.LIMITS_KIND, desk.BEFORE_KIND, desk.TICK_KIND, desk.SERIES_KIND,
     desk.SERVICE_KIND, desk.ACTUATION_KIND, desk.QUALITY_KIND, GAP_KIND)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listed:
    """An event as it is listed.

    Attributes:
        event_id: of the call.
        end_s: of what it came to: of one that was cancelled or opted out of before it began, its start.
        state: as it was last recorded.
        rows: that are about it alone: calls, baselines, accounts.
        first_row, last_row: between which rows about it alone lie; others of its id came before or after.
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
    first_row: int
    last_row: int
    size_bytes: int

    def overlaps(self, part: Mapping[str, Any]) -> bool:
        """Whether what begins at ``start_s`` and ends at ``end_s`` lies within it, at least in part."""
        return bool(part["start_s"] < self.end_s and part["end_s"] > self.start_s)


def list_events(path: Path) -> tuple[Listed, ...]:
    """The events in a file, by their start.

    Raises:
        StoreError: it cannot be read.
    """
    with opened(path) as db:
        return tuple(dataclasses.replace(each, size_bytes=_size_bytes(db, each)) for each in _known(db, path))


def _known(db: sqlite3.Connection, path: Path) -> list[Listed]:
    """The events, by their start; how large they are is not told."""
    latest: dict[str, dict[str, Any]] = {}
    every: list[tuple[str, dict[str, Any]]] = []
    for row in rows_of_kinds(db, (*OWN, desk.LIMITS_KIND)):
        for subject, told in mentioned(row):
            known = latest.get(subject)
            if known is None or _is_another(known, row, told):
                latest[subject] = _begun(row, known)
                every.append((subject, latest[subject]))
                if len(every) > MAX_LISTED:
                    raise StoreError(f"{path}: more than {MAX_LISTED} events; read an extract instead")
            known = latest[subject]
            if told.get("end_s", math.inf) <= known["after_s"]:  # of the one that had this id before
                continue
            known["rows"] += row.kind in OWN
            known.update(told)
            if "start_s" in told:
                known["start_s"] = max(told["start_s"], known["after_s"])
    listed = []
    for subject, told in every:
        if "start_s" in told:
            source, _, event_id = subject.partition(" ")
            plain = {name: value for name, value in told.items() if name != "after_s"}
            listed.append(Listed(subject=subject, source=source, event_id=event_id, size_bytes=0, **plain))
    return sorted(listed, key=lambda each: each.start_s)


def _is_another(known: dict[str, Any], row: Row, told: dict[str, Any]) -> bool:
    """Whether what is told is of a later event of the same id: the one that is known was over by then."""
    end_s = known.get("end_s")
    return end_s is not None and row.time_s >= end_s and told.get("start_s", -math.inf) >= end_s > known["start_s"]


def _begun(row: Row, before: dict[str, Any] | None) -> dict[str, Any]:
    """An event of which this is the first row; it begins no sooner than the one of its id before it was over."""
    after_s = 0.0 if before is None else before["end_s"]
    if before is not None:
        before["last_row"] = row.sequence - 1
    first = {"first_row": row.sequence, "last_row": sys.maxsize, "after_s": after_s}
    return {"rows": 0, "state": "", "programme": "", **first}


def _size_bytes(db: sqlite3.Connection, listed: Listed) -> int:
    span = between_times(db, listed.start_s - BEFORE_S, listed.end_s + AFTER_S)
    size = "SELECT coalesce(sum(length(payload) + length(hash) + length(kind)), 0) FROM records "
    (size_bytes,) = db.execute(f"{size} WHERE sequence BETWEEN ? AND ?", span).fetchone()
    return int(size_bytes)


def recorded_sites(path: Path) -> dict[str, int]:
    """The sites at which a file was recorded, with the first row that tells of each.

    Raises:
        StoreError: it cannot be read.
    """
    found: dict[str, int] = {}
    with opened(path) as db:
        for row in rows_of_kinds(db, (desk.SOFTWARE_KIND,)):
            told = json.loads(row.payload).get("site")
            if isinstance(told, str) and len(found) < MAX_LISTED:
                found.setdefault(told, row.sequence)
    return found


def find(path: Path, event: str) -> Listed:
    """The event of that id, or of that source and id (``SOURCE/ID``); the latest of several that are called the same.

    Another one of these is named by its start, or the date of that, in UTC: ``ID@2026-11-22``.

    Raises:
        StoreError: there is none, or those that there are differ in their source.
    """
    with opened(path) as db:
        listed = _known(db, path)
    wanted = event.partition("#")[0]
    found = [each for each in listed if wanted in (each.event_id, f"{each.source}/{each.event_id}")]
    if not found and "@" in wanted:
        name, _, start = wanted.rpartition("@")
        named = [each for each in listed if name in (each.event_id, f"{each.source}/{each.event_id}")]
        found = [each for each in named if start and utc_text(each.start_s).startswith(start)]
    sources = sorted({each.source for each in found})
    if len(sources) > 1:
        raise StoreError(f"event {event!r:.80} is known of {', '.join(sources)}; write SOURCE/{event}")
    if not found:
        latest = ", ".join(each.event_id for each in listed[-5:]) or "none"
        raise StoreError(f"{path}: no event {event!r:.80}; the latest are: {latest}; see: wattroute ledger list")
    with opened(path) as db:
        return dataclasses.replace(found[-1], size_bytes=_size_bytes(db, found[-1]))


def of_span(path: Path, span: Span) -> Listed | None:
    """The event that was recorded as a span; None where the file holds nothing of it.

    Raises:
        StoreError: the file cannot be read.
    """
    with opened(path) as db:
        of_it = [each for each in _known(db, path) if each.subject == span.subject]
    lies = {"start_s": span.start_s, "end_s": span.end_s}
    return next((each for each in reversed(of_it) if each.overlaps(lies)), None)


def is_about(row: Row, listed: Listed) -> bool:
    """Whether a row is evidence of the event."""
    if row.kind == desk.ACCOUNT_KIND:
        told = json.loads(row.payload)
        return told["subject"] == listed.subject and any(listed.overlaps(each) for each in told["intervals"])
    if row.kind in OWN:
        is_of_it = listed.first_row <= row.sequence <= listed.last_row
        return is_of_it and any(subject == listed.subject for subject, _ in mentioned(row))
    return row.kind in WITHIN and listed.start_s - BEFORE_S <= row.time_s <= listed.end_s + AFTER_S + 60.0


def mentioned(row: Row) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events that a row is about, with what it tells of them."""
    if row.kind not in (*OWN, desk.LIMITS_KIND):
        return
    payload = json.loads(row.payload)
    if row.kind == desk.LIMITS_KIND:
        for span in payload["spans"]:
            told = {name: span[name] for name in ("programme", "start_s", "end_s")}
            yield span["subject"], told
    elif row.kind == desk.CALL_KIND:
        call = payload["kept"]["call"]
        cuts_s = [payload["kept"][name] for name in ("cancelled_s", "opted_out_s")]
        start_s = call["intervals"][0]["start_s"]
        end_s = min([call["intervals"][-1]["end_s"], *(cut_s for cut_s in cuts_s if cut_s is not None)])
        yield (
            call_key(call["source"], call["call_id"]),
            {
                "programme": call["programme"],
                "start_s": start_s,
                "end_s": max(start_s, end_s),
                "state": payload["action"],
            },
        )
    elif row.kind == desk.BASELINE_KIND:
        yield payload["call"], {}
    else:
        yield payload["subject"], {}
