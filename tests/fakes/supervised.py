"""`wattroute supervise` as a process of its own, over engines that are `fake_vllm.py`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.ports import free_ports
from tests.fakes.system import ROOT, get, listening_port, post

FAKE_VLLM = Path(__file__).with_name("fake_vllm.py")
START_S = 60.0
CURVES = "qwen3-235b-a22b/bf16/8xh100"


def document(folder: Path, *, instances: int = 2, serve: dict[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    """A configuration of one pool `bf16`, whose engines start at once and are started again quickly."""
    ports = free_ports(instances)
    return {
        "model": "tiny",
        "pools": [
            {"name": "bf16", "precision": "bf16", "instances": [f"http://127.0.0.1:{port}" for port in ports]},
        ],
        "plan": {
            "pools": {
                "bf16": {
                    "gpu": "H100",
                    "gpus_per_instance": 1,
                    "curves": CURVES,
                    "gpu_uuids": [[f"GPU-{n}"] for n in range(instances)],
                    "serve": {"command": [sys.executable, str(FAKE_VLLM), "serve"], "model": "m", **(serve or {})},
                }
            }
        },
        "supervisor": {
            "port": 0,
            "state_dir": str(folder / "engines"),
            "restart_first_s": 0.2,
            "restart_longest_s": 0.4,
            "stop_s": 5.0,
            **own,
        },
    }


@dataclass
class Supervised:
    """The process.

    Attributes:
        folder: holds its configuration and log.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def instances(self) -> dict[str, Any]:
        status, body = get(f"{self.url}/instances")
        assert status == 200, body
        return {entry["instance_id"]: entry for entry in json.loads(body)}

    def order(self, instance_id: str, verb: str) -> tuple[int, bytes]:
        return post(f"{self.url}/instances/{instance_id}/{verb}", {})

    def until(self, holds: Callable[[dict[str, Any]], bool], limit_s: float = START_S) -> dict[str, Any]:
        """Wait until something holds of the instances; returns them."""
        end_s = time.monotonic() + limit_s
        while not holds(found := self.instances()):
            assert time.monotonic() < end_s, f"never came true: {found}\n{self.log.read_text()}"
            time.sleep(0.05)
        return found

    def until_state(self, instance_id: str, state: str) -> dict[str, Any]:
        found: dict[str, Any] = self.until(lambda shown: shown[instance_id]["state"] == state)[instance_id]
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def supervised(folder: Path, settings: dict[str, Any], **environment: str) -> Iterator[Supervised]:
    """The supervisor on a free port. Its engines outlive it: see `no_engine_left`."""
    (folder / "wattroute.yaml").write_text(yaml.safe_dump(settings))
    log = folder / "supervisor.log"
    words = [sys.executable, "-m", "controller.cli", "supervise", "--config", str(folder / "wattroute.yaml")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, stdout=out, stderr=out, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}
        )
    try:
        yield Supervised(process, listening_port(process, log, "supervisor", START_S), log)
    finally:
        process.kill()
        process.wait(30)


@contextlib.contextmanager
def no_engine_left(state_dir: Path) -> Iterator[None]:
    """End, whatever happens, the engines whose records are in a folder, and what is of their groups."""
    try:
        yield
    finally:
        for path in state_dir.glob("*.engine.json"):
            mark = json.loads(path.read_text())["mark"]
            if mark is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(mark["pid"], signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process runs and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
