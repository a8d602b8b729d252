"""Faults of power sources, with every part a process of its own: what operators see, and that it passes.

GPUs and the site's meter are emulated; agents, controller, emulator and prometheus are the real ones.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.agent_process import agent_process
from tests.fakes.nvml import stub as nvml
from tests.fakes.nvml.stub import NvmlStub, needs_a_compiler
from tests.fakes.ports import free_ports
from tests.fakes.prometheus import running_prometheus
from tests.fakes.site_meter import PUE, SiteMeter, served
from tests.fakes.system import ROOT, System, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]

RULES = ROOT / "deploy" / "prometheus" / "wattroute-controller.rules.yaml"


async def until(system: System, holds: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    await asyncio.to_thread(system.until, lambda: holds(system.state()), what)
    return system.state()


async def shown_by_command(system: System) -> str:
    command = [sys.executable, "-m", "controller.cli", "power", "--seconds", "5"]
    found = await asyncio.to_thread(
        subprocess.run,
        [*command, "--config", str(system.folder / "wattroute.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout + found.stderr


def alert(name: str) -> str:
    """The expression of an alert as it is shipped."""
    rules = yaml.safe_load(RULES.read_text())["groups"]
    return next(rule["expr"] for group in rules for rule in group["rules"] if rule.get("alert") == name)


async def test_a_meter_ten_percent_below_the_gpus_raises_the_alarm_and_the_higher_counts(tmp_path: Path):
    signals: dict[str, Any] = {"power_ladder": {"site_conflict_frac": 0.05, "alarm_after_s": 2, "hold_s": 2}}

    def change(document: dict[str, Any]) -> None:
        document["signals"].update(signals)

    with running(tmp_path, "emulate", change=change) as system:
        meter = SiteMeter(system.emulator)
        async with (
            served(meter) as address,
            running_prometheus(tmp_path, address, f"{system.api}/metrics") as server,
        ):
            source = {"kind": "promql", "url": server.url, "power_query": "site_meter_watts[30s]", "unit": "W"}
            system.document["signals"]["meter"] = [{**source, "positive": "import"}]
            (tmp_path / "wattroute.yaml").write_text(yaml.safe_dump(system.document))
            await server.until("site_meter_watts", lambda found: bool(found))
            await asyncio.to_thread(system.start, "controller")
            well = await until(system, lambda s: s["power"]["rung"] == "meter", "the meter is stood on")
            assert well["power"]["conflicts"] == []
            meter.factor = 0.9
            apart = await until(system, lambda s: s["power"]["conflicts"] == ["site"], "the alarm")
            gpus_w = apart["power"]["measured_w"]
            assert gpus_w == pytest.approx(well["power"]["measured_w"], rel=0.03)
            await until(system, lambda s: any("site: sum of" in e["reason"] for e in s["ladder"]), "the ladder's line")
            await server.until(alert("WattroutePowerConflict"), lambda found: bool(found))
            told = await shown_by_command(system)
            assert "site: sum of GPUs says" in told, told
            meter.factor = 1.0
            await until(system, lambda s: s["power"]["conflicts"] == [], "the end of the alarm")
            await server.until(alert("WattroutePowerConflict"), lambda found: not found)
            log = (tmp_path / "controller.log").read_text()
            assert "site: sum of GPUs says" in log


def on_stub(document: dict[str, Any], stub: NvmlStub, port: int) -> list[str]:
    """Every GPU of the fleet behind one node agent; their UUIDs."""
    uuids: list[str] = []
    for pool in document["pools"]:
        plan = document["plan"]["pools"][pool["name"]]
        count = plan["gpus_per_instance"] * len(pool["instances"])
        own = [f"GPU-{len(uuids) + n}" for n in range(count)]
        each = plan["gpus_per_instance"]
        plan["gpu_uuids"] = [own[at : at + each] for at in range(0, count, each)]
        uuids += own
    for uuid in uuids:
        stub.add(uuid=uuid, draw=200_000)
    document["signals"]["dcgm_urls"] = []
    document["signals"]["power"] = [{"kind": "agent", "urls": [f"http://127.0.0.1:{port}"]}]
    document["signals"].update({"power_ladder": {"hold_s": 2}, "stale_s": 5})
    return uuids


def rung(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda shown: shown["power"]["rung"] == name


def agent_error(shown: dict[str, Any]) -> str:
    return str(shown["power"]["sources"][0]["error"])


@needs_a_compiler
async def test_gpus_drivers_and_agents_that_go_and_come_back_are_seen_by_the_controller(tmp_path: Path):
    (port,) = free_ports(1)
    stub, uuids = NvmlStub(tmp_path), list[str]()
    serving = ("--port", str(port))  # the last one given counts

    def change(document: dict[str, Any]) -> None:
        uuids.extend(on_stub(document, stub, port))

    with running(tmp_path, "emulate", change=change) as system:
        with agent_process(tmp_path, stub, *serving) as agent:
            await asyncio.to_thread(system.start, "controller")
            well = await until(system, rung("nvml"), "every GPU is read")
            assert well["power"]["measured_w"] == pytest.approx(PUE * 200 * len(uuids), rel=0.05)

            stub.gpu(3, ret=nvml.LOST)
            lost = await until(system, lambda s: "GPU-3" in str(s["power"]["missing"]), "the lost GPU is named")
            assert lost["power"]["measured_w"] is None  # a sum that leaves one out would look like a curtailment
            await until(system, rung("model"), "the model stands in")
            stub.gpu(3, ret=None)
            await until(system, rung("nvml"), "the GPU is back")

            stub.set(init=nvml.NOT_LOADED)
            gone = await until(system, rung("model"), "the driver is gone")
            assert "driver is not loaded" in agent_error(gone)
            stub.set(init=None)
            await until(system, rung("nvml"), "the driver is back")

            agent.process.send_signal(signal.SIGSTOP)
            frozen = await until(system, rung("model"), "a frozen agent is not believed")
            assert frozen["power"]["measured_w"] is None
            agent.process.send_signal(signal.SIGCONT)
            await until(system, rung("nvml"), "the agent goes on")
            agent.process.kill()
            dead = await until(system, rung("model"), "a killed agent is not believed")
            assert "cannot connect" in agent_error(dead)
        with agent_process(tmp_path, stub, *serving):
            back = await until(system, rung("nvml"), "another agent on its place is read")
        assert back["power"]["measured_w"] == pytest.approx(PUE * 200 * len(uuids), rel=0.05)
    assert "Traceback" not in (tmp_path / "controller.log").read_text()
