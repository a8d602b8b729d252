"""What a file of evidence tells of the meter's readings: of each day, and of what baselines were made of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from controller.errors import StoreError
from controller.evidence import desk
from controller.store.ledger_check import opened, rows_of_kinds
from controller.store.readings import Fit, Told, check_readings, told


def check_meter(evidence: Path, meter: Path, keep_days: float) -> Fit:
    """Whether a meter store fits what a file of evidence tells of its readings.

    Args:
        evidence: the file, whose chain was checked.
        meter: the store.
        keep_days: for how long its minutes are kept.

    Raises:
        StoreError: readings were changed or removed; the first hour is named.
    """
    return check_readings(meter, told_of_readings(evidence), keep_days)


def told_of_readings(path: Path) -> Iterator[Told]:
    """All that is told, oldest first.

    Raises:
        StoreError: the file, or a row of it, cannot be read.
    """
    with opened(path) as db:
        for row in rows_of_kinds(db, (desk.READINGS_KIND, desk.BASELINE_KIND)):
            try:
                payload = json.loads(row.payload)
                parts = [payload] if row.kind == desk.READINGS_KIND else payload.get("readings", [])
                yield from [told(row.sequence, part) for part in parts]
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(
                    f"{path}: row {row.sequence} cannot be read: {type(error).__name__}: {error}"
                ) from error
