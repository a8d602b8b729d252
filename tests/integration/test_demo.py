"""The demo as a newcomer runs it: real processes, real requests, an event."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("demo")]


def demo(folder: Path, *arguments: str) -> list[str]:
    data = ["--data-dir", str(folder / "data")]
    return [sys.executable, "-m", "controller.cli", "demo", "--headless", *data, *arguments]


def survivors(folder: Path) -> list[str]:
    """Command lines of processes that still speak of the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and "--headless" not in line:
            found.append(line)
    return found


def test_a_short_run_serves_everything_and_tells_of_the_event(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = subprocess.run(
        demo(tmp_path, "--seconds", "36", "--speed", "2", "--json", str(out)),
        cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert figures["requests_sent"] == figures["requests_ok"] > 200
    assert figures["tokens_lost"] == 0
    assert figures["faults"] == []
    assert figures["tokens_served"] > 20_000
    assert figures["event"]["limit_kw"] < figures["event"]["baseline_kw"]
    assert figures["event"]["intervals_after_ramp"] > 0
    assert figures["solver"]["slow_ms_p50"] > 0
    assert figures["simulated"]["tokens_lost"] == 0
    # The simulator and the emulator share their physics, so a large difference means that one of them misbehaves.
    assert abs(figures["simulated"]["measured_over_simulated_frac"]) < 0.25
    (folder,) = (tmp_path / "data").iterdir()
    assert json.loads((folder / "summary.json").read_text()) == figures
    assert (folder / "power.csv").read_text().count("\n") > 30
    assert (folder / "ledger.sqlite").is_file()
    assert "EMULATED" in done.stdout
    assert survivors(folder) == []
    again = subprocess.run(
        demo(tmp_path, "--seconds", "20", "--speed", "1", "--config", f"{folder}/wattroute.yaml", "--json", str(out)),
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert json.loads(out.read_text())["tokens_lost"] == 0
    assert "event sent" in again.stdout + again.stderr


def test_ctrl_c_stops_everything_and_still_tells_what_ran(tmp_path: Path) -> None:
    with subprocess.Popen(
        demo(tmp_path, "--seconds", "60", "--speed", "2"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        folder = wait_for_run(tmp_path / "data", running)
        time.sleep(8)
        running.send_signal(signal.SIGINT)
        told, log = running.communicate(timeout=60)
    assert running.returncode == 130, log
    assert "summary" in told
    figures = json.loads((folder / "summary.json").read_text())
    assert figures["interrupted"] is True
    assert figures["tokens_lost"] == 0
    assert survivors(folder) == []


def test_no_process_outlives_a_killed_demo(tmp_path: Path) -> None:
    with subprocess.Popen(
        demo(tmp_path, "--seconds", "60"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        folder = wait_for_run(tmp_path / "data", running)
        os.kill(running.pid, signal.SIGKILL)
    until_s = time.monotonic() + 30
    while survivors(folder) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert survivors(folder) == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        demo(tmp_path, "--config", str(tmp_path / "gone.yaml")),
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "gone.yaml" in done.stderr


def wait_for_run(data: Path, running: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Path:
    """The run's folder, once all its processes write their logs."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        assert running.poll() is None, "the demo ended early"
        for folder in data.iterdir() if data.exists() else ():
            logs = [folder / "logs" / f"{name}.log" for name in ("emulator", "router", "controller")]
            if all(log.exists() and log.stat().st_size for log in logs):
                return folder
        time.sleep(0.1)
    raise AssertionError("the demo did not start its processes")
