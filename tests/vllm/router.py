"""The router as a process of its own in front of the two servers, the same for all tests of a module."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.ports import free_ports
from tests.fakes.system import ROOT, get
from tests.vllm.servers import MODEL, WAIT_S, Pair

HEALTH = {"probe_interval_s": 0.5, "eject_after": 8}
"""Probes that see changes soon, and an engine that stands still for some seconds is not given up for it: making its
OpenAPI document, say, stops a server that long on a busy machine."""


@dataclass(frozen=True)
class Router:
    """A running router."""

    port: int
    admin_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def state(self) -> dict[str, Any]:
        return json.loads(get(f"http://127.0.0.1:{self.admin_port}/state")[1])

    def instance_states(self) -> dict[str, str]:
        """State of each instance, by pool."""
        return {view["pool_id"]: view["state"] for view in self.state()["instances"]}

    def in_flight(self) -> int:
        return sum(view["in_flight"] for view in self.state()["instances"])

    def until(self, states: dict[str, str]) -> None:
        """Wait until the instances are in these states, as far as they are named."""
        end_s = time.monotonic() + WAIT_S
        while not states.items() <= (found := self.instance_states()).items():
            assert time.monotonic() < end_s, f"{found} never became {states}"
            time.sleep(0.05)


@contextmanager
def running_router(
    folder: Path,
    pair: Pair,
    *,
    prefers: str | None = None,
    table: dict[str, Any] | None = None,
    timeouts: dict[str, float] | None = None,
) -> Iterator[Router]:
    """Start a router with one pool a server.

    Args:
        folder: for its configuration and log.
        pair: the servers.
        prefers: the pool that gets every request while it can; without it both get as many tokens.
        table: the section `table`.
        timeouts: the section `router.timeouts`.
    """
    port, admin_port = free_ports(2)
    pools = [
        {
            "name": server.name,
            "precision": server.name,
            "instances": [server.url],
            "static_weight": 1.0 if prefers in (None, server.name) else 0.0,
        }
        for server in (pair.bf16, pair.int8)
    ]
    settings = {"port": port, "admin_port": admin_port, "health": HEALTH}
    settings["timeouts"] = {"drain_s": 2.0, **(timeouts or {})}
    document = {"model": MODEL, "pools": pools, "router": settings, "table": table or {}}
    file, log = folder / "router.yaml", folder / "router.log"
    file.write_text(yaml.safe_dump(document))
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "router.cli", "--config", str(file)], stdout=out, stderr=out, cwd=ROOT
        )
    found = Router(port, admin_port)
    try:
        end_s = time.monotonic() + WAIT_S
        while not _is_ready(found):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        try:
            code = process.wait(30)
        finally:
            process.kill()
            process.wait()
        # Shown beside a failure: what the router met is often its cause, and the folder does not outlive many runs.
        sys.stdout.write(log.read_text())
    assert code == 0, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def _is_ready(found: Router) -> bool:
    try:
        return get(f"http://127.0.0.1:{found.admin_port}/readyz")[0] == 200
    except OSError:
        return False
