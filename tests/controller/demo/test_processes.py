from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from controller.clock import SystemClock
from controller.demo import processes
from controller.demo.processes import ChildError

WAITS = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def until_logged(child: processes.Child, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in child.log_path.read_text():
            await asyncio.sleep(0.02)


async def test_children_write_to_their_logs_and_stop_when_asked(tmp_path: Path) -> None:
    child = processes.start("sleeper", python(WAITS), tmp_path / "sleeper.log")
    await until_logged(child, "up")
    processes.check([child])
    await processes.stop([child], SystemClock())
    assert child.process.returncode == -signal.SIGTERM


async def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    child = processes.start("deaf", python(DEAF), tmp_path / "deaf.log")
    await until_logged(child, "up")
    await processes.stop([child], SystemClock(), grace_s=0.2)
    assert child.process.returncode == -signal.SIGKILL


def test_a_child_that_ended_is_told_with_its_last_lines(tmp_path: Path) -> None:
    child = processes.start(
        "broken", python("print('cannot listen on 1.2.3.4'); raise SystemExit(3)"), tmp_path / "b.log"
    )
    child.process.wait()
    with pytest.raises(ChildError, match=r"the broken ended with exit code 3; its log ends:\n  \| cannot listen"):
        processes.check([child])


def test_a_child_that_was_killed_is_told_by_its_signal(tmp_path: Path) -> None:
    child = processes.start("victim", python(WAITS), tmp_path / "v.log")
    child.process.kill()
    child.process.wait()
    with pytest.raises(ChildError, match="the victim ended with signal SIGKILL"):
        processes.check([child])


async def test_waiting_ends_with_a_child_that_dies(tmp_path: Path) -> None:
    child = processes.start("broken", python("raise SystemExit(1)"), tmp_path / "b.log")
    async with aiohttp.ClientSession() as session:
        wait = processes.Wait(session, SystemClock(), asyncio.Event())
        with pytest.raises(ChildError, match="the broken ended"):
            await processes.until_ready([child], "http://127.0.0.1:9/", wait)


async def test_waiting_ends_when_the_user_stops(tmp_path: Path) -> None:
    child = processes.start("sleeper", python(WAITS), tmp_path / "s.log")
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, stop.set)
    try:
        async with aiohttp.ClientSession() as session:
            wait = processes.Wait(session, SystemClock(), stop)
            await processes.until_ready([child], "http://127.0.0.1:9/", wait)
    finally:
        processes.kill([child])
    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's own")
def test_no_child_outlives_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from controller.demo import processes\n"
        f"child = processes.start('c', [sys.executable, '-c', {WAITS!r}], Path({str(tmp_path / 'c.log')!r}))\n"
        "print(child.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    for _ in range(500):
        if not is_alive(pid):
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the child went on without its parent")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
