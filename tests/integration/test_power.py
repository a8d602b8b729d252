"""Power from the real parts there are: a prometheus, the node agent as a process, the emulator's exporter."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
import yaml

from controller.background import Works
from controller.clock import SystemClock
from controller.signals.power.open_source import open_source
from tests.fakes.agent_process import agent_process
from tests.fakes.nvml.stub import NvmlStub, needs_a_compiler
from tests.fakes.prometheus import running_prometheus
from tests.fakes.system import System, running

pytestmark = pytest.mark.timeout(180)


def power(system: System) -> tuple[int, dict]:
    """Exit code and answer of `wattroute power`."""
    command = [sys.executable, "-m", "controller.cli", "power", "--json", "--seconds", "4"]
    result = subprocess.run(
        [*command, "--config", str(system.folder / "wattroute.yaml")], capture_output=True, text=True, check=False
    )
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def rewrite(system: System, signals: dict) -> None:
    document = {**system.document, "signals": {**system.document["signals"], **signals}}
    (system.folder / "wattroute.yaml").write_text(yaml.safe_dump(document))


@pytest.mark.e2e
@pytest.mark.xdist_group("system")
async def test_an_exporter_and_a_real_prometheus_behind_it_agree(tmp_path: Path):
    with running(tmp_path, "emulate") as system:
        async with running_prometheus(tmp_path, f"{system.emulator}/metrics") as server:
            metric = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
            await server.until(f"count_over_time({metric}[1m])", lambda r: r and int(r[0]["value"][1]) >= 4)
            rewrite(system, {"power": [{"kind": "promql", "url": server.url}]})
            code, told = await asyncio.to_thread(power, system)
            gpus = len(told["gpu_power"])
            assert code == 0
            assert gpus > 0
            assert told["ladder"]["rung"] == "dcgm"
            assert [(s["name"], s["gpus"], s["error"]) for s in told["ladder"]["sources"]] == [
                ("dcgm", gpus, None),
                ("promql", gpus, None),
            ]
            assert told["ladder"]["conflicts"] == []
            assert told["site_power"]["quality"] == "emulated"
            rewrite(system, {"dcgm_urls": [], "power": [{"kind": "promql", "url": server.url}]})
            _, by_prometheus = await asyncio.to_thread(power, system)
        assert by_prometheus["site_power"]["value_w"] == pytest.approx(told["site_power"]["value_w"], rel=0.05)
        code, gone = await asyncio.to_thread(power, system)
        assert code == 1
        assert "cannot connect" in gone["ladder"]["sources"][0]["error"]


@needs_a_compiler
async def test_power_from_a_real_agent_is_two_seconds_old_at_most_and_ages_when_it_dies(tmp_path: Path):
    stub = NvmlStub(tmp_path)
    stub.add(uuid="GPU-a", draw=437_000)
    token = tmp_path / "token"
    token.write_text("t" * 24)
    clock = SystemClock()
    with agent_process(tmp_path, stub, "--token-file", str(token)) as agent:
        text = f"agent={agent.url}?token_file={token}"
        async with open_source(text, clock, Works(Random(0)), timeout_s=10.0) as source:
            async with asyncio.timeout(60):
                while not (readings := (await source.read(clock.wall_s()))[0]) or readings["GPU-a"].energy_j is None:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(3.0)
            readings, errors = await source.read(clock.wall_s())
            seen = readings["GPU-a"]
            assert errors == ()
            assert seen.value_w == pytest.approx(437, rel=0.05)
            assert time.time() - seen.observed_at_s <= 2.0
            agent.process.kill()
            async with asyncio.timeout(20):
                while not errors:
                    await asyncio.sleep(0.1)
                    readings, errors = await source.read(clock.wall_s())
            await asyncio.sleep(1.0)
            old = (await source.read(clock.wall_s()))[0]["GPU-a"]
            assert old == readings["GPU-a"]
            assert agent.url in errors[0].source
