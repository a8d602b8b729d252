"""The file of the meter store: its tables, how it is opened, and how readings are written into it.

Seconds hold what was read; a row without power is a look that found nothing. Minutes hold energy over covered time: a
reading counts until the next look, at most `HOLD_S`. Both are keyed by UTC. Where the clock was set back, the later
look takes the earlier one's place, so that no time counts twice.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controller.model.meter import TRUST
from controller.model.observation import Quality
from controller.store.sqlite_file import Tables, transaction

VERSION = 1
MAX_TIME_S = 1e11
HOLD_S = 5.0
"""Longest time for which a reading stands; a gap that is longer is a gap."""
SWEPT_S = 3600.0
"""What stands between two looks no further apart is of a clock that was ahead, and goes."""
MEASURED, IMPORTED = 0, 1
_TRIM_SECONDS, _TRIM_MINUTES, _TRIM_OTHERS = 240, 4, 16
"""Most rows removed at a time: a clock that is years ahead for a moment must not cost the history."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seconds (second INTEGER PRIMARY KEY, power_w REAL, quality INTEGER);
CREATE TABLE IF NOT EXISTS minutes (
  minute INTEGER PRIMARY KEY, energy_j REAL NOT NULL, covered_s REAL NOT NULL, quality INTEGER NOT NULL,
  origin INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, start_s REAL NOT NULL, end_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS baselines (call TEXT PRIMARY KEY, start_s REAL NOT NULL, body TEXT NOT NULL);
"""
TABLES = Tables(_SCHEMA, VERSION, "as a meter store")


@dataclass(frozen=True, slots=True)
class Taken:
    """One look: the power, or None where it was not known."""

    time_s: float
    power_w: float | None
    quality: Quality


@dataclass(frozen=True, slots=True)
class Retention:
    """How long is kept, in days."""

    seconds_days: int = 7
    minutes_days: int = 430


class MeterWriter:
    """Writes looks in their order; not safe to call from several threads."""

    def __init__(self, db: sqlite3.Connection, retention: Retention) -> None:
        self._db, self._retention = db, retention
        self._last: Taken | None = None
        self._minute: int | None = None

    def write(self, looks: Iterable[Taken]) -> None:
        """Write looks in one transaction.

        Raises:
            sqlite3.Error: nothing of it was written.
        """
        last, minute = self._last, self._minute
        try:
            with transaction(self._db):
                for look in looks:
                    self._take(look)
        except BaseException:
            self._last, self._minute = last, minute
            raise
        if self._minute != minute and self._last is not None:
            self._trim(self._last.time_s)
            # Brings the write-ahead log to the disk: a machine that stops loses a minute at most.
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _take(self, look: Taken) -> None:
        last, second = self._last, math.floor(look.time_s)
        if last is not None and last.power_w is not None and last.time_s < look.time_s:
            self._credit(last, min(look.time_s, last.time_s + HOLD_S))
        if last is not None and 1.0 < look.time_s - last.time_s <= SWEPT_S:
            gone = (math.floor(last.time_s), second)
            self._db.execute("DELETE FROM seconds WHERE second > ? AND second < ?", gone)
        self._db.execute(
            "INSERT OR REPLACE INTO seconds VALUES (?, ?, ?)", (second, look.power_w, TRUST.index(look.quality))
        )
        is_a_step = last is not None and 0.0 < last.time_s - look.time_s < 60.0
        self._enter(second // 60, is_gone_on_with=is_a_step)
        self._last = look

    def _credit(self, last: Taken, until_s: float) -> None:
        """Book a reading from its look to the next one, minute by minute."""
        quality = TRUST.index(last.quality)
        for minute, held_s in _by_minute(last.time_s, until_s):
            self._enter(minute)
            energy_j = (last.power_w or 0.0) * held_s
            self._db.execute(
                "INSERT INTO minutes VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT (minute) DO UPDATE SET "
                "energy_j = energy_j + ?2, covered_s = covered_s + ?3, quality = max(quality, ?4)",
                (minute, energy_j, held_s, quality),
            )

    def _enter(self, minute: int, *, is_gone_on_with: bool = False) -> None:
        """Begin a minute: what was there of a clock that was ahead, or imported, goes.

        The first minute of a process may have been begun by the one before, and is gone on with; so is one that a
        small step of the clock leads back to.
        """
        if minute == self._minute:
            return
        stays = "AND origin = 1" if self._minute is None or is_gone_on_with else ""
        self._db.execute(f"DELETE FROM minutes WHERE minute = ? {stays}", (minute,))
        self._minute = minute

    def _trim(self, now_s: float) -> None:
        seconds_from = math.floor(now_s / 60.0 - self._retention.seconds_days * 1440.0) * 60
        minutes_from_s = now_s - self._retention.minutes_days * 86_400.0
        cuts = (
            ("seconds", "second", seconds_from, _TRIM_SECONDS),
            ("minutes", "minute", minutes_from_s / 60.0, _TRIM_MINUTES),
            ("events", "end_s", minutes_from_s, _TRIM_OTHERS),
            ("baselines", "start_s", minutes_from_s, _TRIM_OTHERS),
        )
        for table, key, before, most in cuts:
            oldest = f"SELECT rowid FROM {table} WHERE {key} < ? ORDER BY {key} LIMIT ?"
            self._db.execute(f"DELETE FROM {table} WHERE rowid IN ({oldest})", (before, most))


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of imported minutes: `kept` were measured here, and stay."""

    written: int
    kept: int


def write_imported(
    db: sqlite3.Connection, intervals: Iterable[tuple[float, float, float]], quality: Quality, *, replaces: bool
) -> ImportOutcome:
    """Write intervals of whole minutes, (start, end, mean in W), in one transaction; what was measured here stays.

    Args:
        db: the file.
        intervals: to write; an import that is repeated takes the earlier one's place.
        quality: of the data.
        replaces: whether it also takes the place of what was measured here.

    Raises:
        sqlite3.Error: nothing of it was written.
    """
    rank, written, asked = TRUST.index(quality), 0, 0
    guard = "" if replaces else "WHERE origin = 1"
    with transaction(db):
        for start_s, end_s, mean_w in intervals:
            rows = [(minute, mean_w * 60.0, 60.0, rank) for minute in range(int(start_s // 60), int(end_s // 60))]
            asked += len(rows)
            written += db.executemany(
                "INSERT INTO minutes VALUES (?1, ?2, ?3, ?4, 1) ON CONFLICT (minute) DO UPDATE SET "
                f"energy_j = ?2, covered_s = ?3, quality = ?4, origin = 1 {guard}",
                rows,
            ).rowcount
    return ImportOutcome(written, asked - written)


def quality_of(rank: int) -> Quality:
    """The quality that a row holds."""
    return TRUST[rank]


def _by_minute(start_s: float, end_s: float) -> Iterator[tuple[int, float]]:
    while start_s < end_s:
        minute = math.floor(start_s / 60.0)
        until_s = min(end_s, 60.0 * (minute + 1))
        yield minute, until_s - start_s
        start_s = until_s
