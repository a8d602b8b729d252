from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from controller.errors import ConfigError
from controller.model.perf import Evidence
from controller.service.compose import build_site
from controller.settings import curves_file
from controller.settings.file import load
from controller.study.curves.command import CurvesOptions, run
from tests.fakes.profiles import file_of, profiled
from tests.fakes.system import laptop_on_free_ports


@pytest.fixture
def document() -> dict[str, Any]:
    return dict(yaml.safe_load(file_of(profiled(noise=0.01)).text()))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = file_of(profiled(noise=0.01))
    path = tmp_path / "c.yaml"
    path.write_text(file.text())
    assert curves_file.read(path) == file
    assert curves_file.read(path).curves().uncertainty == file.curves().uncertainty


CONTRADICTION = [[(1.0 if i == j else -0.9) * 1e-12 for j in range(6)] for i in range(6)]
"""Each pair could be, all together cannot."""


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("parameters", "step_base_s"), -1, r"parameters\.step_base_s"),
        (("parameters", "kv_capacity_tokens"), "many", r"parameters\.kv_capacity_tokens"),
        (("parameters", "step_bases"), 1, "did you mean 'step_base_s'"),
        (("covariance", "matrix"), [[1.0]], "6 rows of 6"),
        (("covariance", "parameters"), ["a"], "in this order"),
        (("provenance", "kernel"), "", r"provenance\.kernel"),
        (("covariance", "matrix"), CONTRADICTION, "correlations contradict each other"),
        (("wattroute_curves",), 2, r"wattroute_curves.*form 2 is unknown.*profile again"),
    ],
)
def test_a_bad_file_is_told_by_file_and_key(
    tmp_path: Path, document: dict[str, Any], place: tuple[str, ...], value: object, told: str
) -> None:
    part = document
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match=told) as error:
        curves_file.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "\x00"])
def test_what_is_no_curves_file_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        curves_file.read(path)


def test_a_configuration_names_the_file_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / "fp8.yaml").write_text(file_of(profiled()).text())

    def use(document: dict[str, Any]) -> None:
        document["plan"]["pools"]["fp8"]["curves"] = "curves/fp8.yaml"

    laptop_on_free_ports(tmp_path, use)
    monkeypatch.chdir("/")
    site = build_site(load(tmp_path / "wattroute.yaml"))
    pool = next(pool for pool in site.pools if pool.pool_id == "fp8")
    assert pool.curves.group_provenance.decode.evidence is Evidence.MEASURED
    assert "wattroute profile of 2026-03-04" in pool.curves.provenance.source
    assert pool.curves.uncertainty is not None
    out = io.StringIO()
    run(CurvesOptions(config=tmp_path / "wattroute.yaml", as_json=True), Console(file=out))
    shown = [row for cls in json.loads(out.getvalue())["classes"] for row in cls["rows"] if row["name"] == "fp8"]
    assert {row["provenance"]["decode"]["evidence"] for row in shown} == {"measured"}
    assert {row["provenance"]["states"]["evidence"] for row in shown} == {"estimated"}


def test_a_configuration_that_names_an_absent_file_says_where(tmp_path: Path) -> None:
    def use(document: dict[str, Any]) -> None:
        document["plan"]["pools"]["fp8"]["curves"] = "absent.yaml"

    laptop_on_free_ports(tmp_path, use)
    with pytest.raises(ConfigError, match=r"plan\.pools\.fp8\.curves: .*absent\.yaml"):
        build_site(load(tmp_path / "wattroute.yaml"))
