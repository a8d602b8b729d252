"""A ledger that cannot be written for a while: what is lost meanwhile is told in it afterwards, as a gap.

Rows may wait in memory, up to a bound, so that a disk that is full for minutes leaves no gap at all.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from controller.errors import StoreError
from controller.store.ledger import Ledger, Record, canonical

GAP_KIND = "gap"


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that were not written.

    Attributes:
        from_s, until_s: times of the first and the last one.
        lost: how many.
        reason: of the last failure.
    """

    from_s: float
    until_s: float
    lost: int
    reason: str


class PatientLedger:
    """A `Recorder` over a ledger; safe to call from several threads.

    Attributes:
        lost: records that were given up since the start.
    """

    def __init__(self, ledger: Ledger, *, max_waiting: int = 0) -> None:
        """Write to a ledger.

        Args:
            ledger: to write to.
            max_waiting: records that wait for it to be written again; older ones are given up.
        """
        self.ledger = ledger
        self.lost = 0
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[str, float, dict[str, Any]]] = deque()
        self._gap: Gap | None = None
        self._guard = threading.Lock()

    @property
    def waiting(self) -> int:
        """Records that are not written yet."""
        return len(self._waiting)

    def record(self, kind: str, time_s: float, payload: dict[str, Any]) -> None:
        """Append one record, after those that wait.

        Raises:
            StoreError: it is no JSON or too large, or it could not be written now; it then waits, if there is room.
        """
        canonical(payload, kind)
        with self._guard:
            self._waiting.append((kind, time_s, payload))
            try:
                self._write(time_s)
            except StoreError as error:
                self._give_up(str(error))
                raise

    def records(self, kind: str | None = None, *, last: int | None = None) -> list[Record]:
        """Those that are written, in their order, all or the last ones, of one kind or all."""
        return self.ledger.records(kind, last=last)

    def _write(self, now_s: float) -> None:
        if self._gap is not None:
            self.ledger.record(GAP_KIND, now_s, asdict(self._gap))
            self._gap = None
        while self._waiting:
            self.ledger.record(*self._waiting[0])
            self._waiting.popleft()

    def _give_up(self, reason: str) -> None:
        while len(self._waiting) > self._max_waiting:
            _, time_s, _ = self._waiting.popleft()
            known = self._gap or Gap(time_s, time_s, 0, reason)
            self._gap = Gap(min(known.from_s, time_s), max(known.until_s, time_s), known.lost + 1, reason[:500])
            self.lost += 1
