"""Whether what is gone from the beginning of a ledger went by retention, as its records of kind `trimmed` tell; pure.

Who writes the file could remove its beginning and add such a record. It is believed where it keeps its own rule: of
the newest rows, by its number; of days, by heads that were kept elsewhere, since a row that follows a head was written
after that head was told. A key seals the records of retention too: where heads before one are sealed, it must be.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from controller.errors import StoreError
from controller.store.chain import Row
from controller.store.witness import Witness, seal
from controller.utc_text import utc_text

DAY_S = 86_400.0
SLACK_S = 3600.0
"""By which the clocks of the controller and of who kept a head may differ."""


@dataclass(frozen=True, slots=True)
class Trim:
    """A record of retention.

    Attributes:
        row: its number; `time_s` its time.
        up_to: number of the last row that went, and its hash.
        rule: name and value of what is kept: ``records``, ``days`` or ``size_bytes``; None of versions that told none.
        mac: seal; None without a key.
    """

    row: int
    time_s: float
    up_to: int
    hash: str
    reason: str
    ledger: str = ""
    rule: tuple[str, float] | None = None
    mac: str | None = None


def payload_of(ledger: str, up_to: int, up_to_hash: str, rule: tuple[str, float], key: bytes | None) -> dict[str, Any]:
    """What a record of retention holds."""
    told = {"up_to": up_to, "hash": up_to_hash, "ledger": ledger, "rule": list(rule), "reason": reason_of(rule)}
    return told if key is None else {**told, "mac": _seal(key, ledger, up_to, up_to_hash)}


def reason_of(rule: tuple[str, float]) -> str:
    """A rule for people."""
    name, value = rule
    if name == "records":
        return f"the newest {value:.0f} rows are kept"
    return f"rows are kept for {value:g} days" if name == "days" else f"the file is larger than {value:.0f} bytes"


def read_trim(row: Row) -> Trim:
    """The record of retention in a row.

    Raises:
        StoreError: it is none.
    """
    try:
        told = json.loads(row.payload)
        rule = None if told.get("rule") is None else (str(told["rule"][0]), float(told["rule"][1]))
        return Trim(
            row=row.sequence,
            time_s=row.time_s,
            up_to=int(told["up_to"]),
            hash=str(told.get("hash", "")),
            reason=str(told.get("reason", "")),
            ledger=str(told.get("ledger", "")),
            rule=rule,
            mac=told.get("mac"),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"row {row.sequence} is no record of retention: {type(error).__name__}: {error}") from error


def check_trims(rows: Sequence[Row], witnesses: Iterable[Witness], key: bytes | None) -> Trim | None:
    """The last record of retention, once all of them are found to keep their rule; None without any.

    Args:
        rows: those records, whose chain was checked.
        witnesses: heads of the ledger that were kept elsewhere.
        key: that seals records and heads; None looks at no seal.

    Raises:
        StoreError: rows were removed that the rule keeps, or a record is not sealed though heads before it are.
    """
    known = tuple(witnesses)
    trims = [read_trim(row) for row in rows]
    for trim in trims:
        _check_rule(trim, known)
        if key is not None:
            _check_seal(trim, known, key)
    return trims[-1] if trims else None


def _check_rule(trim: Trim, witnesses: tuple[Witness, ...]) -> None:
    name, value = trim.rule or ("", 0.0)
    if name == "records" and trim.up_to > trim.row - value:
        raise StoreError(f"row {trim.row} tells that {trim.reason}, and yet rows up to {trim.up_to} are gone")
    if name != "days":
        return
    for each in witnesses:
        if each.sequence < trim.up_to and (each.time_s or 0.0) > trim.time_s - value * DAY_S + SLACK_S:
            raise StoreError(
                f"row {trim.row} tells that {trim.reason}, and yet rows {each.sequence + 1} to {trim.up_to} are gone, "
                f"which were written after {utc_text(each.time_s or 0.0)}, when {each.told_by} was told of row "
                f"{each.sequence}"
            )


def _check_seal(trim: Trim, witnesses: tuple[Witness, ...], key: bytes) -> None:
    if trim.mac is None and not any(each.mac is not None and each.sequence < trim.row for each in witnesses):
        return
    if trim.mac is None or not hmac.compare_digest(trim.mac, _seal(key, trim.ledger, trim.up_to, trim.hash)):
        raise StoreError(f"row {trim.row}, which tells of rows up to {trim.up_to} removed, is not sealed by the key")


def _seal(key: bytes, ledger: str, up_to: int, up_to_hash: str) -> str:
    """Another one than that of a head, so that none of those can take its place."""
    return seal(key, f"{ledger}:trimmed", up_to, up_to_hash)
