"""What is made from other files is up to date."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import yaml

from tests.helm.charts import CHART


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart_make", CHART.parent / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _module()
VALUES = (CHART / "values.yaml").read_text()


def leaves(values: Any, prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        found.append(name)
        if isinstance(value, dict):
            found += leaves(value, f"{name}.")
    return found


def test_the_readme_has_the_values_of_today() -> None:
    current = (CHART / "README.md").read_text()
    assert make.readme(current, VALUES) == current, "run: make chart"


def test_alerts_and_dashboards_are_those_of_deploy() -> None:
    wanted = make.copies()
    assert {path.name for path in (CHART / "files").iterdir()} == {path.name for path in wanted}
    for path, content in wanted.items():
        assert path.read_text() == content, f"{path.name} differs; run: make chart"


def test_every_value_is_documented_and_every_documented_value_exists() -> None:
    documented = [key for _, key, _ in make.parameters(VALUES)]
    assert len(documented) == len(set(documented))
    known = leaves(yaml.safe_load(VALUES))
    assert set(documented) <= set(known)
    for key in known:
        told = [key.startswith(f"{other}.") or other.startswith(f"{key}.") or other == key for other in documented]
        assert any(told), f"{key} has no line '## @param {key} ...'"


def test_a_new_value_shows_in_the_table() -> None:
    text = "## @section Part\n## @param a.b What it | means\na: {b: [1, 2]}\n"
    assert "| `a.b` | What it &#124; means | `[1, 2]` |" in make.table(text)
    assert make.readme(f"x\n{make.BEGIN}\nold\n{make.END}\ny\n", text).endswith(f"{make.END}\ny\n")


def test_the_chart_has_the_version_of_the_program() -> None:
    from router.version import VERSION

    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == VERSION
