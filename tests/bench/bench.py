"""What every measure needs: processes, programs, subjects and the place for its results."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.engines import Engine, RunningEngine, compiled, running_engine
from tests.bench.processes import Processes
from tests.bench.proxies import Proxy, UnavailableError
from tests.bench.results import Results


@dataclass(frozen=True)
class Subject:
    """A proxy, and at how many addresses it sees the engine."""

    proxy: Proxy
    addresses: int = 1


@dataclass
class Bench:
    """A run of the bench.

    Attributes:
        processes: starts and ends all that runs.
        build: where programs are compiled to and the peers' environments stand.
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

    @staticmethod
    def addresses(subjects: list[Subject]) -> int:
        """Addresses that an engine for all of them needs."""
        return max(subject.addresses for subject in subjects)

    def available(self, subjects: list[Subject], doing: str) -> Iterator[Subject]:
        """The subjects that can be measured, each announced."""
        for subject in subjects:
            if subject.proxy.name not in self.unavailable:
                self.say(f"{subject.proxy.name}: {doing}")
                yield subject

    @contextlib.contextmanager
    def noting(self, name: str, doing: str) -> Iterator[None]:
        """Note why a subject could not be measured, and go on with the others."""
        try:
            yield
        except UnavailableError as error:
            self.unavailable.add(name)
            self.results.note(name, f"not measured: {error}")
        except (ValueError, OSError, subprocess.SubprocessError) as error:
            self.results.note(name, f"{doing}: not measured: {error}")

    def elapsed_s(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.begun_s

    def say(self, text: str) -> None:
        """Tell the one who waits what is being measured."""
        sys.stderr.write(f"{self.elapsed_s():7.1f} s  {text}\n")
        sys.stderr.flush()
