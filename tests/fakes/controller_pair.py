"""Two controllers of one site as separate processes, and what Redis itself saw of their tables."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.ports import free_ports
from tests.fakes.system import COMMANDS, ROOT, System, get

_PUBLISHED = re.compile(
    rb'^\+(\d+\.\d+) \[0 lua\] "HSET" "wattroute:allocation:lead" "holder" "([^"]+)" "sequence" "(\d+)"'
)
_TABLE = re.compile(rb'^\+(\d+\.\d+) \[0 lua\] "SET" "wattroute:allocation" "(.*)" "PX"')


@dataclass(frozen=True)
class Publication:
    """A table that Redis took: when, from whom, and what it says."""

    at_s: float
    holder: str
    sequence: int
    weights: dict[str, dict[str, float]]
    draining: tuple[str, ...]
    caps: dict[str, int]


class Monitor:
    """Every table that Redis took, in its own order (command MONITOR)."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")
        self.publications: list[Publication] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        holder, sequence = "", -1
        with self._socket.makefile("rb") as lines:
            for line in lines:
                if (told := _PUBLISHED.match(line)) is not None:
                    holder, sequence = told[2].decode(), int(told[3])
                elif (table := _TABLE.match(line)) is not None:
                    content = json.loads(table[2].decode("unicode_escape"))
                    assert content["sequence"] == sequence
                    weights = {
                        entry["class_id"]: {pool["pool_id"]: pool["weight"] for pool in entry["pools"]}
                        for entry in content["weights"]
                    }
                    draining = tuple(content["draining"])
                    caps = {cap["instance_id"]: cap["max_in_flight"] for cap in content["caps"]}
                    self.publications.append(Publication(float(table[1]), holder, sequence, weights, draining, caps))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def by(self, name: str) -> list[Publication]:
        """Those of one controller; `name` is its own, without what is added to it."""
        return [published for published in self.publications if published.holder.startswith(f"{name}_")]

    @property
    def turns(self) -> list[str]:
        """Who published, one entry for each change."""
        names = [published.holder.partition("_")[0] for published in self.publications]
        return [name for n, name in enumerate(names) if n == 0 or names[n - 1] != name]


@dataclass
class Controllers:
    """Controllers by name, beside the system that they act upon; each has its own folder, port and log."""

    system: System
    kubeconfig: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start one, again under another identity where it ran before."""
        folder = self.system.folder / name
        folder.mkdir(exist_ok=True)
        if name not in self.ports:
            self.ports[name] = free_ports(1)[0]
        document = json.loads(json.dumps(self.system.document))
        document["controller"] |= {"port": self.ports[name], "data_dir": str(folder)}
        document["controller"]["election"] |= {"identity": name}
        (folder / "wattroute.yaml").write_text(yaml.safe_dump(document))
        with (self.system.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *COMMANDS["controller"], "--config", str(folder / "wattroute.yaml")],
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "KUBECONFIG": str(self.kubeconfig)}
                | self.environments.get(name, {}),
            )
        process = self.processes[name]
        self.system.until(
            lambda: process.poll() is not None or get(f"{self.api(name)}/readyz")[0] == 200, f"{name} is ready"
        )
        assert process.poll() is None, (self.system.folder / f"{name}.log").read_text()[-2000:]

    def api(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def state(self, name: str) -> dict[str, Any]:
        status, body = get(f"{self.api(name)}/api/state")
        if status != 200:
            raise ValueError(f"{status}: {body[:200]!r}")
        found: dict[str, Any] = json.loads(body)
        return found

    def signal(self, name: str, number: int) -> float:
        """Send a signal; returns when."""
        self.processes[name].send_signal(number)
        return time.time()

    def stop(self, name: str) -> int:
        """End one in an orderly way; returns its exit code."""
        self.signal(name, signal.SIGTERM)
        return self.processes.pop(name).wait(40)

    def close(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(10)
