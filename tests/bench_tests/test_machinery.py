"""Processes are accounted for and none is left over; the programs in C compile and agree with each other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench import load
from tests.bench.bench import Bench
from tests.bench.engines import Engine, compiled
from tests.bench.processes import Processes, cpu_time, descendants, rss_kb
from tests.bench.results import Results

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the kernel's account of processes is Linux's"),
    pytest.mark.xdist_group("bench"),
]
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("taskset", "setpriv"))), reason="taskset and setpriv of util-linux are absent"
)
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is absent: apt-get install gcc libc6-dev")
needs_two_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="the load has a core of its own")
FAMILY = "sleep 60 & setsid sleep 60 & echo started; wait"
"""A shell with a child, and one in a session of its own."""

HARNESS = """
import sys, time
from pathlib import Path
from tests.bench.processes import Processes, wait_for
with Processes(Path(sys.argv[1])) as processes:
    started = processes.start("family", ["sh", "-c", sys.argv[2]], core=0)
    wait_for(started.log, started)
    print(started.pid, flush=True)
    time.sleep(60)
"""


def is_gone(pid: int) -> bool:
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return True
        time.sleep(0.02)
    return False


@needs_tools
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_harness_is_ended(number: int, tmp_path: Path) -> None:
    # Of a shell's background job SIGINT is ignored, and so it is in what the job starts.
    ends = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)); {ends}{HARNESS}"
    command = [sys.executable, "-c", "import sys;" + code, str(tmp_path), FAMILY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        family = descendants(int(harness.stdout.readline()))
        assert len(family) == 3
        harness.send_signal(number)
        harness.communicate(timeout=20)
    assert all(map(is_gone, family))


@needs_tools
def test_what_a_proxy_leaves_behind_is_counted_and_ended(tmp_path: Path) -> None:
    script = """
from pathlib import Path
import sys
from tests.bench.processes import Processes, descendants, wait_for
with Processes(Path(sys.argv[1])) as processes:
    with processes.running("peer", ["sh", "-c", sys.argv[2]], core=0) as started:
        wait_for(started.log, started)
        family = descendants(started.pid)
    print(processes.leaked, *family)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), FAMILY], capture_output=True, text=True, timeout=30, check=True
    )
    leaked, _, pids = done.stdout.strip().partition("} ")
    assert leaked == "{'peer': 2"
    assert all(is_gone(int(pid)) for pid in pids.split())


def test_cpu_time_of_children_counts() -> None:
    before = cpu_time(os.getpid())
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    used = cpu_time(os.getpid()) - before
    assert used.total_s >= 0.15
    assert used.user_s <= used.total_s


def test_memory_is_in_kilobytes() -> None:
    assert 5_000 < rss_kb(os.getpid()) < 5_000_000


@needs_gcc
@needs_tools
@needs_two_cores
def test_load_and_engine_agree(tmp_path: Path) -> None:
    """The C programs, without a proxy: nothing fails, each client that leaves is seen to leave."""
    with Processes(tmp_path) as processes:
        bench = Bench(processes, tmp_path / "build", Results())
        with bench.engine(Engine(chunks=4, interval_us=500, delay_us=500, addresses=3)) as engine:
            assert [url.split(":")[1] for url in engine.urls] == ["//127.0.0.1", "//127.0.0.2", "//127.0.0.3"]
            options = {"connections": 8, "requests": 400, "stream": 0.5, "gone_within": 0.5, "seed": 3}
            with load.running_load(bench, ports=engine.port, **options) as started:
                started.process.wait(30)
            (sent,) = load.parse(started.log.read_text())
            counts = engine.counts()
    assert (sent.sent, sent.failed) == (400, 0)
    assert sent.done + sent.gone == 400
    assert sent.gone > 0
    assert counts.requests == 400
    assert 0 < counts.gone <= sent.gone
    assert sent.ttft_ms is not None
    assert sent.ttft_ms.p50 >= 0.5


@needs_gcc
def test_a_program_is_compiled_once(tmp_path: Path) -> None:
    first = compiled("load", tmp_path).stat().st_mtime_ns
    assert compiled("load", tmp_path).stat().st_mtime_ns == first
