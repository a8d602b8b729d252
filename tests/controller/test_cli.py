from __future__ import annotations

import json
from pathlib import Path

from tests.fakes.wattroute_command import one_line_error, wattroute


def test_help_lists_the_commands(tmp_path: Path) -> None:
    result = wattroute("--help", cwd=tmp_path)
    assert result.returncode == 0
    listed = [line.split()[0] for line in result.stdout.split("Commands:")[1].splitlines() if line.startswith("  ")]
    tried = ["demo", "simulate", "curves", "fit", "profile"]
    serving = ["router", "controller", "emulate", "supervise", "agent", "validate"]
    kept = ["power", "meter", "feeds", "ledger", "report"]
    calls = ["curtail", "events", "capability", "cancel", "opt-out", "opt-in", "derate", "derates", "derate-end"]
    assert listed == [*tried, *serving, *kept, "schema", "openapi", *calls, "quality"]


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    result = wattroute("contrôler", cwd=tmp_path)
    assert result.returncode == 2
    assert "No such command" in one_line_error(result)


def test_version(tmp_path: Path) -> None:
    assert wattroute("--version", cwd=tmp_path).stdout.startswith("wattroute 0.")


def test_schema_is_json(tmp_path: Path) -> None:
    assert json.loads(wattroute("schema", cwd=tmp_path).stdout)["additionalProperties"] is False


def test_openapi_is_json(tmp_path: Path) -> None:
    assert json.loads(wattroute("openapi", cwd=tmp_path).stdout)["openapi"].startswith("3.1")
