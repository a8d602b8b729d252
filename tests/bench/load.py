"""The project's own load generator, load.c: open arrivals, held streams, clients that leave."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.bench.bench import Bench
from tests.bench.engines import LOAD_CORE, compiled
from tests.bench.processes import Started


@dataclass(frozen=True)
class Percentiles:
    """Of times, in ms."""

    count: int
    p50: float
    p90: float
    p99: float
    longest: float


@dataclass(frozen=True)
class Sent:
    """What became of one target's requests. `gone` were left by their client on purpose."""

    sent: int
    done: int
    gone: int
    failed: int
    ttft_ms: Percentiles | None
    gap_ms: Percentiles | None


def parse(text: str) -> list[Sent]:
    """Read the report that a load prints last.

    Raises:
        ValueError: there is none.
    """
    lines = text.strip().splitlines()
    if not lines or not lines[-1].startswith("[{"):
        raise ValueError(f"the load did not report: {text[-300:]!r}")
    entries: list[dict[str, Any]] = json.loads(lines[-1])
    return [
        Sent(
            **{name: entry[name] for name in ("sent", "done", "gone", "failed")},
            ttft_ms=_percentiles(entry["ttft_ms"]),
            gap_ms=_percentiles(entry["gap_ms"]),
        )
        for entry in entries
    ]


@contextlib.contextmanager
def running_load(bench: Bench, **options: object) -> Iterator[Started]:
    """The generator with these options within the block."""
    program = compiled("load", bench.build)
    words = [f"{name}={value}" for name, value in options.items()]
    with bench.processes.running("load", [str(program), *words], core=LOAD_CORE) as started:
        yield started


def wait_for_line(started: Started, line: str, *, within_s: float) -> None:
    """Wait until the generator has printed a line.

    Raises:
        ValueError: it did not, in time.
    """
    end_s = time.monotonic() + within_s
    while line not in started.log.read_text().splitlines():
        if started.has_ended() or time.monotonic() > end_s:
            raise ValueError(f"the load did not say {line!r}: {started.last_words()}")
        time.sleep(0.02)


def _percentiles(entry: dict[str, float] | None) -> Percentiles | None:
    if entry is None:
        return None
    return Percentiles(int(entry["n"]), entry["p50"], entry["p90"], entry["p99"], entry["max"])
