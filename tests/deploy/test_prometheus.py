"""What is shipped for Prometheus and Grafana speaks of metrics that exist, and works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from controller.agent.hub import Hub
from controller.agent.identity import Identity
from controller.agent.metrics import PREFIX as AGENT_PREFIX
from controller.agent.metrics import exposition as agent_exposition
from controller.agent.options import AgentOptions
from controller.background import Works
from controller.loop.clock_desk import ClockMetrics
from controller.metrics.background import BackgroundMetrics
from controller.metrics.energy import EnergyMetrics
from controller.metrics.grid import GridMetrics
from controller.metrics.leadership import LeadershipFigures, LeadershipMetrics
from controller.metrics.naming import PREFIX as CONTROLLER_PREFIX
from controller.metrics.telemetry import Telemetry
from controller.model.observation import Quality, Reading
from controller.signals.power.nvml_gpu import Method, Moment
from controller.signals.power.nvml_reader import GpuState, NvmlSnapshot
from controller.supervise.metrics import PREFIX as SUPERVISOR_PREFIX
from controller.supervise.metrics import exposition
from router.metrics import PREFIX, expose
from tests.fakes.controller_parts import NOW_S, site
from tests.fakes.snapshots import full_snapshot

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
PARTS = ("router", "controller")
WATCHED = (*PARTS, "supervisor", "agent")
NAME = re.compile(rf"\b(?:{PREFIX}|{CONTROLLER_PREFIX}|{SUPERVISOR_PREFIX}|{AGENT_PREFIX})\w+")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def promtool(*arguments: str, stdin: bytes | None = None) -> None:
    done = subprocess.run(
        ["promtool", *arguments], input=stdin, cwd=FOLDER, capture_output=True, timeout=60, check=False
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    assert stdin is None or not said, said


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """Every sample's name."""
    body, _ = expose(full_snapshot())
    return {sample.name for family in text_string_to_metric_families(body.decode()) for sample in family.samples}


@pytest.fixture(scope="module")
def told_by_the_controller() -> set[str]:
    """Every sample's name that a controller may show, whether it has a value yet or not."""
    registry = Telemetry(site()).registry
    BackgroundMetrics(registry, Works(Random(0)))
    GridMetrics(registry)
    ClockMetrics(registry)
    EnergyMetrics(registry)
    LeadershipMetrics(registry, lambda: LeadershipFigures(True, True, False, 1, 1000))
    families = registry.collect()
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))}


def told_by_the_supervisor() -> set[str]:
    """Every sample's name that a supervisor shows."""
    families = text_string_to_metric_families(exposition([]).decode())
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))}


def told_by_the_agent() -> set[str]:
    """Every sample's name that a node agent with one GPU shows."""
    reading = Reading(412.5, 8812.0, NOW_S, "nvml energy counter", Quality.DIRECT)
    gpu = GpuState("GPU-1", "H100", Method.ENERGY_COUNTER, reading)
    snapshot = NvmlSnapshot(Moment(NOW_S, 0.0), driver="580.95.05", gpus=(gpu,), events={})
    identity = Identity(AgentOptions(), {})
    body = agent_exposition(snapshot, Hub(4), identity, node="n", now_s=NOW_S, dcgm_names=False)
    families = text_string_to_metric_families(body.decode())
    return {sample.name for family in families for sample in family.samples}


def rules_of(part: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / f"wattroute-{part}.rules.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard(part: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"wattroute-{part}.dashboard.json").read_text())
    return document


def expressions(document: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]


@needs_promtool
def test_the_exposition_keeps_prometheus_conventions() -> None:
    promtool("check", "metrics", stdin=expose(full_snapshot())[0])


@needs_promtool
@pytest.mark.parametrize("part", WATCHED)
def test_the_rules_are_valid_and_their_own_tests_pass(part: str) -> None:
    promtool("check", "rules", f"wattroute-{part}.rules.yaml")
    promtool("test", "rules", f"wattroute-{part}.test.yaml")


@pytest.mark.parametrize("part", WATCHED)
def test_every_rule_has_a_test(part: str) -> None:
    tests = yaml.safe_load((FOLDER / f"wattroute-{part}.test.yaml").read_text())["tests"]
    raised = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert raised == {rule["alert"] for rule in rules_of(part)}


@pytest.mark.parametrize("part", WATCHED)
def test_rules_speak_of_metrics_that_exist(part: str, exposed: set[str], told_by_the_controller: set[str]) -> None:
    used = {name for rule in rules_of(part) for name in NAME.findall(rule["expr"])}
    assert used
    told = {"router": exposed, "controller": told_by_the_controller}
    told |= {"supervisor": told_by_the_supervisor(), "agent": told_by_the_agent()}
    assert used - told[part] == set()


@pytest.mark.parametrize("part", PARTS)
def test_the_dashboard_speaks_of_metrics_that_exist(
    part: str, exposed: set[str], told_by_the_controller: set[str]
) -> None:
    document = dashboard(part)
    variables = [variable["query"] for variable in document["templating"]["list"]]
    used = {name for text in (*expressions(document), *variables) for name in NAME.findall(text)}
    assert len(used) > 20
    assert used - (exposed if part == "router" else told_by_the_controller) == set()


@needs_promtool
@pytest.mark.parametrize("part", PARTS)
def test_the_dashboards_expressions_are_valid(part: str, tmp_path: Path) -> None:
    plain = [
        expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
        for expression in expressions(dashboard(part))
    ]
    rules = [{"record": f"panel:{number}", "expr": expr.replace("$class", ".*")} for number, expr in enumerate(plain)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(file))


@pytest.mark.parametrize("part", PARTS)
def test_panels_are_told_apart_and_do_not_overlap(part: str) -> None:
    panels = dashboard(part)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
