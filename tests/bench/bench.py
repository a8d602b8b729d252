"""What every measure needs: processes, programs, options and the place for its results."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.engines import Engine, RunningEngine, compiled, running_engine
from tests.bench.processes import Processes
from tests.bench.results import Results


@dataclass
class Bench:
    """A run of the bench.

    Attributes:
        processes: starts and ends all that runs.
        build: where programs are compiled to and the peers' environment stands.
        results: takes the values.
        unavailable: proxies that were tried and could not be measured.
    """

    processes: Processes
    build: Path
    results: Results
    unavailable: set[str] = field(default_factory=set)
    begun_s: float = field(default_factory=time.monotonic)

    @contextlib.contextmanager
    def engine(self, engine: Engine) -> Iterator[RunningEngine]:
        """A mock engine within the block."""
        program = compiled("mock_engine", self.build)
        with running_engine(self.processes, program, engine) as running:
            yield running

    def say(self, text: str) -> None:
        """Tell the one who waits what is being measured."""
        sys.stderr.write(f"{time.monotonic() - self.begun_s:7.1f} s  {text}\n")
        sys.stderr.flush()
