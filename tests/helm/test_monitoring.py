"""What the chart brings for Prometheus goes by what it installs."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.helm.charts import CHART, needs_helm, objects, template, values_file

pytestmark = needs_helm
PARTS = ("agent", "controller", "router")


@pytest.mark.parametrize(
    ("values", "installed"),
    [
        ("agents", {"agent"}),
        ("controller-only", {"controller"}),
        ("router-only", {"router"}),
        ("sidecar", {"controller", "router"}),
        ("everything", {"agent", "controller", "router"}),
    ],
)
def test_what_is_not_installed_is_not_missed(values: str, installed: set[str]) -> None:
    done = template("-f", str(values_file(values)), "--set", "monitoring.prometheusRule.enabled=true")
    assert done.returncode == 0, done.stderr
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    [rule] = [document for document in documents if document["kind"] == "PrometheusRule"]
    groups = {group["name"] for group in rule["spec"]["groups"]}
    assert {part for part in PARTS if f"wattroute-{part}-presence" in groups} == installed
    assert groups >= {f"wattroute-{part}" for part in PARTS}


def test_dashboards_are_found_by_grafanas_label_and_are_whole() -> None:
    found = {}
    for document in objects(values_file("everything"), "ConfigMap"):
        if document["metadata"]["labels"].get("grafana_dashboard") == "1":
            found |= document["data"]
    wanted = {path.name: path.read_text() for path in (CHART / "files").glob("*.dashboard.json")}
    assert len(wanted) == 2
    assert {name: json.loads(text) for name, text in found.items()} == {
        name: json.loads(text) for name, text in wanted.items()
    }
    assert all(json.loads(text)["panels"] for text in found.values())


def jobs_of_routers(mode: str) -> set[str]:
    """The label `job` of each PodMonitor's routers: its namespace and name, unless it says otherwise."""
    settings = f"router.mode={mode},monitoring.podMonitor.enabled=true,router.sidecar.serviceAccountNames={{vllm}}"
    done = template("-f", str(values_file("both")), "--set", settings)
    assert done.returncode == 0, done.stderr
    found = set()
    for document in yaml.safe_load_all(done.stdout):
        if document and document["kind"] == "PodMonitor":
            (endpoint,) = document["spec"]["podMetricsEndpoints"]
            told = {rule["targetLabel"]: rule["replacement"] for rule in endpoint.get("relabelings", ())}
            name = f"{document['metadata']['namespace']}/{document['metadata']['name']}"
            found |= {told.get("job", name)} if endpoint["port"] == "router-admin" else set()
    return found


def test_routers_are_one_job_however_they_run_so_that_none_is_missed_on_the_way_to_sidecars_and_back() -> None:
    jobs = [jobs_of_routers(mode) for mode in ("gateway", "both", "sidecar")]
    assert jobs == [{"inference/rel-wattroute-router"}] * 3
