"""Extracts of a ledger: the rows of one event as JSON lines, which check themselves.

An extract reaches from the first row of the event to the head of the file. Rows that are not about the event are left
out, but for their digests, from which the chain is followed all the same: a reader who knows a head can check that the
rows he has are those that were written, without seeing the others.

    {"extract": 1, "ledger": NAME, "format": 1, "after": {"sequence": N, "hash": H}, "about": TEXT}
    {"n": SEQUENCE, "t": TIME, "k": KIND, "p": PAYLOAD AS TEXT}        a row
    {"d": [DIGEST, ...]}                                               rows that are left out
    {"head": {"sequence": N, "hash": H}, "rows": N, "left_out": N}     the end
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from controller.errors import StoreError
from controller.store.chain import FORMATS, Head, Row, chain, digest_of, link
from controller.store.ledger_check import Checked, format_of, opened, rows_of_kinds
from controller.store.witness import Witness, is_sealed

_RUN = 500
"""Digests in one line."""
MAX_LINE_BYTES = 16 << 20


def write_extract(path: Path, out: IO[str], first: int, is_wanted: Callable[[Row], bool], about: str) -> Head:
    """Write an extract of a ledger from a row to its head.

    Args:
        path: of the ledger.
        out: where to.
        first: number of the first row.
        is_wanted: whether a row is told in full.
        about: what it is an extract of.

    Raises:
        StoreError: the ledger cannot be read.
    """
    with opened(path) as db:
        file_format = format_of(db)
        before = db.execute(
            "SELECT hash FROM records WHERE sequence = ?1 UNION ALL SELECT hash FROM trimmed WHERE sequence = ?1",
            (first - 1,),
        ).fetchone()
        if before is None:
            raise StoreError(f"{path}: row {first - 1} is missing")
        after = {"sequence": first - 1, "hash": before[0]}
        _line(out, {"extract": 1, "ledger": path.name, "format": file_format, "after": after, "about": about})
        sequence, last_hash, told, digests, left_out = first - 1, str(before[0]), 0, list[str](), 0
        (last,) = db.execute("SELECT max(sequence) FROM records").fetchone()
        for row in rows_of_kinds(db, (), (first, last)):
            sequence, last_hash = row.sequence, row.hash
            if file_format > 0 and not is_wanted(row):
                digests.append(digest_of(row.sequence, row.time_s, row.kind, row.payload))
                left_out += 1
                digests = _flushed(out, digests, _RUN)
                continue
            digests = _flushed(out, digests, 1)
            _line(out, {"n": row.sequence, "t": row.time_s, "k": row.kind, "p": row.payload})
            told += 1
        _flushed(out, digests, 1)
        _line(out, {"head": {"sequence": sequence, "hash": last_hash}, "rows": told, "left_out": left_out})
    return Head(sequence, last_hash, told)


def is_extract(path: Path) -> bool:
    """Whether a file looks like an extract rather than a ledger."""
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError:
        return False


def check_extract(path: Path, witnesses: Sequence[Witness] = (), *, key: bytes | None = None) -> Checked:
    """Check an extract by itself, and that it fits heads kept elsewhere.

    Raises:
        StoreError: it is none, was changed, or a head does not fit.
    """
    for witness in witnesses:
        if key is not None and witness.mac is not None and not is_sealed(witness, key):
            raise StoreError(f"{witness.told_by}: the head {witness.sequence} is not sealed by the key")
    try:
        return _checked(path, witnesses)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: is no extract, or was changed: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def as_ledger(path: Path) -> Iterator[Path]:
    """A file that is read as a ledger is: of an extract one with the rows that it tells, which goes again afterwards.

    Raises:
        StoreError: it is no extract.
    """
    if not is_extract(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="wattroute-") as folder:
        made = Path(folder) / "extract.sqlite"
        with contextlib.closing(sqlite3.connect(made)) as db, db:
            db.execute("CREATE TABLE records (sequence INTEGER PRIMARY KEY, time_s, kind, payload, hash)")
            db.execute("CREATE INDEX records_by_kind ON records (kind, sequence)")
            rows = ((row.sequence, row.time_s, row.kind, row.payload, row.hash) for row in read_extract(path))
            db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
        yield made


def read_extract(path: Path) -> Iterator[Row]:
    """The rows of an extract that are told in full, with the hashes that they make; `check_extract` checks those.

    Raises:
        StoreError: it is none.
    """
    follower = _Follower(path, set())
    try:
        for line in _lines(path):
            follower.take(line)
            if "n" in line:
                yield Row(line["n"], line["t"], line["k"], line["p"], follower.hash)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: is no extract, or was changed: {type(error).__name__}: {error}") from error


def _checked(path: Path, witnesses: Sequence[Witness]) -> Checked:
    follower = _Follower(path, {witness.sequence for witness in witnesses})
    for line in _lines(path):
        follower.take(line)
    head = follower.head()
    fits, left = [], []
    for witness in witnesses:
        known = follower.hashes.get(witness.sequence)
        if known is None:
            left.append(witness)
        elif not witness.fits(known):
            raise StoreError(
                f"{path}: row {witness.sequence} has the hash {known[:16]}…, but {witness.told_by} knows "
                f"{witness.hash[:16]}…: it is no extract of that ledger"
            )
        else:
            fits.append(witness)
    return Checked(head, tuple(fits), tuple(left), follower.first_time_s, follower.last_time_s)


class _Follower:
    """Follows the chain of an extract line by line.

    Attributes:
        hashes: of the rows that are wanted.
        first_time_s, last_time_s: of the rows that are told in full; None without any.
    """

    def __init__(self, path: Path, wanted: set[int]) -> None:
        self._path = path
        self._wanted = wanted
        self._format: int | None = None
        self._end: dict[str, Any] | None = None
        self._sequence, self._hash, self._rows = 0, "", 0
        self.first_time_s: float | None = None
        self.last_time_s: float | None = None
        self.hashes: dict[int, str] = {}

    @property
    def hash(self) -> str:
        """Of the last row."""
        return self._hash

    def take(self, line: dict[str, Any]) -> None:
        """Take the next line."""
        if self._end is not None:
            raise StoreError(f"{self._path}: there are lines after its end")
        if self._format is None:
            self._begin(line)
        elif "head" in line:
            self._end = line["head"]
        elif "d" in line:
            for digest in line["d"]:
                self._follow(link(self._hash, digest))
        else:
            number = self._sequence + 1
            if line["n"] != number:
                raise StoreError(f"{self._path}: row {number} is missing, {line['n']} follows")
            self._follow(chain(self._hash, number, line["t"], line["k"], line["p"], file_format=self._format))
            self._rows += 1
            self.first_time_s = line["t"] if self.first_time_s is None else self.first_time_s
            self.last_time_s = line["t"]

    def head(self) -> Head:
        """The end, once all lines were taken."""
        end = self._end
        if end is None or (end["sequence"], end["hash"]) != (self._sequence, self._hash):
            raise StoreError(
                f"{self._path}: a row was changed, removed, put in or moved: the chain does not lead to its head"
            )
        return Head(self._sequence, self._hash, self._rows)

    def _begin(self, line: dict[str, Any]) -> None:
        if line.get("extract") != 1 or line.get("format") not in FORMATS:
            raise StoreError(f"{self._path}: is no extract of a ledger")
        self._format, after = line["format"], line["after"]
        self._sequence, self._hash = after["sequence"], after["hash"]
        self.hashes[self._sequence] = self._hash

    def _follow(self, made: str) -> None:
        self._sequence, self._hash = self._sequence + 1, made
        if self._sequence in self._wanted:
            self.hashes[self._sequence] = made


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        while line := file.readline(MAX_LINE_BYTES):
            told = json.loads(line)
            if not isinstance(told, dict):
                raise StoreError(f"{path}: is no extract of a ledger")
            yield told


def _flushed(out: IO[str], digests: list[str], least: int) -> list[str]:
    if len(digests) < least:
        return digests
    if digests:
        _line(out, {"d": digests})
    return []


def _line(out: IO[str], line: dict[str, Any]) -> None:
    out.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
