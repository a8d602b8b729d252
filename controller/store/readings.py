"""Digests of stored readings, hour by hour, by which a later change of the meter store is found and named.

The meter store is no chain: its minutes are trimmed and past data is imported. What a baseline was made of, and each
day once it is over, are told in the evidence by digests of their hours; the file must still fit them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.errors import StoreError
from controller.utc_text import utc_text

HOUR_S = 3600.0
DAY_S = 86_400.0
DIGITS = 16
"""Hexadecimal digits of a digest that are kept."""
_ROWS = """
SELECT minute, energy_j, covered_s, quality, origin FROM minutes
WHERE minute >= ? AND minute < ? AND (origin = 0 OR NOT ?) ORDER BY minute
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of readings once.

    Attributes:
        row: of the evidence, in which it stands.
        hours: a digest of each hour from `from_s` on, the last may be shorter; empty where there was no reading.
        is_measured_only: whether minutes that were imported are left out.
    """

    row: int
    from_s: float
    until_s: float
    hours: tuple[str, ...]
    is_measured_only: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """How many hours that have readings fit what was told of them, and how many are past their time."""

    hours: int
    gone: int


def digests(db: sqlite3.Connection, from_s: float, until_s: float, *, is_measured_only: bool) -> tuple[str, ...]:
    """A digest of each hour of [from_s, until_s), whole minutes."""
    found = []
    count = int(-(-(until_s - from_s) // HOUR_S))
    for number in range(count):
        begin_s = from_s + number * HOUR_S
        span = int(begin_s // 60), int(min(begin_s + HOUR_S, until_s) // 60)
        rows = db.execute(_ROWS, (*span, is_measured_only)).fetchall()
        text = json.dumps(rows, separators=(",", ":"))
        found.append(hashlib.sha256(text.encode()).hexdigest()[:DIGITS] if rows else "")
    return tuple(found)


def as_told(from_s: float, until_s: float, hours: tuple[str, ...], *, is_measured_only: bool) -> dict[str, Any]:
    """As it is recorded."""
    return {"from_s": from_s, "until_s": until_s, "hours": list(hours), "measured_only": is_measured_only}


def told(row: int, payload: Mapping[str, Any]) -> Told:
    """As it was recorded.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    times_s = float(payload["from_s"]), float(payload["until_s"])
    return Told(row, *times_s, tuple(payload["hours"]), bool(payload["measured_only"]))


def check_readings(path: Path, known: Iterable[Told], keep_days: float) -> Fit:
    """Whether a meter store fits what was told of it, without writing to it.

    Args:
        path: of the file.
        known: what was told, in any order.
        keep_days: for how long minutes are kept.

    Raises:
        StoreError: it is absent or no meter store, or readings were changed or removed; the first hour is named.
    """
    every = tuple(known)
    if not every:
        return Fit(0, 0)
    if not path.is_file():
        raise StoreError(f"{path}: is gone, and row {every[0].row} of the evidence tells of readings in it")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("BEGIN")
            return _checked(db, path, every, keep_days)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: not readable as a meter store: {error}") from error


def _checked(db: sqlite3.Connection, path: Path, known: tuple[Told, ...], keep_days: float) -> Fit:
    first, last = db.execute("SELECT MIN(minute), MAX(minute) FROM minutes").fetchone()
    first_s = float("inf") if first is None else 60.0 * first
    newest_s = max(60.0 * (last or 0), *(each.until_s for each in known))
    kept_from_s = newest_s - keep_days * DAY_S
    fits = gone = 0
    for each in known:
        now = digests(db, each.from_s, each.until_s, is_measured_only=each.is_measured_only)
        for number, (then, here) in enumerate(zip(each.hours, now, strict=True)):
            begin_s = each.from_s + number * HOUR_S
            if then == here:
                fits += then != ""
            elif begin_s < first_s and begin_s < kept_from_s:
                gone += 1
            else:
                what = "changed" if here else "removed"
                raise StoreError(
                    f"{path}: readings of the hour from {utc_text(begin_s)} were {what} after row {each.row} of the "
                    "evidence told of them"
                )
    return Fit(fits, gone)
