"""The mock engine that proxies stand before, and the programs of the bench, compiled where they are not yet."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Processes, wait_for

SOURCES = Path(__file__).parent
LOAD_CORE = 1


@dataclass(frozen=True)
class Engine:
    """How a mock engine answers.

    Attributes:
        chunks: events of a stream.
        interval_us: time between them, and before the first.
        delay_us: time before an answer that is no stream.
        addresses: on how many loopback addresses it listens, all on one port.
    """

    chunks: int = 64
    interval_us: int = 20_000
    delay_us: int = 0
    addresses: int = 1


@dataclass(frozen=True)
class Counts:
    """What a mock engine has seen since it began."""

    requests: int
    chunks: int
    gone: int

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.requests - other.requests, self.chunks - other.chunks, self.gone - other.gone)


@dataclass(frozen=True)
class RunningEngine:
    """A mock engine at its addresses."""

    port: int
    engine: Engine

    @property
    def urls(self) -> list[str]:
        """One for each address."""
        hosts = (f"127.0.{n // 256}.{n % 256}" for n in range(1, self.engine.addresses + 1))
        return [f"http://{host}:{self.port}" for host in hosts]

    def counts(self) -> Counts:
        """Its counters now."""
        with urllib.request.urlopen(f"{self.urls[0]}/bench/counts", timeout=10) as answer:
            return Counts(**json.load(answer))


def compiled(name: str, folder: Path) -> Path:
    """The program of a C source, compiled anew where the source is younger.

    Raises:
        subprocess.CalledProcessError: it does not compile.
    """
    source, program = SOURCES / f"{name}.c", folder / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), "-lm"], check=True)
    return program


@contextlib.contextmanager
def running_engine(processes: Processes, program: Path, engine: Engine) -> Iterator[RunningEngine]:
    """A mock engine within the block, on the core of the load."""
    numbers = (engine.chunks, engine.interval_us, engine.delay_us, engine.addresses)
    with processes.running("mock_engine", [str(program), *map(str, numbers)], core=LOAD_CORE) as started:
        yield RunningEngine(int(wait_for(started.log, started)), engine)
