"""What is shipped for Prometheus and Grafana speaks of metrics that exist, and works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from router.metrics import PREFIX, expose
from tests.fakes.snapshots import full_snapshot

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "wattroute-router.rules.yaml"
DASHBOARD = FOLDER / "wattroute-router.dashboard.json"
NAME = re.compile(rf"\b{PREFIX}\w+")

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


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def expressions(document: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]


@needs_promtool
def test_the_exposition_keeps_prometheus_conventions() -> None:
    promtool("check", "metrics", stdin=expose(full_snapshot())[0])


@needs_promtool
def test_the_rules_are_valid_and_their_own_tests_pass() -> None:
    promtool("check", "rules", RULES.name)
    promtool("test", "rules", "wattroute-router.test.yaml")


def test_every_rule_has_a_test() -> None:
    rules = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    tests = yaml.safe_load((FOLDER / "wattroute-router.test.yaml").read_text())["tests"]
    raised = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert raised == rules


def test_rules_speak_of_metrics_that_exist(exposed: set[str]) -> None:
    used = {
        name
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
        for name in NAME.findall(rule["expr"])
    }
    assert used
    assert used - exposed == set()


def test_the_dashboard_speaks_of_metrics_that_exist(exposed: set[str]) -> None:
    document = dashboard()
    variables = [variable["query"] for variable in document["templating"]["list"]]
    used = {name for text in (*expressions(document), *variables) for name in NAME.findall(text)}
    assert len(used) > 25
    assert used - exposed == set()


@needs_promtool
def test_the_dashboards_expressions_are_valid(tmp_path: Path) -> None:
    plain = [
        expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
        for expression in expressions(dashboard())
    ]
    rules = [{"record": f"panel:{number}", "expr": expr.replace("$class", ".*")} for number, expr in enumerate(plain)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
