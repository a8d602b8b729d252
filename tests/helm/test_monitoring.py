"""What the chart brings for Prometheus goes by what it installs."""

from __future__ import annotations

import pytest
import yaml

from tests.helm.charts import needs_helm, template, values_file

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
