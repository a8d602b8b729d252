from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.played_event import played
from tests.fakes.wattroute_command import LAPTOP, one_line_error, wattroute


@pytest.mark.parametrize("command", ["power", "feeds"])
def test_a_missing_configuration_is_a_clear_error(tmp_path: Path, command: str) -> None:
    result = wattroute(command, "--config", "absent.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert "absent.yaml: no such file" in one_line_error(result)


def test_feeds_of_a_configuration_are_asked(tmp_path: Path) -> None:
    result = wattroute("feeds", "--config", str(LAPTOP), "--json", cwd=tmp_path)
    assert result.stderr == ""
    assert json.loads(result.stdout)["price_usd_per_mwh"]["known"]["quality"] == "recorded"


@pytest.mark.parametrize(("command", "verb"), [("meter", "import"), ("ledger", "verify")])
def test_help_is_that_of_the_commands_behind_it(tmp_path: Path, command: str, verb: str) -> None:
    shown = wattroute(command, "--help", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"Usage: wattroute {command} [OPTIONS] COMMAND" in shown.stdout
    assert verb in shown.stdout


def test_the_exit_code_of_the_ledgers_check_is_passed_on(tmp_path: Path) -> None:
    assert wattroute("ledger", "verify", "--file", str(played(tmp_path)), cwd=tmp_path).returncode == 3, "no head"


def test_an_event_is_reported_and_one_that_is_unknown_is_named(tmp_path: Path) -> None:
    path = str(played(tmp_path))
    told = wattroute("report", "evening", "--file", path, "--out", "told", cwd=tmp_path)
    assert told.stderr == ""
    assert {file.suffix for file in (tmp_path / "told").iterdir()} == {".html", ".csv", ".json"}
    unknown = wattroute("report", "morning", "--file", path, cwd=tmp_path)
    assert unknown.returncode == 1
    assert "no event 'morning'; the latest are: evening" in one_line_error(unknown)
