"""How the rows of a ledger are chained by their hashes; pure.

    digest_n = SHA-256(JSON of [sequence, time, kind, payload])
    hash_n   = SHA-256(hash_n-1 + digest_n)                       both in hexadecimal; hash_0 is 64 zeros

A row that is changed, removed, put in between or moved therefore breaks the chain at its place. Since a hash follows
from the digest of a row alone, an extract may hold digests in place of the rows that it leaves out, and its reader
still checks the whole chain. Files of format 0 hash the row itself: hash_n = SHA-256(hash_n-1 + JSON).
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass

from controller.errors import StoreError

GENESIS = "0" * 64
FORMAT = 1
"""Of files made now."""
FORMATS = (0, 1)
TRIM_KIND = "trimmed"
"""Kind of the record that tells of rows that retention has removed."""
BROKEN = "row {sequence} of kind {kind!r:.40} was changed after it was written"


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of a ledger, by which all before it is known.

    Attributes:
        checked: rows that were checked on the way to it.
        trimmed: number of the last row that retention has removed; 0 where none was.
        trimmed_hash: hash of that row.
    """

    sequence: int
    hash: str
    checked: int = 0
    trimmed: int = 0
    trimmed_hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file; its payload is text."""

    sequence: int
    time_s: float
    kind: str
    payload: str
    hash: str

    def __post_init__(self) -> None:
        """Refuse what no ledger has written.

        Raises:
            StoreError: a cell is of another type, or no number.
        """
        kinds = (self.sequence, int), (self.time_s, float), (self.kind, str), (self.payload, str), (self.hash, str)
        if not all(isinstance(cell, kind) for cell, kind in kinds) or not math.isfinite(self.time_s):
            raise StoreError(BROKEN.format(sequence=self.sequence, kind=self.kind))


def text_of(sequence: int, time_s: float, kind: str, payload: str) -> str:
    """A row as it is hashed."""
    return json.dumps([sequence, time_s, kind, payload], separators=(",", ":"))


def digest_of(sequence: int, time_s: float, kind: str, payload: str) -> str:
    """Digest of a row whose payload is canonical JSON."""
    return hashlib.sha256(text_of(sequence, time_s, kind, payload).encode()).hexdigest()


def link(previous_hash: str, digest: str) -> str:
    """The hash of the row that has this digest and follows on that hash."""
    return hashlib.sha256(previous_hash.encode() + digest.encode()).hexdigest()


def chain(
    previous_hash: str, sequence: int, time_s: float, kind: str, payload: str, *, file_format: int = FORMAT
) -> str:
    """The hash of a row in a file of a format."""
    if file_format == 0:
        row = text_of(sequence, time_s, kind, payload)
        return hashlib.sha256(previous_hash.encode() + row.encode()).hexdigest()
    return link(previous_hash, digest_of(sequence, time_s, kind, payload))


class Checker:
    """Follows a chain row by row.

    Args:
        sequence: of the row before the first.
        previous_hash: of that row.
        file_format: by which rows were chained.

    Attributes:
        trims: records of retention that were taken.
    """

    def __init__(self, sequence: int, previous_hash: str, file_format: int = FORMAT) -> None:
        self._format = file_format
        self._trimmed = (sequence, previous_hash)
        self._told: int | None = None
        self.trims: list[Row] = []
        self.sequence, self.hash, self.checked = sequence, previous_hash, 0

    def take(self, row: Row) -> None:
        """Check the next row.

        Raises:
            StoreError: it is not the one that was written there.
        """
        if row.sequence != self.sequence + 1:
            raise StoreError(f"row {self.sequence + 1} is missing, {row.sequence} follows")
        made = chain(self.hash, row.sequence, row.time_s, row.kind, row.payload, file_format=self._format)
        if made != row.hash:
            raise StoreError(BROKEN.format(sequence=row.sequence, kind=row.kind))
        if row.kind == TRIM_KIND:
            self._told = _up_to(row.payload)
            self.trims.append(row)
        self.sequence, self.hash, self.checked = row.sequence, row.hash, self.checked + 1

    def head(self) -> Head:
        """The last row, once all were taken.

        Raises:
            StoreError: rows are gone from the beginning, and no record of retention tells of it.
        """
        begins, begins_hash = self._trimmed
        if self._format > 0 and begins != (self._told or 0):
            raise StoreError(
                f"rows up to {begins} are gone, and the last record of retention tells of those up to {self._told or 0}"
            )
        return Head(self.sequence, self.hash, self.checked, begins, begins_hash)


def _up_to(payload: str) -> int | None:
    told = json.loads(payload)
    number = told.get("up_to") if isinstance(told, dict) else None
    return number if isinstance(number, int) else None
