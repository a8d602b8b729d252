"""Whether the baselines that the meter store keeps are those that the evidence tells were frozen."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from controller.errors import StoreError
from controller.evidence import desk
from controller.settlement.baseline_profile import Baseline
from controller.store.ledger_check import opened, rows_of_kinds
from controller.store.plain import from_plain

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class FrozenFit:
    """How many baselines are as the evidence tells, and how many are past the time for which they are kept."""

    baselines: int
    gone: int


@dataclass(frozen=True, slots=True)
class _Told:
    """What the evidence tells of the baseline of a call at last."""

    row: int
    start_s: float
    baseline: Baseline


@dataclass(frozen=True, slots=True)
class _Store:
    """What the meter store keeps.

    Attributes:
        bodies: of baselines, by call.
        newest_s: end of its latest minute.
    """

    bodies: dict[str, str]
    newest_s: float


def check_frozen(evidence: Path, meter: Path, keep_days: float) -> FrozenFit:
    """Whether each baseline that a file of evidence tells stands in a meter store as it was frozen.

    The store is read first: of what is frozen meanwhile the evidence tells afterwards. Baselines of which the evidence
    tells no more are not compared.

    Args:
        evidence: the file, whose chain was checked.
        meter: the store.
        keep_days: for how long its baselines are kept.

    Raises:
        StoreError: a baseline was changed or removed, or a file cannot be read; the call is named.
    """
    store = _read(meter)
    known, newest_s = _told(evidence)
    if known and store is None:
        first = next(iter(known.values()))
        raise StoreError(f"{meter}: is gone, and row {first.row} of the evidence tells of a baseline in it")
    if store is None:
        return FrozenFit(0, 0)
    kept_from_s = max(newest_s, store.newest_s) - keep_days * DAY_S
    fits = gone = 0
    for call, told in known.items():
        body = store.bodies.get(call)
        if body is not None and _is_same(body, told.baseline):
            fits += 1
        elif body is None and told.start_s < kept_from_s:
            gone += 1
        else:
            what = "removed" if body is None else "changed"
            raise StoreError(
                f"{meter}: the baseline of {call!r:.200} was {what} after row {told.row} of the evidence told of it"
            )
    return FrozenFit(fits, gone)


def _is_same(body: str, told: Baseline) -> bool:
    try:
        return from_plain(Baseline, json.loads(body)) == told
    except (KeyError, TypeError, ValueError):  # it was written as one that can be read
        return False


def _read(meter: Path) -> _Store | None:
    if not meter.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{meter.resolve().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("BEGIN")
            bodies = dict(db.execute("SELECT call, body FROM baselines"))
            (last,) = db.execute("SELECT MAX(minute) FROM minutes").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{meter}: not readable as a meter store: {error}") from error
    return _Store({str(call): str(body) for call, body in bodies.items()}, 60.0 * ((last or 0) + 1))


def _told(evidence: Path) -> tuple[dict[str, _Told], float]:
    """The latest of each call, and the time of the last one; rows of versions that told no baseline are passed over."""
    known: dict[str, _Told] = {}
    newest_s = 0.0
    with opened(evidence) as db:
        for row in rows_of_kinds(db, (desk.BASELINE_KIND,)):
            try:
                payload = json.loads(row.payload)
                if not isinstance(payload.get("baseline"), dict):
                    continue
                baseline = from_plain(Baseline, payload["baseline"])
                known[str(payload["call"])] = _Told(row.sequence, float(payload["start_s"]), baseline)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise StoreError(
                    f"{evidence}: row {row.sequence} cannot be read: {type(error).__name__}: {error}"
                ) from error
            newest_s = max(newest_s, row.time_s)
    return known, newest_s
