"""The ledger: an append-only SQLite file whose rows are chained by their hashes.

Each row's hash covers the hash before it and the row's own content in canonical JSON, so a row that is changed,
removed or put in between shows at `verify`. What a chain alone cannot show is a tail that was cut off; an auditor
therefore keeps the head (`Head`) that `verify` returns. Triggers refuse changes by accident.

Retention removes the oldest rows and keeps the hash that the oldest remaining one follows. One process writes at a
time, by a lock on the file beside it; others may read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from controller.errors import StoreError

MAX_PAYLOAD_BYTES = 4 << 20
_TRIM_EVERY = 1000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
  sequence INTEGER PRIMARY KEY, time_s REAL NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS records_by_kind ON records (kind, sequence);
CREATE TABLE IF NOT EXISTS trimmed (
  id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, hash TEXT NOT NULL);
INSERT OR IGNORE INTO trimmed VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
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
class Head:
    """The last row's number and hash, and how many rows were checked."""

    sequence: int
    hash: str
    checked: int


class Ledger:
    """Opens or creates a ledger for writing; a `Recorder`, safe to call from several threads."""

    def __init__(self, path: Path, *, keep_records: int | None = None) -> None:
        """Open the file.

        Raises:
            StoreError: it cannot be opened, is not a ledger, or another process writes it.
        """
        self.path = path
        self._keep_records = keep_records
        self._guard = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error.strerror}; choose another controller.data_dir"
            ) from error
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._sequence, self._hash = _head(self._db)
        except sqlite3.Error as error:
            self._lock.close()
            raise StoreError(f"{path}: not usable as a ledger: {error}; move it away or choose another one") from error

    def record(self, kind: str, time_s: float, payload: dict[str, Any]) -> None:
        """Append one record.

        Raises:
            StoreError: it is no JSON, too large, or could not be written.
        """
        text = _canonical(payload, kind)
        with self._guard:
            sequence = self._sequence + 1
            chained = chain(self._hash, sequence, time_s, kind, text)
            try:
                self._db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", (sequence, time_s, kind, text, chained))
                self._sequence, self._hash = sequence, chained
                if self._keep_records is not None and sequence % _TRIM_EVERY == 0:
                    self._trim(sequence - self._keep_records)
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
            return _verify(self._db, self.path)

    def close(self) -> None:
        """Close the file and let another process write it."""
        with self._guard:
            self._db.close()
            self._lock.close()

    def _trim(self, up_to: int) -> None:
        row = self._db.execute("SELECT hash FROM records WHERE sequence = ?", (up_to,)).fetchone()
        if row is None:
            return
        with _transaction(self._db):
            self._db.execute("UPDATE trimmed SET sequence = ?, hash = ?", (up_to, row[0]))
            self._db.execute("DELETE FROM records WHERE sequence <= ?", (up_to,))


def verify_file(path: Path) -> Head:
    """Check a ledger without writing to it.

    Raises:
        StoreError: it is absent, no ledger, or a row does not verify.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such ledger")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return _verify(db, path)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: not readable as a ledger: {error}") from error


def chain(previous_hash: str, sequence: int, time_s: float, kind: str, payload: str) -> str:
    """SHA-256 over the hash before and the row, whose payload is canonical JSON."""
    row = json.dumps([sequence, time_s, kind, payload], separators=(",", ":"))
    return hashlib.sha256(previous_hash.encode() + row.encode()).hexdigest()


def _canonical(payload: dict[str, Any], kind: str) -> str:
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


def _head(db: sqlite3.Connection) -> tuple[int, str]:
    row = db.execute("SELECT sequence, hash FROM records ORDER BY sequence DESC LIMIT 1").fetchone()
    if row is None:
        row = db.execute("SELECT sequence, hash FROM trimmed").fetchone()
    return int(row[0]), str(row[1])


def _select(db: sqlite3.Connection, kind: str | None, last: int | None) -> Iterator[Record]:
    rows = db.execute(
        "SELECT * FROM (SELECT sequence, time_s, kind, payload FROM records WHERE ?1 IS NULL OR kind = ?1 "
        "ORDER BY sequence DESC LIMIT ?2) ORDER BY sequence",
        (kind, -1 if last is None else last),
    )
    for sequence, time_s, row_kind, payload in rows:
        yield Record(sequence, time_s, row_kind, json.loads(payload))


def _verify(db: sqlite3.Connection, path: Path) -> Head:
    sequence, previous = db.execute("SELECT sequence, hash FROM trimmed").fetchone()
    checked = 0
    rows = db.execute("SELECT sequence, time_s, kind, payload, hash FROM records ORDER BY sequence")
    for row_sequence, time_s, kind, payload, stored in rows:
        if row_sequence != sequence + 1:
            raise StoreError(f"{path}: record {sequence + 1} is missing, {row_sequence} follows")
        if chain(previous, row_sequence, time_s, kind, payload) != stored:
            raise StoreError(f"{path}: record {row_sequence} of kind {kind!r} was changed after it was written")
        sequence, previous = row_sequence, stored
        checked += 1
    return Head(sequence, previous, checked)


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
