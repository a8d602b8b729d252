"""Tells the heads of the ledgers elsewhere, so that a tail that is cut off later is found.

They stand in the state file of each tick, in two metrics, once an hour and at the end in a log event and, where one is
configured, in a file that is best on another machine's disk. At the start the ledgers are compared with what was kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from controller.errors import StoreError
from controller.store import witness
from controller.store.ledger import Ledger
from controller.store.ledger_check import Verdict
from controller.store.witness import Heads, WitnessFile, metric_of, witnessed

log = logging.getLogger(__name__)

PREFIX = "wattroute_controller_"
TELL_S = 3600.0
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class HeadsParts:
    """What the desk works with.

    Attributes:
        ledgers: by the names of their files.
        key: seals the heads; None leaves them open.
        file: a file for them; None writes none.
    """

    ledgers: Mapping[str, Ledger]
    key: bytes | None = None
    file: Path | None = None


class HeadsDesk:
    """What the loop calls at each look, and the keeper of the state at each tick."""

    def __init__(self, parts: HeadsParts, registry: CollectorRegistry) -> None:
        self._parts = parts
        self._file = None if parts.file is None else WitnessFile(parts.file)
        self._told_s: float | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="heads")
        self._job: Future[None] | None = None
        self._sequence = Gauge(f"{PREFIX}ledger_sequence", "Last row of a ledger.", ("ledger",), registry=registry)
        self._hash = Gauge(
            f"{PREFIX}ledger_head", "First 52 bits of that row's hash, as a number.", ("ledger",), registry=registry
        )
        self._fits = Gauge(
            f"{PREFIX}ledger_fits",
            "1 where a ledger fitted the head that was kept of it as the process began, 0 where it did not.",
            ("ledger",),
            registry=registry,
        )

    def compare(self, state: Path) -> None:
        """Compare the ledgers with the heads that a former process has kept in the state file; what differs is told."""
        for name in self._parts.ledgers:
            self._fits.labels(name).set(1)
        try:
            kept = witness.of_state(state)
        except StoreError as error:
            log.warning("ledgers not compared with heads of before", extra={"reason": str(error)})
            return
        for each in kept:
            ledger = self._parts.ledgers.get(each.ledger)
            if ledger is None:
                continue
            verdict = ledger.compare(each.sequence, each.hash)
            if verdict in (Verdict.CUT, Verdict.DIFFERS):
                self._fits.labels(each.ledger).set(0)
                told = {"ledger": each.ledger, "kept_sequence": each.sequence, "sequence": ledger.head.sequence}
                log.error("ledger does not fit the head that was kept of it", extra={**told, "verdict": verdict.value})

    def heads(self, now_s: float) -> Heads:
        """For the state file."""
        parts = self._parts
        return Heads(tuple(witnessed(name, ledger.head, now_s, parts.key) for name, ledger in parts.ledgers.items()))

    def take(self, now_s: float) -> None:
        """Show the heads, and tell them where an hour has passed."""
        for each in self.heads(now_s).witnesses:
            self._sequence.labels(each.ledger).set(each.sequence)
            self._hash.labels(each.ledger).set(metric_of(each.hash))
        if self._told_s is None or not 0.0 <= now_s - self._told_s < TELL_S:
            self.tell(now_s)

    def tell(self, now_s: float) -> None:
        """Write the heads to the log and to their file, in another thread: that disk may be far away."""
        self._told_s = now_s
        heads = self.heads(now_s)
        for each in heads.witnesses:
            told = {"ledger": each.ledger, "head": f"{each.sequence}:{each.hash}", "mac": each.mac}
            log.info("ledger head", extra=told)
        if self._file is not None and (self._job is None or self._job.done()):
            self._job = self._worker.submit(self._write, self._file, heads)

    def close(self, now_s: float) -> None:
        """Tell the last heads."""
        if self._job is not None:
            wait((self._job,), _PATIENCE_S)
        self.tell(now_s)
        self._worker.shutdown(wait=True)

    def _write(self, file: WitnessFile, heads: Heads) -> None:
        try:
            for each in heads.witnesses:
                file.append(each)
        except StoreError as error:  # told again within the hour
            log.error("ledger heads not kept elsewhere", extra={"reason": str(error)})
