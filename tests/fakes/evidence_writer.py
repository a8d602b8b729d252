"""A process that records as a controller does, as fast as it can, and tells what is committed: to be killed.

python -m tests.fakes.evidence_writer FOLDER [LARGEST FILE IN BYTES]
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from controller.errors import StoreError
from controller.evidence.desk import MAX_WAITING, EvidenceDesk, EvidenceParts
from controller.store.ledger import Ledger, Retention
from controller.store.patient import PatientLedger
from controller.store.state import StateFile
from controller.store.witness import Heads, witnessed
from tests.fakes.played_event import PROGRAMME, START_S, decision, event


def tell(*words: object) -> None:
    """A line in one write: one that is cut short by a kill would run into the next."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(folder: Path, limit_bytes: int | None = None) -> None:
    """Record ticks of an event without an end; a line on standard output for each that is committed."""
    ledgers = {
        name: Ledger(folder / name, retention=Retention(records=50_000))
        for name in ("ledger.sqlite", "evidence.sqlite")
    }
    rolling = PatientLedger(ledgers["ledger.sqlite"])
    evidence = PatientLedger(ledgers["evidence.sqlite"], max_waiting=MAX_WAITING)
    desk = EvidenceDesk(EvidenceParts(rolling, evidence, {"utility": PROGRAMME}, {"wattroute": "1.2.3"}))
    state = StateFile(folder / "state.json")
    last = ledgers["ledger.sqlite"].records(last=1)
    now_s = START_S if not last else last[0].time_s + 1.0
    desk.resume(now_s)
    if limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    standing = event(end_s=START_S + 80_000.0)
    while True:
        heads = Heads(tuple(witnessed(name, ledger.head, now_s, None) for name, ledger in ledgers.items()))
        try:
            state.save(heads=heads)
            desk.record("decision", now_s, decision(now_s, (standing,)))
            for _ in range(5):
                now_s += 1.0
                sample = {"power_w": 4000.0, "quality": "emulated", "limit_w": 4000.0, "observed_at_s": now_s}
                desk.record("sample", now_s, sample)
        except StoreError as error:
            tell("failed", error)
        tell("tick", now_s, *(ledger.head.sequence for ledger in ledgers.values()), evidence.lost)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
