"""The whole system as separate processes on free ports, as an operator starts it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.ports import free_ports

ROOT = Path(__file__).parents[2]
READY_S = 120.0
COMMANDS = {
    "emulate": ("-m", "controller.cli", "emulate"),
    "router": ("-m", "router.cli"),
    "controller": ("-m", "controller.cli", "controller"),
    "supervise": ("-m", "controller.cli", "supervise"),
}


def laptop_on_free_ports(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """The laptop example with other ports, after `change`; written to `folder`/wattroute.yaml."""
    text = (ROOT / "deploy" / "examples" / "laptop.yaml").read_text()
    fixed = ("8080", "8081", "8090", "9400", "9001", "9002", "9011", "9012", "9021")
    ports = dict(zip(fixed, free_ports(len(fixed)), strict=True))
    text = re.sub(rf"\b({'|'.join(fixed)})\b", lambda match: str(ports[match[1]]), text)
    document = yaml.safe_load(text)
    for feed in ("price_usd_per_mwh", "carbon_kg_per_mwh"):
        document["signals"][feed]["data_start"] = document["signals"][feed]["data_start"].isoformat()
    document["controller"]["data_dir"] = str(folder)
    if change is not None:
        change(document)
    (folder / "wattroute.yaml").write_text(yaml.safe_dump(document))
    return document


@dataclass
class System:
    """Running processes by the name of their command, each with its own `environments`."""

    folder: Path
    document: dict[str, Any]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    commands: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(COMMANDS))
    environments: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.document['router']['port']}"

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.document['router']['admin_port']}"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.document['controller']['port']}"

    @property
    def emulator(self) -> str:
        return f"http://127.0.0.1:{self.document['emulator']['control_port']}"

    @property
    def supervisor(self) -> str:
        return f"http://127.0.0.1:{self.document['supervisor']['port']}"

    def state(self) -> dict[str, Any]:
        """What the controller's page shows."""
        status, body = get(f"{self.api}/api/state")
        if status != 200:
            raise ValueError(f"{status}: {body[:200]!r}")  # which `until` tries again
        found: dict[str, Any] = json.loads(body)
        return found

    def launch(self, name: str) -> None:
        """Start a process, and do not wait until it answers."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *self.commands[name], "--config", str(self.folder / "wattroute.yaml")],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environments.get(name, {})},
            )

    def start(self, name: str) -> None:
        self.launch(name)
        ready = {"emulate": f"{self.emulator}/healthz", "router": f"{self.admin}/healthz"}
        if name == "supervise":
            ready[name] = f"{self.supervisor}/healthz"
        address = ready.get(name, f"{self.api}/healthz")
        process = self.processes[name]
        self.until(lambda: process.poll() is not None or get(address)[0] == 200, f"{name} answers")
        if process.poll() is not None:
            raise AssertionError(f"{name} ended: {(self.folder / f'{name}.log').read_text()[-2000:]}")

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes.pop(name).wait(10)

    def stop(self, name: str) -> int:
        """SIGTERM; returns the exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(30)

    def until(self, holds: Callable[[], bool], what: str, limit_s: float = READY_S) -> None:
        """Wait until something holds; the logs are in the error when it never does."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError, urllib.error.URLError, KeyError, ValueError):
                if holds():
                    return
            time.sleep(0.1)
        logs = {path.name: path.read_text()[-2000:] for path in self.folder.glob("*.log")}
        raise AssertionError(f"never came true: {what}\n{json.dumps(logs, indent=1)}")


@contextlib.contextmanager
def running(
    folder: Path,
    *names: str,
    change: Callable[[dict[str, Any]], None] | None = None,
    environments: dict[str, dict[str, str]] | None = None,
) -> Iterator[System]:
    """Start the named processes in order; end all of them at the end."""
    system = System(folder, laptop_on_free_ports(folder, change), environments=environments or {})
    try:
        for name in names:
            system.start(name)
        yield system
    finally:
        for process in system.processes.values():
            process.terminate()
        for process in system.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def listening_port(process: subprocess.Popen[bytes], log: Path, name: str, limit_s: float) -> int:
    """The port that a process says in its log, once it listens."""
    end_s = time.monotonic() + limit_s
    while not (listening := re.search(rf"{name} listening.* port=(\d+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end_s, log.read_text()
        time.sleep(0.05)
    return int(listening[1])


def get(url: str) -> tuple[int, bytes]:
    """Status and body."""
    return _open(urllib.request.Request(url))


def post(url: str, body: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body of a JSON request."""
    return _open(urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"}))


def _open(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
