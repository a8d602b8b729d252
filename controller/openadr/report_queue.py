"""Reports that wait to be sent, in a file: none is lost or made twice by an outage of the VTN or a restart.

Each report is kept in one transaction with the mark up to which its descriptor's reports are made. SQLite, WAL.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.store.sqlite_file import SharedTables, Tables, transaction

FILE_NAME = "openadr-reports.sqlite"
VERSION = 1
MAX_WAITING = 20_000
"""Reports of one VTN that wait; beyond, the oldest go."""
KEEP_SENT_S = 7 * 86_400.0
KEEP_MARKS_S = 400 * 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (
  number INTEGER PRIMARY KEY AUTOINCREMENT, vtn TEXT NOT NULL, event_id TEXT NOT NULL, name TEXT NOT NULL,
  body TEXT NOT NULL, made_s REAL NOT NULL, is_tried INTEGER NOT NULL DEFAULT 0, sent_s REAL, report_id TEXT,
  UNIQUE (vtn, event_id, name));
CREATE INDEX IF NOT EXISTS reports_waiting ON reports (vtn, number) WHERE sent_s IS NULL;
CREATE TABLE IF NOT EXISTS marks (
  vtn TEXT NOT NULL, event_id TEXT NOT NULL, line TEXT NOT NULL, number INTEGER NOT NULL, at_s REAL NOT NULL,
  PRIMARY KEY (vtn, event_id, line));
"""
_HEARD, _SEED = "heard", "seed"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report that is to be sent.

    Attributes:
        body: its JSON.
        is_tried: whether it was sent before, with an end that is not known.
        report_id: of the VTN, where it has taken an earlier form.
    """

    number: int
    event_id: str
    name: str
    body: str
    is_tried: bool
    report_id: str | None


class ReportQueue:
    """Opens or creates the file; safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            StoreError: it cannot be opened, or is no queue of this version.
        """
        self.path = path
        self._tables = SharedTables(path, Tables(_SCHEMA, VERSION, "for reports"))

    def heard_s(self, vtn: str, event_id: str, heard_s: float, since_s: float = -math.inf) -> float:
        """When an event was first heard of, by any process; `heard_s` where it is now.

        Args:
            vtn: name of the VTN.
            event_id: of the event.
            heard_s: by this process; what is kept and later is of a clock that was ahead, and is replaced.
            since_s: what is kept and earlier is of another event of this id, and is replaced.

        Raises:
            StoreError: the file cannot be used.
        """
        insert = (
            "INSERT INTO marks VALUES (?, ?, ?, 0, ?) ON CONFLICT (vtn, event_id, line) DO UPDATE "
            "SET at_s = excluded.at_s WHERE at_s < ? OR at_s > excluded.at_s"
        )
        select = "SELECT at_s FROM marks WHERE vtn = ? AND event_id = ? AND line = ?"

        def ask(db: sqlite3.Connection) -> float:
            with transaction(db):
                if db.execute(insert, (vtn, event_id, _HEARD, heard_s, since_s)).rowcount:
                    _forget_heard(db, vtn, heard_s)
            return float(db.execute(select, (vtn, event_id, _HEARD)).fetchone()[0])

        return self._tables.ask(ask)

    def seed(self, vtn: str, fresh: int) -> int:
        """The seed of a VTN's draws, of any process; `fresh` where there is none yet.

        Raises:
            StoreError: the file cannot be used.
        """
        insert = "INSERT OR IGNORE INTO marks VALUES (?, '', ?, ?, 0)"
        select = "SELECT number FROM marks WHERE vtn = ? AND event_id = '' AND line = ?"

        def ask(db: sqlite3.Connection) -> int:
            db.execute(insert, (vtn, _SEED, fresh))
            return int(db.execute(select, (vtn, _SEED)).fetchone()[0])

        return self._tables.ask(ask)

    def mark(self, vtn: str, event_id: str, line: str) -> int:
        """How far reports of a descriptor are made, by its line: a number; -1 before the first.

        Raises:
            StoreError: the file cannot be used.
        """
        select = "SELECT number FROM marks WHERE vtn = ? AND event_id = ? AND line = ?"
        row = self._tables.ask(lambda db: db.execute(select, (vtn, event_id, line)).fetchone())
        return -1 if row is None else int(row[0])

    def put(self, vtn: str, report: tuple[str, str, str], marks: Mapping[str, int], now_s: float) -> int:
        """Keep a report, and the marks of its descriptor with it; one of the same name takes the earlier one's place.

        Args:
            vtn: name of the VTN.
            report: id of its event, its name, and its JSON.
            marks: numbers by their line: how far the descriptor's reports are made.
            now_s: wall clock.

        Returns:
            How many older ones went for want of room.

        Raises:
            StoreError: nothing was kept.
        """
        event_id, name, body = report
        upsert = (
            "INSERT INTO reports (vtn, event_id, name, body, made_s) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (vtn, event_id, name) DO UPDATE SET body = excluded.body, made_s = excluded.made_s, "
            "sent_s = NULL"
        )

        def write(db: sqlite3.Connection) -> int:
            with transaction(db):
                db.execute(upsert, (vtn, event_id, name, body, now_s))
                for mark in marks.items():
                    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?)", (vtn, event_id, *mark, now_s))
                return _trimmed(db, vtn, now_s)

        return self._tables.ask(write)

    def body(self, vtn: str, event_id: str, name: str) -> str | None:
        """JSON of a report that is kept, sent or not; None without one.

        Raises:
            StoreError: the file cannot be used.
        """
        select = "SELECT body FROM reports WHERE vtn = ? AND event_id = ? AND name = ?"
        row = self._tables.ask(lambda db: db.execute(select, (vtn, event_id, name)).fetchone())
        return None if row is None else str(row[0])

    def waiting(self, vtn: str, most: int) -> tuple[Waiting, ...]:
        """Reports that are to be sent: the oldest of each event, then the next ones, so that none waits for another's.

        Raises:
            StoreError: the file cannot be used.
        """
        select = (
            "SELECT number, event_id, name, body, is_tried, report_id FROM reports "
            "WHERE vtn = ? AND sent_s IS NULL "
            "ORDER BY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY number), number LIMIT ?"
        )
        rows = self._tables.ask(lambda db: db.execute(select, (vtn, most)).fetchall())
        return tuple(
            Waiting(n, event_id, name, body, bool(tried), told) for n, event_id, name, body, tried, told in rows
        )

    def count(self, vtn: str) -> int:
        """How many wait.

        Raises:
            StoreError: the file cannot be used.
        """
        select = "SELECT COUNT(*) FROM reports WHERE vtn = ? AND sent_s IS NULL"
        return int(self._tables.ask(lambda db: db.execute(select, (vtn,)).fetchone())[0])

    def tried(self, waiting: Waiting) -> None:
        """A report is about to be sent: from now on the VTN may have it.

        Raises:
            StoreError: the file cannot be used.
        """
        self._tables.ask(lambda db: db.execute("UPDATE reports SET is_tried = 1 WHERE number = ?", (waiting.number,)))

    def sent(self, waiting: Waiting, report_id: str | None, now_s: float) -> None:
        """The VTN has taken it, or refused it for good; one that was changed meanwhile goes on waiting.

        Raises:
            StoreError: the file cannot be used.
        """
        update = (
            "UPDATE reports SET report_id = COALESCE(?, report_id), "
            "sent_s = CASE WHEN body = ? THEN ? ELSE NULL END WHERE number = ?"
        )
        self._tables.ask(lambda db: db.execute(update, (report_id, waiting.body, now_s, waiting.number)))

    def close(self) -> None:
        """Close the file."""
        self._tables.close()


def _forget_heard(db: sqlite3.Connection, vtn: str, now_s: float) -> None:
    """Let go of when events were heard of long ago on which no report is remembered."""
    reported = "SELECT event_id FROM marks WHERE vtn = ?1 AND line != ?2"
    db.execute(
        f"DELETE FROM marks WHERE vtn = ?1 AND line = ?2 AND at_s < ?3 AND event_id NOT IN ({reported})",
        (vtn, _HEARD, now_s - KEEP_MARKS_S),
    )


def _trimmed(db: sqlite3.Connection, vtn: str, now_s: float) -> int:
    """Let go of what is long sent or forgotten, and of what there is no room for; how many unsent ones went."""
    db.execute(
        "DELETE FROM reports WHERE vtn = ? AND sent_s < ? AND name != 'OPERATING_STATE-now'", (vtn, now_s - KEEP_SENT_S)
    )
    db.execute("DELETE FROM reports WHERE vtn = ? AND sent_s < ?", (vtn, now_s - KEEP_MARKS_S))
    old_marks = "DELETE FROM marks WHERE vtn = ? AND at_s < ? AND line NOT IN (?, ?)"
    db.execute(old_marks, (vtn, now_s - KEEP_MARKS_S, _HEARD, _SEED))
    _forget_heard(db, vtn, now_s)
    (count,) = db.execute("SELECT COUNT(*) FROM reports WHERE vtn = ? AND sent_s IS NULL", (vtn,)).fetchone()
    if count <= MAX_WAITING:
        return 0
    oldest = "SELECT number FROM reports WHERE vtn = ? AND sent_s IS NULL ORDER BY number LIMIT ?"
    return db.execute(f"DELETE FROM reports WHERE number IN ({oldest})", (vtn, count - MAX_WAITING)).rowcount
