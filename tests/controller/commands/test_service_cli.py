from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.fakes.wattroute_command import LAPTOP, configuration, free_port, one_line_error, wattroute


@pytest.fixture
def taken_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


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
