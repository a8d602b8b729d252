from __future__ import annotations

import asyncio
import io
import json
import logging
from pathlib import Path

import pytest
from rich.console import Console

from controller.clock import SystemClock
from controller.demo import processes, stage, starting
from controller.demo import run as run_module
from controller.demo.options import DemoOptions
from controller.demo.processes import ChildError
from controller.demo.run import Demo
from controller.errors import ConfigError


def demo(folder: Path, out: io.StringIO | None = None) -> tuple[Demo, stage.Stage]:
    prepared = stage.prepare(DemoOptions(headless=True, seconds=20.0, data_dir=folder), 1_700_000_000.0)
    return Demo(prepared, SystemClock(), Console(file=out or io.StringIO(), width=100), is_live=False), prepared


def test_a_wrong_option_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--seconds 1 is too short"):
        run_module.run(DemoOptions(seconds=1.0, data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


async def test_a_process_that_fails_is_told_and_the_others_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[processes.Child] = []

    async def emulator_is_ready(children: list[processes.Child], url: str, wait: processes.Wait) -> None:
        if len(children) > 1:
            await really_ready(children, url, wait)

    real, really_ready = processes.start, processes.until_ready
    monkeypatch.setattr(processes, "until_ready", emulator_is_ready)

    def start(name: str, argv: list[str], log_path: Path) -> processes.Child:
        code = "raise SystemExit('no such model')" if name == "router" else "import time; time.sleep(60)"
        started.append(real(name, [argv[0], "-c", code], log_path))
        return started[-1]

    monkeypatch.setattr(processes, "start", start)
    played, prepared = demo(tmp_path)
    with pytest.raises(ChildError, match=r"the router ended with exit code 1; its log ends:\n  \| no such model"):
        await played.run()
    assert [child.name for child in started] == ["emulator", "router"]
    assert all(child.process.returncode is not None for child in started)
    assert not (prepared.folder / stage.SUMMARY_NAME).exists()


async def test_stopping_while_it_starts_ends_with_130_and_no_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = processes.start
    monkeypatch.setattr(
        processes, "start", lambda name, argv, log: real(name, [argv[0], "-c", "import time; time.sleep(60)"], log)
    )
    played, prepared = demo(tmp_path)
    asyncio.get_running_loop().call_later(0.2, played.interrupt)
    assert await played.run() == 130
    assert not (prepared.folder / stage.SUMMARY_NAME).exists()


async def test_stopping_in_the_run_tells_what_ran_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def ready(*arguments: object) -> None:
        return

    real = processes.start
    monkeypatch.setattr(
        processes, "start", lambda name, argv, log: real(name, [argv[0], "-c", "import time; time.sleep(60)"], log)
    )
    monkeypatch.setattr(processes, "until_ready", ready)
    monkeypatch.setattr(starting, "until_obeyed", ready)
    out = io.StringIO()
    played, prepared = demo(tmp_path, out)
    asyncio.get_running_loop().call_later(1.0, played.interrupt)
    with caplog.at_level(logging.WARNING):
        assert await played.run() == 130
    figures = json.loads((prepared.folder / stage.SUMMARY_NAME).read_text())
    assert figures["interrupted"] is True
    # Nobody listens: what was sent failed, and is told as lost.
    assert figures["requests_ok"] == 0
    assert "cannot connect" in figures["faults"][0]
    assert str(prepared.folder) in out.getvalue().replace("\n", "")
