"""Heads of ledgers as they were told elsewhere.

What a chain alone cannot show is a tail that was cut off, or a file that was made anew as a whole; a head that was kept
in another place shows both. A witness may be sealed with a key (HMAC-SHA-256), so that who can write the file but has
not the key forges none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from controller.errors import ConfigError, StoreError
from controller.store.chain import Head
from controller.store.plain import from_plain
from controller.store.state import StateFile

LEAST_DIGITS = 12
"""Hexadecimal digits of a hash that must be told for it to prove anything."""
METRIC_DIGITS = 13
"""As many as a 64-bit floating-point number holds without loss (52 bits)."""
LEAST_KEY_BYTES = 16
BY_HAND = "--head"
"""By whom a head was told that stands on the command line."""
MAX_FILE_BYTES = 64 << 20
_TOLD = re.compile(rf"(\d{{1,18}}):([0-9a-fA-F]{{{LEAST_DIGITS},64}})")


@dataclass(frozen=True, slots=True)
class Witness:
    """A head that was told.

    Attributes:
        ledger: name of the file.
        hash: of that row, or its first digits.
        time_s: when it was told; None where that is not known.
        mac: seal; None without a key.
        told_by: where it was found.
    """

    ledger: str
    sequence: int
    hash: str
    time_s: float | None = None
    mac: str | None = None
    told_by: str = ""

    def fits(self, stored_hash: str) -> bool:
        """Whether the row has that hash."""
        return stored_hash.startswith(self.hash.lower())


@dataclass(frozen=True, slots=True)
class Heads:
    """The part of the state file that keeps them."""

    witnesses: tuple[Witness, ...] = ()


def witnessed(ledger: str, head: Head, time_s: float, key: bytes | None) -> Witness:
    """A head as it is told elsewhere, sealed where there is a key."""
    mac = None if key is None else seal(key, ledger, head.sequence, head.hash)
    return Witness(ledger, head.sequence, head.hash, time_s, mac)


def seal(key: bytes, ledger: str, sequence: int, full_hash: str) -> str:
    """The seal of a head."""
    return hmac.new(key, f"{ledger}:{sequence}:{full_hash}".encode(), hashlib.sha256).hexdigest()


def is_sealed(witness: Witness, key: bytes) -> bool:
    """Whether the seal is that of the key."""
    expected = seal(key, witness.ledger, witness.sequence, witness.hash)
    return witness.mac is not None and hmac.compare_digest(witness.mac, expected)


def metric_of(full_hash: str) -> float:
    """The first digits of a hash as a number, exact in a metric."""
    return float(int(full_hash[:METRIC_DIGITS], 16))


def parse(told: str, ledger: str) -> Witness:
    """A witness as it is written on a command line: ``SEQUENCE:HASH``, the hash or its first digits.

    Raises:
        ConfigError: it is none.
    """
    match = _TOLD.fullmatch(told)
    if match is None:
        raise ConfigError(
            f"--head {told!r:.100} is no head; write SEQUENCE:HASH with at least {LEAST_DIGITS} digits of the hash, as "
            "the log event `ledger head` tells it"
        )
    return Witness(ledger, int(match[1]), match[2].lower(), told_by=BY_HAND)


def read_key(path: Path | None) -> bytes | None:
    """The key in a file, None without one.

    Raises:
        ConfigError: it cannot be read or is too short.
    """
    if path is None:
        return None
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"controller.ledger_key_file {path}: cannot be read: {error.strerror}") from error
    if len(key) < LEAST_KEY_BYTES:
        raise ConfigError(
            f"controller.ledger_key_file {path} has {len(key)} bytes; write at least {LEAST_KEY_BYTES} random ones, "
            "e.g. by: openssl rand -hex 32"
        )
    return key


def of_state(path: Path) -> tuple[Witness, ...]:
    """The heads that a state file keeps; none where it has none.

    Raises:
        StoreError: the file cannot be read or is damaged.
    """
    file = StateFile(path)
    if not path.is_file():
        return ()
    heads = file.load(heads=Heads)
    return () if heads is None else tuple(_of(str(path), heads["heads"].witnesses))


@dataclass(frozen=True, slots=True)
class Told:
    """What a file of witnesses says; lines that are none, such as one cut short by a crash, are only counted."""

    witnesses: tuple[Witness, ...] = ()
    unreadable: int = 0


def of_file(path: Path) -> Told:
    """The heads in a file of witnesses; nothing where there is no file.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_FILE_BYTES).splitlines()
    except FileNotFoundError:
        return Told()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
    found = [witness for line in lines if (witness := _read(line)) is not None]
    return Told(tuple(_of(str(path), found)), len(lines) - len(found))


def _read(line: bytes) -> Witness | None:
    try:
        return from_plain(Witness, json.loads(line))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _of(place: str, witnesses: Iterable[Witness]) -> Iterable[Witness]:
    for each in witnesses:
        yield Witness(each.ledger, each.sequence, each.hash, each.time_s, each.mac, place)


class WitnessFile:
    """Appends witnesses to a file, which is best on another machine's disk, or where lines can only be added."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, witness: Witness) -> None:
        """Add a line and bring it to the disk.

        Raises:
            StoreError: it could not be written.
        """
        line = json.dumps(asdict(witness), sort_keys=True, separators=(",", ":")) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                if file.tell() and not self._ends_a_line():
                    line = "\n" + line
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self.path}: witness not written: {error.strerror or error}") from error

    def _ends_a_line(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
