"""`wattroute agent` as a process of its own, on emulated GPUs that it finds by the library's real name."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.nvml.stub import NvmlStub

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
        end_s = time.monotonic() + START_S
        while not (listening := re.search(r"agent listening.* port=(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.05)
        yield AgentProcess(process, int(listening[1]), log)
    finally:
        process.kill()
        process.wait(30)


def _no_library(folder: Path) -> Path:
    """A folder whose libnvidia-ml.so.1 cannot be loaded, so that an installed one is not found either."""
    place = folder / "none"
    place.mkdir(exist_ok=True)
    (place / "libnvidia-ml.so.1").write_text("no library")
    return place
