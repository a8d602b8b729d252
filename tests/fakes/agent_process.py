"""`wattroute agent` as a process of its own, on emulated GPUs that it finds by the library's real name."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.nvml.stub import NvmlStub
from tests.fakes.system import listening_port

START_S = 60.0


@dataclass
class AgentProcess:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def agent_process(folder: Path, stub: NvmlStub | None, *arguments: str, **environment: str) -> Iterator[AgentProcess]:
    """The agent on a free port; without a stub it finds no library."""
    found = {"LD_LIBRARY_PATH": str(_no_library(folder))} if stub is None else stub.environment
    log = folder / "agent.log"
    words = [sys.executable, "-m", "controller.cli", "agent", "--port", "0", *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out, env={**os.environ, **found, **environment})
    try:
        yield AgentProcess(process, listening_port(process, log, "agent", START_S), log)
    finally:
        process.kill()
        process.wait(30)


def _no_library(folder: Path) -> Path:
    """A folder whose libnvidia-ml.so.1 cannot be loaded, so that an installed one is not found either."""
    place = folder / "none"
    place.mkdir(exist_ok=True)
    (place / "libnvidia-ml.so.1").write_text("no library")
    return place
