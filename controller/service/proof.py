"""The records of a controller put together: the rolling ledger, the evidence of events, and their heads."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from controller.clock import Clock
from controller.evidence.closing import accounted
from controller.evidence.desk import MAX_WAITING, READINGS_KIND, EvidenceDesk, EvidenceParts
from controller.lifecycle.policy import Mode
from controller.loop.heads_desk import HeadsDesk, HeadsParts
from controller.model.fleet import Site
from controller.model.programme import Programme
from controller.model.service import ServiceSource
from controller.signals.latency import Latency
from controller.store.ledger import Ledger, Retention
from controller.store.patient import PatientLedger
from controller.store.plain import to_plain

LEDGER_NAME = "ledger.sqlite"
EVIDENCE_NAME = "evidence.sqlite"
PREFIX = "wattroute_controller_"


@dataclass(frozen=True, slots=True)
class ProofOptions:
    """What an operator chooses of it.

    Attributes:
        keep_days: for how long evidence is kept.
        keep_bytes: largest size of the file of evidence.
        key: seals the heads; None leaves them open.
        witness_file: where the heads are told too; None for nowhere.
        configuration: digest of the configuration file, for the evidence.
    """

    keep_days: float = 1100.0
    keep_bytes: int = 2048 << 20
    key: bytes | None = None
    witness_file: Path | None = None
    configuration: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What the loop writes to.

    Attributes:
        ledger: the rolling one, to read from.
        recorder: to write to.
    """

    ledger: Ledger
    recorder: EvidenceDesk
    heads: HeadsDesk
    lost: tuple[tuple[Gauge, PatientLedger], ...]
    waiting: Gauge = field(repr=False)

    @property
    def readings_told_s(self) -> float | None:
        """Up to where digests of the meter's readings stand in the evidence; None where there are none."""
        rows = self.lost[-1][1].records(READINGS_KIND, last=1)
        return float(rows[0].payload["until_s"]) if rows else None

    def take(self, now_s: float, latency: Latency, service: ServiceSource) -> None:
        """Called at each look: remember what was served and how fast, show and tell the heads."""
        self.recorder.see(now_s, to_plain(latency), service)
        self.heads.take(now_s)
        for gauge, file in self.lost:
            gauge.set(file.lost)
        self.waiting.set(self.lost[-1][1].waiting)


@contextlib.contextmanager
def opened_proof(
    folder: Path,
    site: Site,
    programmes: Mapping[str, Programme],
    options: ProofOptions,
    *,
    mode: Mode,
    keep_records: int | None,
    clock: Clock,
    registry: CollectorRegistry,
) -> Iterator[Proof]:
    """Open the files, compare them with the heads that were kept, and close them at the end.

    Raises:
        StoreError: a file cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(
            contextlib.closing(Ledger(folder / LEDGER_NAME, keep_records=keep_records, key=options.key))
        )
        retention = Retention(days=options.keep_days, size_bytes=options.keep_bytes)
        file = stack.enter_context(
            contextlib.closing(Ledger(folder / EVIDENCE_NAME, retention=retention, key=options.key))
        )
        rolling, evidence = PatientLedger(ledger), PatientLedger(file, max_waiting=MAX_WAITING)
        heads = HeadsDesk(
            HeadsParts({LEDGER_NAME: ledger, EVIDENCE_NAME: file}, options.key, options.witness_file), registry
        )
        heads.compare(folder / "state.json")
        parts = EvidenceParts(
            rolling,
            evidence,
            programmes,
            software_of(site, options.configuration, mode),
            functools.partial(accounted, file.path),
        )
        desk = EvidenceDesk(parts)
        desk.resume(clock.wall_s())
        stack.callback(lambda: heads.close(clock.wall_s()))
        stack.callback(desk.close)
        lost = Gauge(f"{PREFIX}records_lost", "Records that could not be written.", ("ledger",), registry=registry)
        waiting = Gauge(f"{PREFIX}evidence_waiting", "Records of evidence that wait for the disk.", registry=registry)
        pairs = ((lost.labels(LEDGER_NAME), rolling), (lost.labels(EVIDENCE_NAME), evidence))
        yield Proof(ledger, desk, heads, pairs, waiting)


@functools.cache
def version() -> str:
    """Of this software."""
    return importlib.metadata.version("wattroute")


def software_of(site: Site, configuration: str | None, mode: Mode) -> dict[str, Any]:
    """Who records, by what settings and of which fleet, and whether it acts."""
    return {
        "wattroute": version(),
        "python": platform.python_version(),
        "configuration_sha256": configuration,
        "mode": mode.value,
        "site": site.name,
        "pue": site.pue,
        "aux_w": site.aux_w,
        "import_limit_w": site.import_limit_w,
        "gpus": site.gpus,
        "pools": {
            pool.pool_id: {
                "precision": pool.precision.value,
                "gpu": pool.gpu,
                "instances": len(pool.instances),
                "mode": pool.mode.within(mode).value,
                "gpus_per_instance": pool.gpus_per_instance,
                "curves": to_plain(pool.curves.provenance),
            }
            for pool in site.pools
        },
        "classes": {
            each.class_id: {
                "quality_budget_frac": each.quality_budget_frac,
                "itl_slo_s": each.itl_slo_s,
                "ttft_slo_s": each.ttft_slo_s,
            }
            for each in site.classes
        },
    }
