"""Checks ledgers without writing to them, also while a controller writes, and compares them with heads kept elsewhere.

What is read is one snapshot. A file that nobody has open is read as it stands, so that nothing is made beside it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from controller.errors import StoreError
from controller.store.chain import FORMATS, Checker, Head, Row
from controller.store.retention_check import Trim, check_trims
from controller.store.witness import Witness, is_sealed

_ROWS = "SELECT sequence, time_s, kind, payload, hash FROM records"
_NEXT = "SELECT sequence, time_s FROM records WHERE sequence >= ? ORDER BY sequence LIMIT 1"
_TAIL_HINT = "the tail was cut off, or the file was replaced by an older copy"


class Verdict(StrEnum):
    """How a ledger stands to a head that was kept elsewhere."""

    FITS = "fits"
    DIFFERS = "differs"
    CUT = "cut"
    """The ledger ends before it."""
    GONE = "gone"
    """Retention has removed its row."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A ledger whose chain holds.

    Attributes:
        compared: heads kept elsewhere that it fits.
        gone: heads whose rows retention has removed since.
        first_time_s, last_time_s: of its rows; None without any.
        retention: the last record of it; None without one.
    """

    head: Head
    compared: tuple[Witness, ...] = ()
    gone: tuple[Witness, ...] = ()
    first_time_s: float | None = None
    last_time_s: float | None = None
    retention: Trim | None = None


def verify_file(path: Path, witnesses: Sequence[Witness] = (), *, key: bytes | None = None) -> Head:
    """Check a ledger without writing to it.

    Raises:
        StoreError: it is absent, no ledger, or a row does not verify.
    """
    return check_file(path, witnesses, key=key).head


def check_file(path: Path, witnesses: Sequence[Witness] = (), *, key: bytes | None = None) -> Checked:
    """Check a ledger, and that it fits heads kept elsewhere, without writing to it.

    Args:
        path: of the file.
        witnesses: heads of this ledger.
        key: by which those that are sealed must be; None takes them as they are.

    Raises:
        StoreError: it is absent, no ledger, a row does not verify, or a head does not fit.
    """
    with opened(path) as db:
        return check(db, path, witnesses, key=key)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A snapshot of a ledger for reading.

    Raises:
        StoreError: it is absent or cannot be read.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such ledger")
    log = path.with_name(f"{path.name}-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size > 0 else "mode=ro&immutable=1"
    uri = f"file:{str(path).replace('?', '%3f').replace('#', '%23')}?{how}"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it is one snapshot
            yield db
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of a name that was damaged
        raise StoreError(f"{path}: not readable as a ledger: {error}") from error


def format_of(db: sqlite3.Connection) -> int:
    """Format of an open ledger.

    Raises:
        StoreError: it is of a later one.
    """
    (number,) = db.execute("PRAGMA user_version").fetchone()
    if number not in FORMATS:
        raise StoreError(f"is of format {number}, this version reads up to {FORMATS[-1]}")
    return int(number)


def rows_of(db: sqlite3.Connection) -> Iterator[Row]:
    """All rows in their order.

    Raises:
        StoreError: a row is none that a ledger has written.
    """
    for row in db.execute(f"{_ROWS} NOT INDEXED ORDER BY sequence"):
        yield Row(*row)


def rows_of_kinds(db: sqlite3.Connection, kinds: Iterable[str], between: tuple[int, int] = (1, 0)) -> Iterator[Row]:
    """The rows of some kinds, and all whose numbers are from the first to the last of `between`, in their order.

    They are read as they are taken: of those of the kinds no more than the numbers are held, by SQLite.

    Raises:
        StoreError: a row is none that a ledger has written.
    """
    wanted = tuple(kinds)
    marks = ",".join("?" * len(wanted))
    of_kinds = f"{_ROWS} WHERE sequence IN (SELECT sequence FROM records WHERE kind IN ({marks}) AND sequence"
    first, last = between
    parts: list[tuple[str, tuple[object, ...]]] = [
        (f"{_ROWS} WHERE sequence BETWEEN ? AND ? ORDER BY sequence", between)
    ]
    if wanted and first > last:
        parts = [(f"{of_kinds} > 0) ORDER BY sequence", wanted)]
    elif wanted:
        parts.insert(0, (f"{of_kinds} < ?) ORDER BY sequence", (*wanted, first)))
        parts.append((f"{of_kinds} > ?) ORDER BY sequence", (*wanted, last)))
    for query, values in parts:
        for row in db.execute(query, values):
            yield Row(*row)


def between_times(db: sqlite3.Connection, from_s: float, until_s: float) -> tuple[int, int]:
    """Numbers of the first and the last row of a stretch of time; (1, 0) where there are none.

    They are found by halving, since rows are in order of time but for seconds; numbers may be left out.
    """
    first, last = db.execute("SELECT min(sequence), max(sequence) FROM records").fetchone()
    if first is None:
        return 1, 0

    def first_from(time_s: float) -> int:
        low, high = first, last + 1
        while low < high:
            middle = (low + high) // 2
            number, at_s = db.execute(_NEXT, (middle,)).fetchone()
            low, high = (number + 1, high) if at_s < time_s else (low, middle)
        return int(low)

    return first_from(from_s), first_from(until_s) - 1


def head_of(db: sqlite3.Connection) -> tuple[int, str]:
    """Number and hash of the last row, as they stand."""
    row = db.execute("SELECT sequence, hash FROM records ORDER BY sequence DESC LIMIT 1").fetchone()
    if row is None:
        row = db.execute("SELECT sequence, hash FROM trimmed").fetchone()
    return int(row[0]), str(row[1])


def check(
    db: sqlite3.Connection, path: Path, witnesses: Sequence[Witness] = (), *, key: bytes | None = None
) -> Checked:
    """Check an open ledger.

    Raises:
        StoreError: see `check_file`.
    """
    for witness in witnesses:
        if key is not None and witness.mac is not None and not is_sealed(witness, key):
            raise StoreError(
                f"{witness.told_by}: the head {witness.sequence} of {witness.ledger} is not sealed by the key"
            )
    try:
        return _checked(db, witnesses, key)
    except (StoreError, sqlite3.Error, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: {error}") from error


def _checked(db: sqlite3.Connection, witnesses: Sequence[Witness], key: bytes | None) -> Checked:
    began = _began(db)
    checker = Checker(*began, format_of(db))
    at: dict[int, list[Witness]] = {}
    for witness in witnesses:
        at.setdefault(witness.sequence, []).append(witness)
    fits = [witness for witness in at.pop(began[0], []) if _compared(witness, began[1])]
    first_s = last_s = None
    for row in rows_of(db):
        checker.take(row)
        first_s, last_s = row.time_s if first_s is None else first_s, row.time_s
        fits += [witness for witness in at.pop(row.sequence, []) if _compared(witness, row.hash)]
    head = checker.head()
    left = [witness for each in at.values() for witness in each]
    for witness in left:
        if witness.sequence > head.sequence:
            raise StoreError(
                f"ends at row {head.sequence}, but {witness.told_by} knows {witness.sequence}: {_TAIL_HINT}"
            )
    retention = check_trims(checker.trims, witnesses, key)
    _compare_index(db)
    return Checked(head, tuple(fits), tuple(left), first_s, last_s, retention)


def _began(db: sqlite3.Connection) -> tuple[int, str]:
    rows = db.execute("SELECT sequence, hash FROM trimmed").fetchall()
    if len(rows) != 1 or not isinstance(rows[0][0], int) or not isinstance(rows[0][1], str):
        raise StoreError("the mark of what retention has removed was changed")
    return int(rows[0][0]), str(rows[0][1])


def _compared(witness: Witness, stored_hash: str) -> bool:
    if not witness.fits(stored_hash):
        raise StoreError(
            f"row {witness.sequence} has the hash {stored_hash[:16]}…, but {witness.told_by} knows "
            f"{witness.hash[:16]}…: the file was made anew from some row on"
        )
    return True


def _compare_index(db: sqlite3.Connection) -> None:
    """Readers by kind go by the index: it must lead to the same rows."""
    (fault,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if fault != "ok":
        raise StoreError(f"the file is damaged: {fault}")
