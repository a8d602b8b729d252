"""The ledger: an append-only SQLite file whose rows are chained by their hashes (`controller.store.chain`).

A row is on the disk when `record` returns. Triggers refuse changes by accident; those on purpose are found by
`controller.store.ledger_check`. Retention removes the oldest rows, tells so in a row of its own, and keeps the hash
that the oldest remaining one follows. One process writes at a time, by a lock on the file beside it; others may read.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from controller.errors import StoreError
from controller.store.chain import FORMAT, FORMATS, GENESIS, TRIM_KIND, Head, chain
from controller.store.ledger_check import Verdict, check, head_of, verify_file
from controller.store.retention_check import payload_of
from controller.store.sqlite_file import transaction

__all__ = ["Head", "Journal", "Ledger", "Record", "Retention", "chain", "verify_file"]

MAX_PAYLOAD_BYTES = 4 << 20
_TRIM_EVERY = 1000
_SCAN_ROWS = 20_000
"""Most rows that are looked at for their age in one trim."""
_SPARE_FRAC = 0.05
"""Of a file that is too large, so much more goes than is too much."""
_BUSY_S = 1.0
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS records (
  sequence INTEGER PRIMARY KEY, time_s REAL NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS records_by_kind ON records (kind, sequence);
CREATE TABLE IF NOT EXISTS trimmed (
  id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, hash TEXT NOT NULL);
INSERT OR IGNORE INTO trimmed VALUES (1, 0, '{GENESIS}');
CREATE TRIGGER IF NOT EXISTS records_keep BEFORE UPDATE ON records
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS records_stay BEFORE DELETE ON records
  WHEN OLD.sequence > (SELECT sequence FROM trimmed)
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One row."""

    sequence: int
    time_s: float
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept; the oldest rows beyond any of these go, None is no bound.

    Attributes:
        records: newest rows.
        days: by the time of the rows.
        size_bytes: of the file, as far as it is in use.
    """

    records: int | None = None
    days: float | None = None
    size_bytes: int | None = None


class Journal(Protocol):
    """What can be written to, and read again."""

    def record(self, kind: str, time_s: float, payload: dict[str, Any]) -> None:
        """Append one record; raises `StoreError` where that fails."""

    def records(self, kind: str | None = None, *, last: int | None = None) -> list[Record]:
        """Records in their order, all or the last ones, of one kind or all."""


class Ledger:
    """Opens or creates a ledger for writing; a `Recorder`, safe to call from several threads."""

    def __init__(
        self,
        path: Path,
        *,
        keep_records: int | None = None,
        retention: Retention | None = None,
        key: bytes | None = None,
    ) -> None:
        """Open the file; a key seals what is told of retention.

        Raises:
            StoreError: it cannot be opened, is not a ledger, or another process writes it.
        """
        self.path = path
        self._retention, self._key = retention or Retention(records=keep_records), key
        self._guard = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error.strerror}; choose another controller.data_dir"
            ) from error
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=_BUSY_S)
            self._format = _prepared(self._db)
            self._last = head_of(self._db)
        except (sqlite3.Error, StoreError) as error:
            self._lock.close()
            raise StoreError(f"{path}: not usable as a ledger: {error}; move it away or choose another one") from error

    @property
    def head(self) -> Head:
        """The last row; it is not checked."""
        return Head(*self._last)

    def record(self, kind: str, time_s: float, payload: dict[str, Any]) -> None:
        """Append one record; it is on the disk when this returns.

        Raises:
            StoreError: it is no JSON, too large, or could not be written.
        """
        text = canonical(payload, kind)
        with self._guard:
            try:
                self._last = self._append(kind, time_s, text)
                if self._last[0] % _TRIM_EVERY == 0:
                    self._trim(time_s)
            except sqlite3.IntegrityError as error:
                raise StoreError(
                    f"{self.path}: record of kind {kind!r} not written: {error}: another hand has written to the file; "
                    "see what: wattroute ledger verify"
                ) from error
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: record of kind {kind!r} not written: {error}") from error

    def records(self, kind: str | None = None, *, last: int | None = None) -> list[Record]:
        """Records in their order, all or the last ones, of one kind or all."""
        with self._guard:
            return list(_select(self._db, kind, last))

    def verify(self) -> Head:
        """Check the whole chain.

        Raises:
            StoreError: naming the first row that does not verify.
        """
        with self._guard:
            return check(self._db, self.path).head

    def compare(self, sequence: int, known_hash: str) -> Verdict:
        """Whether a row has the hash that was kept of it elsewhere, without checking the rows in between."""
        with self._guard:
            row = self._db.execute(
                "SELECT hash FROM records WHERE sequence = ?1 UNION ALL SELECT hash FROM trimmed WHERE sequence = ?1",
                (sequence,),
            ).fetchone()
            (trimmed,) = self._db.execute("SELECT sequence FROM trimmed").fetchone()
            if row is None and sequence < trimmed:
                return Verdict.GONE
            if row is None:
                return Verdict.CUT
            return Verdict.FITS if row[0] == known_hash else Verdict.DIFFERS

    def close(self) -> None:
        """Close the file and let another process write it."""
        with self._guard:
            self._db.close()
            self._lock.close()

    def _append(self, kind: str, time_s: float, text: str) -> tuple[int, str]:
        sequence, time_s = self._last[0] + 1, float(time_s) + 0.0  # -0.0 is stored as 0.0
        chained = chain(self._last[1], sequence, time_s, kind, text, file_format=self._format)
        self._db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", (sequence, time_s, kind, text, chained))
        return sequence, chained

    def _trim(self, now_s: float) -> None:
        """Remove the rows beyond what is kept, and tell so in a row, both or neither."""
        up_to, rule = self._beyond(now_s)
        row = self._db.execute("SELECT hash FROM records WHERE sequence = ?", (up_to,)).fetchone()
        if row is None:
            return
        with transaction(self._db):
            told = payload_of(self.path.name, up_to, row[0], rule, self._key)
            last = self._append(TRIM_KIND, now_s, canonical(told, ""))
            self._db.execute("UPDATE trimmed SET sequence = ?, hash = ?", (up_to, row[0]))
            self._db.execute("DELETE FROM records WHERE sequence <= ?", (up_to,))
        self._last = last

    def _beyond(self, now_s: float) -> tuple[int, tuple[str, float]]:
        """The last row that is not to be kept, and by which rule; 0 where all are."""
        kept, oldest = self._retention, 0
        reasons: list[tuple[int, tuple[str, float]]] = [(0, ("", 0.0))]
        if kept.records is not None:
            reasons.append((self._last[0] - kept.records, ("records", float(kept.records))))
        if kept.days is not None:
            rows = self._db.execute("SELECT sequence, time_s FROM records ORDER BY sequence LIMIT ?", (_SCAN_ROWS,))
            for sequence, time_s in rows:
                if time_s >= now_s - kept.days * 86_400.0:
                    break
                oldest = sequence
            reasons.append((oldest, ("days", kept.days)))
        if kept.size_bytes is not None and (size_bytes := _size_bytes(self._db)) > kept.size_bytes:
            (first,) = self._db.execute("SELECT MIN(sequence) FROM records").fetchone()
            share_frac = min(0.9, 1.0 - kept.size_bytes / size_bytes + _SPARE_FRAC)
            share = int((self._last[0] - first) * share_frac)
            reasons.append((first + share, ("size_bytes", float(kept.size_bytes))))
        return max(reasons)


def _prepared(db: sqlite3.Connection) -> int:
    """Make the tables where there are none; returns the format."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0:
        db.execute(f"PRAGMA user_version={FORMAT}")
    (file_format,) = db.execute("PRAGMA user_version").fetchone()
    if file_format not in FORMATS:
        raise StoreError(f"is of format {file_format}, this version reads up to {FORMAT}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.executescript(_SCHEMA)
    return int(file_format)


def _size_bytes(db: sqlite3.Connection) -> int:
    (pages,), (free,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def canonical(payload: dict[str, Any], kind: str) -> str:
    """A payload as it is stored and hashed.

    Raises:
        StoreError: it is no JSON, or too large.
    """
    try:
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(f"record of kind {kind!r} has no JSON form: {error}") from error
    if len(text) > MAX_PAYLOAD_BYTES:
        raise StoreError(f"record of kind {kind!r} has {len(text)} bytes, more than {MAX_PAYLOAD_BYTES}")
    return text


def _lock(path: Path) -> IO[str]:
    file = path.with_name(f"{path.name}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreError(
            f"{path}: another controller writes it; stop that one or choose another controller.data_dir"
        ) from error
    return file


def _select(db: sqlite3.Connection, kind: str | None, last: int | None) -> Iterator[Record]:
    rows = db.execute(
        "SELECT * FROM (SELECT sequence, time_s, kind, payload FROM records WHERE ?1 IS NULL OR kind = ?1 "
        "ORDER BY sequence DESC LIMIT ?2) ORDER BY sequence",
        (kind, -1 if last is None else last),
    )
    for sequence, time_s, row_kind, payload in rows:
        yield Record(sequence, time_s, row_kind, json.loads(payload))
