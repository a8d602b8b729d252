from __future__ import annotations

from pathlib import Path

from tests.fakes.wattroute_command import LAPTOP, one_line_error, wattroute


def test_a_bare_install_says_what_to_install_for_the_controller(tmp_path: Path) -> None:
    result = wattroute("controller", "--config", str(LAPTOP), cwd=tmp_path, hide="cvxpy numpy rich")
    assert result.returncode == 2
    assert "pip install 'wattroute[controller]'" in one_line_error(result)


def test_an_unknown_log_level_is_refused(tmp_path: Path) -> None:
    result = wattroute("controller", "--config", str(LAPTOP), "--log-level", "loud", cwd=tmp_path)
    assert result.returncode == 2
    assert "'loud' is not one of" in one_line_error(result)
