"""What flows by in the evidence of an event, however long it was: samples, decisions and minutes of service."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from controller.errors import StoreError
from controller.evidence import desk
from controller.evidence.listing import is_about
from controller.evidence.read import FLOWING, EventEvidence, Kept
from controller.evidence.series import Sample, unpack
from controller.evidence.service import ServiceMinute
from controller.evidence.service import unpack as unpack_minute
from controller.store.chain import Row
from controller.store.ledger_check import opened, rows_of_kinds

MAX_HELD = 20_000
"""Samples that are held to put them in order: rows may overlap where a controller began anew or a clock was set."""

Flowing = Sample | Kept | ServiceMinute
"""A sample, a decision (as its row), or what classes got in a minute."""


class Flow:
    """Passes by, in the order of the file and samples in order of time, what lies between an event's rows.

    A sample that is told twice counts once; one that comes later than `MAX_HELD` samples that followed it in time, as
    by a clock that was set back for hours, can no longer be put in its place.

    Attributes:
        evidence: of the event.
        late: samples that were left out since they came too late.

    Raises:
        StoreError: a row cannot be read.
    """

    def __init__(self, path: Path, evidence: EventEvidence, max_held: int = MAX_HELD) -> None:
        self._path, self.evidence, self._max_held = path, evidence, max_held
        self._held: list[tuple[float, int, Sample]] = []
        self._taken = 0
        self._last_s: float | None = None
        self.late = 0

    def __iter__(self) -> Iterator[Flowing]:
        """From the first row to the last."""
        evidence = self.evidence
        with opened(self._path) as db:
            for row in rows_of_kinds(db, (), (evidence.first, evidence.last)):
                if row.kind in FLOWING and is_about(row, evidence.listed):
                    yield from self._read(row)
        yield from self._released(0)

    def _read(self, row: Row) -> Iterator[Flowing]:
        try:
            payload = json.loads(row.payload)
            if row.kind == desk.SERVICE_KIND:
                yield from [unpack_minute(packed) for packed in payload["minutes"]]
                return
            samples = unpack(payload["samples"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{self._path}: row {row.sequence} cannot be read: {type(error).__name__}: {error}"
            ) from error
        yield from self._ordered(samples)
        if row.kind == desk.TICK_KIND:
            yield Kept(row.sequence, row.hash, row.time_s, row.kind, payload)

    def _ordered(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            if self._last_s is not None and sample.time_s <= self._last_s:
                self.late += sample.time_s < self._last_s
                continue
            self._taken += 1
            heapq.heappush(self._held, (sample.time_s, -self._taken, sample))
        yield from self._released(self._max_held)

    def _released(self, keep: int) -> Iterator[Sample]:
        """The earliest ones, until so many are left; of equal times the one that was told last."""
        while len(self._held) > keep:
            time_s, _, sample = heapq.heappop(self._held)
            if time_s != self._last_s:
                self._last_s = time_s
                yield sample
