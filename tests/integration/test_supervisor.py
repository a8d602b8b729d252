"""Controller, router and supervisor as processes of their own; the engines are emulated, each in its own process."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.emulated_vllm import CURVES
from tests.fakes.ports import free_ports
from tests.fakes.supervised import no_engine_left
from tests.fakes.system import ROOT, System, get, post, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(180)]


def one_pool_of_own_engines(document: dict[str, Any]) -> None:
    """Two instances, of which one runs at first although the plan is to keep both."""
    engines, (port,) = [f"http://127.0.0.1:{port}" for port in free_ports(2)], free_ports(1)
    document["pools"] = [{"name": "bf16", "precision": "bf16", "instances": engines}]
    document["classes"] = [{"name": "standard"}]
    document["default_class"] = "standard"
    document["plan"]["classes"] = {}
    document["plan"]["pools"] = {
        "bf16": {
            "gpu": "H100",
            "gpus_per_instance": 8,
            "curves": CURVES,
            "min_on": 2,
            "gpu_uuids": [[f"GPU-{n}-{gpu}" for gpu in range(8)] for n in range(2)],
            "serve": {
                "command": [sys.executable, "-m", "tests.fakes.emulated_vllm", "serve"],
                "model": "weights",
                "env": {"PYTHONPATH": str(ROOT)},
                "initially_on": 1,
            },
        }
    }
    document["emulator"] = {"control_port": document["emulator"]["control_port"]}
    document["supervisor"] = {"port": port, "state_dir": "engines", "restart_first_s": 0.5}
    document["controller"] |= {"supervisor_url": f"http://127.0.0.1:{port}", "tick_s": 1}


def engines_of(system: System) -> dict[str, Any]:
    _, body = get(f"{system.supervisor}/instances")
    return {entry["instance_id"]: entry for entry in json.loads(body)}


def states(system: System) -> list[str]:
    """Of the instances, as the controller sees them."""
    return [instance["state"] for instance in system.state()["pools"][0]["instances"]]


def seen_by_the_router(system: System) -> dict[str, str]:
    _, body = get(f"{system.admin}/state")
    return {instance["instance_id"]: instance["state"] for instance in json.loads(body)["instances"]}


def told(system: System) -> list[str]:
    return [step["reason"] for step in system.state()["ladder"] if step["step"] == "supervisor"]


def chat(system: System) -> int:
    body = {"model": system.document["model"], "messages": [{"role": "user", "content": "one"}], "max_tokens": 4}
    return post(f"{system.public}/v1/chat/completions", body)[0]


def test_the_controller_has_engines_started_and_requests_outlive_supervisor_and_engine(tmp_path: Path) -> None:
    with (
        no_engine_left(tmp_path / "engines"),
        running(tmp_path, "supervise", "router", "controller", change=one_pool_of_own_engines) as system,
    ):
        system.until(lambda: states(system) == ["serving", "serving"], "the second engine was started")
        before = engines_of(system)
        assert chat(system) == 200
        system.kill("supervise")
        system.until(lambda: bool(told(system)), "a supervisor that does not answer is a fault")
        assert "nothing starts or stops engines" in told(system)[0]
        assert states(system) == ["serving", "serving"]
        assert chat(system) == 200
        system.start("supervise")
        system.until(lambda: not told(system), "it is over")
        assert {name: entry["pid"] for name, entry in engines_of(system).items()} == {
            name: entry["pid"] for name, entry in before.items()
        }
        system.until(lambda: set(seen_by_the_router(system).values()) == {"up"}, "the router knows of both")
        os.kill(before["bf16-0"]["pid"], signal.SIGKILL)
        system.until(lambda: engines_of(system)["bf16-0"]["restarts"] == 1, "the killed engine is started again")
        assert [chat(system) for _ in range(4)] == [200] * 4
        system.until(lambda: states(system) == ["serving", "serving"], "and serves")
