from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAPTOP = ROOT / "deploy" / "examples" / "laptop.yaml"


def wattroute(*arguments: str, cwd: Path, hide: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command as a user would; `hide` makes a package impossible to import."""
    code = f"import sys; sys.modules.update(dict.fromkeys({hide.split()!r})); from controller.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


@pytest.fixture
def taken_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def configuration(tmp_path: Path, **changes: str) -> Path:
    text = LAPTOP.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "wattroute.yaml"
    path.write_text(text)
    return path


def one_line_error(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result.stderr


def test_help_lists_the_commands(tmp_path: Path) -> None:
    result = wattroute("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert all(
        name in result.stdout
        for name in ("demo", "simulate", "router", "controller", "emulate", "validate", "curves", "fit")
    )
    assert "schema" in result.stdout


def test_version(tmp_path: Path) -> None:
    assert wattroute("--version", cwd=tmp_path).stdout.startswith("wattroute 0.")


def test_schema_is_json(tmp_path: Path) -> None:
    assert json.loads(wattroute("schema", cwd=tmp_path).stdout)["additionalProperties"] is False


def test_validate_accepts_an_example(tmp_path: Path) -> None:
    result = wattroute("validate", str(LAPTOP), cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip().endswith("ok: 3 pools, 3 classes")


def test_validate_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    path = tmp_path / "wattroute.yaml"
    path.write_text(LAPTOP.read_text().replace("static_weight: 2 ", "static_wieght: 2 "))
    result = wattroute("validate", "--config", str(path), cwd=tmp_path)
    assert result.returncode == 2
    assert f"{path}:15: unknown key 'pools.0.static_wieght'; did you mean 'static_weight'?" in one_line_error(result)


def test_validate_without_a_file_says_how(tmp_path: Path) -> None:
    result = wattroute("validate", cwd=tmp_path)
    assert result.returncode == 2
    assert "wattroute validate FILE" in one_line_error(result)


@pytest.mark.parametrize("command", ["controller", "emulate", "router", "validate"])
def test_a_missing_configuration_is_a_clear_error(tmp_path: Path, command: str) -> None:
    result = wattroute(command, "--config", "absent.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert "absent.yaml: no such file" in one_line_error(result)


def test_the_router_starts_without_the_controllers_dependencies(tmp_path: Path) -> None:
    result = wattroute("router", "--check", "--config", str(LAPTOP), cwd=tmp_path, hide="cvxpy numpy rich")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_bare_install_says_what_to_install_for_the_controller(tmp_path: Path) -> None:
    result = wattroute("controller", "--config", str(LAPTOP), cwd=tmp_path, hide="cvxpy numpy rich")
    assert result.returncode == 2
    assert "pip install 'wattroute[controller]'" in one_line_error(result)


@pytest.mark.parametrize(("command", "key"), [("controller", "port: 8090"), ("emulate", "control_port: 9400")])
def test_a_taken_port_is_named(tmp_path: Path, taken_port: int, command: str, key: str) -> None:
    path = configuration(tmp_path, **{key: f"{key.partition(':')[0]}: {taken_port}"})
    for port in ("9001", "9002", "9011", "9012", "9021"):
        path.write_text(path.read_text().replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}"))
    result = wattroute(command, "--config", str(path), cwd=tmp_path)
    assert result.returncode == 3
    assert f"cannot listen on 127.0.0.1:{taken_port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_data_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = configuration(
        tmp_path,
        **{"ercot_dam_lz_usd_per_mwh.csv": "no-such-prices.csv", "port: 8090": f"port: {free_port()}"},
    )
    result = wattroute("controller", "--config", str(path), cwd=tmp_path)
    assert result.returncode == 2
    assert "no-such-prices.csv" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_log_level_is_refused(tmp_path: Path) -> None:
    result = wattroute("controller", "--config", str(LAPTOP), "--log-level", "loud", cwd=tmp_path)
    assert result.returncode == 2
    assert "'loud' is not one of" in one_line_error(result)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_simulate_lists_the_shipped_scenarios(tmp_path: Path) -> None:
    result = wattroute("simulate", "--list", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert all(name in result.stdout for name in ("offline-routing", "batching"))


def test_simulate_asks_for_a_scenario_and_names_the_nearest(tmp_path: Path) -> None:
    none, unknown = wattroute("simulate", cwd=tmp_path), wattroute("simulate", "baching", cwd=tmp_path)
    assert (none.returncode, unknown.returncode) == (2, 2)
    assert "wattroute simulate --list" in one_line_error(none)
    assert "did you mean 'batching'?" in one_line_error(unknown)


def test_simulate_tells_what_a_scenario_has_wrong_and_where(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shipped = (ROOT / "controller/study/scenarios/offline-routing.yaml").read_text()
    path.write_text(shipped.replace("price_usd_per_mwh: 50", "price_usd_per_mwh: -50"))
    line = path.read_text()[: path.read_text().index("price_usd")].count("\n") + 1
    result = wattroute("simulate", str(path), cwd=tmp_path)
    assert result.returncode == 2
    assert f"{path}:{line}: choose.price_usd_per_mwh:" in one_line_error(result)
    assert "(got -50)" in result.stderr


def test_simulate_runs_without_matplotlib_but_for_the_page(tmp_path: Path) -> None:
    path = tmp_path / "few.yaml"
    shipped = (ROOT / "controller/study/scenarios/offline-routing-measured.yaml").read_text()
    path.write_text(shipped.replace("speed: 20 ", "first: 50 "))
    written = wattroute("simulate", str(path), "--json", "out.json", cwd=tmp_path, hide="matplotlib")
    assert (written.returncode, written.stderr) == (0, "")
    assert json.loads((tmp_path / "out.json").read_text())["figures"]["result"]["queries"] == 50
    page = wattroute("simulate", str(path), "--html", "out.html", cwd=tmp_path, hide="matplotlib")
    assert page.returncode == 2
    assert "pip install 'wattroute[study]'" in page.stderr
    assert not (tmp_path / "out.html").exists()


def test_curves_prints_the_map_and_tells_what_is_wrong_with_its_options(tmp_path: Path) -> None:
    shown = wattroute("curves", "qwen3-32b", "--itl-slo-ms", "40", cwd=tmp_path)
    assert shown.returncode == 0
    assert "at 40 ms between tokens" in shown.stdout
    unknown, zero = wattroute("curves", "qwen3-33b", cwd=tmp_path), wattroute("curves", "--itl-slo-ms=0", cwd=tmp_path)
    assert (unknown.returncode, zero.returncode) == (2, 2)
    assert "near it are qwen3-3" in one_line_error(unknown)
    assert "--itl-slo-ms 0" in one_line_error(zero)


def test_fit_prints_errors_and_tells_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    shown = wattroute("fit", "--markdown", cwd=tmp_path)
    assert shown.returncode == 0
    assert "#### Median held-out errors" in shown.stdout
    path = tmp_path / "mine.csv"
    path.write_text("configuration,batch,tokens_per_s,power_w,itl_ms\nmine,8,fast,900,31\n")
    wrong = wattroute("fit", "mine.csv", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "mine.csv, line 2, column tokens_per_s: 'fast' is no number" in one_line_error(wrong)


def test_fit_takes_windows_and_one_question_at_a_time(tmp_path: Path) -> None:
    shown = wattroute("fit", "--windows", "emulated", "--markdown", cwd=tmp_path)
    assert "#### Prefill and decode told apart" in shown.stdout
    both = wattroute("fit", "--windows", "emulated", "--workload", "synthetic", cwd=tmp_path)
    assert both.returncode == 2
    assert "ask one at a time" in one_line_error(both)


def test_the_published_models_need_the_extra_and_say_so(tmp_path: Path) -> None:
    result = wattroute("fit", "--workload", "synthetic", cwd=tmp_path, hide="statsmodels.api")
    assert result.returncode == 2
    assert "pip install 'wattroute[study]'" in one_line_error(result)
    assert wattroute("fit", "--json", cwd=tmp_path, hide="statsmodels.api").returncode == 0
