from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.study import scenario_file
from controller.study.registry import STUDIES
from controller.study.settings import parse
from controller.study.site.make_site import make_site
from controller.study.site.settings import SiteStudySettings

NAMES = [name for name, _ in scenario_file.shipped()]


@pytest.mark.parametrize("name", NAMES)
def test_each_shipped_scenario_reads_by_name(name: str) -> None:
    scenario = scenario_file.load(name, STUDIES)
    assert (scenario.name, bool(scenario.title)) == (name, True)
    assert isinstance(scenario.settings, scenario.study.settings)


def test_the_examples_of_the_guide_are_scenarios(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs/how-to/simulate.md").read_text()
    read = []
    for example in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL):
        path = tmp_path / "own.yaml"
        path.write_text(example)
        read.append(scenario_file.load(str(path), STUDIES))
    assert [(each.study.kind, each.title) for each in read] == [
        ("offline_routing", "Our two models"),
        ("fleet", "Our site in a summer week"),
        ("site", "Our site as it was on Tuesday"),
    ]


def test_the_series_of_the_guide_are_found_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (Path(__file__).parents[3] / "docs/how-to/simulate.md").read_text()
    (tmp_path / "own.yaml").write_text(re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)[2])
    hours = [f"2026-05-12T{hour}:00:00Z" for hour in range(12, 18)]
    for name, head in (("grid", "time,usd_per_mwh,kg_per_mwh"), ("demand", "time,output_tokens_per_s,unused")):
        (tmp_path / f"{name}.csv").write_text("\n".join((head, *(f"{hour},40,300" for hour in hours))))
    monkeypatch.chdir(tmp_path)
    case = make_site(parse((tmp_path / "own.yaml").read_text(), SiteStudySettings, "own"))
    assert set(case.asked_per_s[:, 0, 2]) == {40.0}


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((scenario_file.SHIPPED_DIR / "batching.yaml").read_text())
    assert scenario_file.load(str(path), STUDIES).name == "mine"


def test_an_unknown_name_gets_the_nearest_and_all_names() -> None:
    with pytest.raises(ConfigError, match=r"ofline-routing: no such file.*did you mean 'offline-routing'\?.*batching"):
        scenario_file.load("ofline-routing", STUDIES)


def test_an_unknown_kind_gets_the_nearest_and_all_kinds(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("kind: batchin\ntitle: T\n")
    with pytest.raises(ConfigError, match=r"x\.yaml: kind: .*'batchin'; did you mean 'batching'\?; known are "):
        scenario_file.load(str(path), STUDIES)


def test_a_file_without_a_kind_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("title: T\n")
    with pytest.raises(ConfigError, match="required key 'kind' is missing"):
        scenario_file.load(str(path), STUDIES)
