from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from controller.errors import ConfigError
from controller.study import command, scenario_file
from controller.study.command import SimulateOptions


def small(tmp_path: Path, **changes: object) -> str:
    document = {
        "kind": "offline_routing",
        "title": "Two models",
        "models": [
            {
                "name": name,
                "accuracy_frac": accuracy,
                "energy_j": {"input": 0.1, "output": joules},
                "runtime_s": {"input": 0.0, "output": 0.01},
                "servers": 4,
                "source": "made up",
            }
            for name, accuracy, joules in (("small", 0.5, 1.0), ("large", 0.8, 10.0))
        ],
        "queries": {
            "source": "synthetic",
            "count": 200,
            "seed": 3,
            "median_input_tokens": 100,
            "median_output_tokens": 50,
            "rate_rps": 2.0,
        },
        "zetas": [0, 0.5, 1],
        "online": {},
        **changes,
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def ran(scenario: str, **files: Path) -> str:
    out = io.StringIO()
    assert command.run(SimulateOptions(scenario, **files), Console(file=out, width=200)) == 0
    return out.getvalue()


def test_tables_are_printed_and_both_files_written(tmp_path: Path) -> None:
    printed = ran(small(tmp_path), json_file=tmp_path / "out.json", html_file=tmp_path / "out.html")
    assert "Zeta chosen automatically" in printed
    assert "Assumptions" in printed
    document = json.loads((tmp_path / "out.json").read_text())
    assert (document["scenario"], document["kind"], document["title"]) == ("small", "offline_routing", "Two models")
    assert document["settings"]["queries"]["seed"] == 3
    assert document["figures"]["result"]["queries"] == 200
    page = (tmp_path / "out.html").read_text()
    assert page.count("<svg") == 3
    assert not re.search(r"(?<!xmlns=\")(?<!xmlns:xlink=\")https?://", page)


def test_brackets_in_a_title_are_shown_as_they_are(tmp_path: Path) -> None:
    assert "Two [red]models[/red]" in ran(small(tmp_path, title="Two [red]models[/red]"))


def test_equal_input_gives_equal_files(tmp_path: Path) -> None:
    scenario = small(tmp_path)
    for name in ("a", "b"):
        ran(scenario, json_file=tmp_path / f"{name}.json", html_file=tmp_path / f"{name}.html")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    scenario = small(tmp_path)
    with pytest.raises(ConfigError, match=r"--json .*nowhere.*make it"):
        ran(scenario, json_file=tmp_path / "nowhere" / "x.json")
    with pytest.raises(ConfigError, match=r"--html .*is a folder"):
        ran(scenario, html_file=tmp_path)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    scenario = small(tmp_path)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ConfigError, match=r"--json .*x\.json: cannot be written: No space left"):
        ran(scenario, json_file=tmp_path / "x.json")


def test_an_interrupt_ends_with_a_status_and_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    scenario = scenario_file.load(small(tmp_path), command.STUDIES)
    stopped = dataclasses.replace(scenario, study=dataclasses.replace(scenario.study, run=interrupted))
    monkeypatch.setattr(command.scenario_file, "load", lambda *_: stopped)
    out = io.StringIO()
    options = SimulateOptions(small(tmp_path), json_file=tmp_path / "x.json")
    assert command.run(options, Console(file=out)) == 130
    assert "interrupted" in out.getvalue()
    assert not (tmp_path / "x.json").exists()


def test_the_list_names_every_shipped_scenario() -> None:
    out = io.StringIO()
    command.show_list(Console(file=out, width=200))
    assert all(name in out.getvalue() for name, _ in scenario_file.shipped())


@pytest.mark.parametrize("parts", ["x", "1:y", ":"])
def test_parts_that_are_none_are_refused_before_the_work(tmp_path: Path, parts: str) -> None:
    with pytest.raises(ConfigError, match="0:20"):
        command.run(SimulateOptions(small(tmp_path), parts=parts))


@pytest.mark.parametrize(("options", "told"), [({"jobs": 0}, "--jobs 0"), ({"jobs": 1000}, "--jobs 1000")])
def test_a_number_of_processes_that_is_none_is_refused(tmp_path: Path, options: dict[str, int], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        command.run(SimulateOptions(small(tmp_path), **options))


def test_figures_are_not_kept_in_a_file(tmp_path: Path) -> None:
    scenario = small(tmp_path)
    with pytest.raises(ConfigError, match="name a folder"):
        command.run(SimulateOptions(scenario, keep=Path(scenario)))


def test_a_study_of_one_run_has_no_parts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one run"):
        command.run(SimulateOptions(small(tmp_path), jobs=2))


def test_parts_are_a_number_or_a_range() -> None:
    assert SimulateOptions("x", parts="7").working.parts == (7, 8)
    assert SimulateOptions("x", parts="3:9").working.parts == (3, 9)
    assert SimulateOptions("x").working.parts is None
