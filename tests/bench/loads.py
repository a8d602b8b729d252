"""The basic loads, and what they cost a proxy in the kernel's account."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from tests.bench import wrk
from tests.bench.engines import LOAD_CORE, Counts, RunningEngine
from tests.bench.processes import CpuTime, Processes, Started, cpu_time, rss_kb
from tests.bench.wrk import Shape, WrkReport

PLAIN = Shape("plain", 32)
VARIED = Shape("varied", 32)
STREAM = Shape("stream", 256)
SINGLE = Shape("plain", 1)
STREAM_S = 64 * 0.02
"""What a stream lasts. All begin at once, so a window should hold a whole number of them."""


@dataclass(frozen=True)
class Window:
    """How long a load runs: to warm up, and to be measured."""

    warm_s: float
    measured_s: float


@dataclass(frozen=True)
class Cost:
    """A load's steady middle: what was served, and what it cost the proxy.

    Attributes:
        seconds: length of the window.
        served: requests and chunks that reached or left the engine within it.
        cpu: of the proxy's process tree within it.
        rss_kb: of the tree at its end.
        report: wrk's, of the whole run.
    """

    seconds: float
    served: Counts
    cpu: CpuTime
    rss_kb: int
    report: WrkReport

    @property
    def per_request_us(self) -> float:
        return self.cpu.total_s / self.served.requests * 1e6

    @property
    def per_chunk_us(self) -> float:
        """The stream's requests included, as they are a part of what a chunk costs."""
        return self.cpu.total_s / self.served.chunks * 1e6

    @property
    def system_frac(self) -> float:
        """Share of the CPU time that the kernel spent."""
        return self.cpu.system_s / self.cpu.total_s

    @property
    def per_core_s(self) -> float:
        """Requests a second that would fill one core."""
        return self.served.requests / self.cpu.total_s


def run_wrk(processes: Processes, shape: Shape, url: str, *, seconds: float) -> WrkReport:
    """Run a load to its end.

    Raises:
        ValueError: wrk did not report, or nothing was answered.
    """
    with processes.running("wrk", wrk.command(shape, url, seconds=seconds), core=LOAD_CORE) as started:
        _wait(started, seconds + 30)
    report = wrk.parse(started.log.read_text())
    if report.requests == 0:
        raise ValueError(f"no request was answered in {seconds:.0f} s")
    return report


def measure(processes: Processes, shape: Shape, url: str, *, pid: int, engine: RunningEngine, window: Window) -> Cost:
    """Run a load and account for its middle, where neither its beginning nor its end is felt.

    Raises:
        ValueError: wrk did not report, or nothing was served.
    """
    whole_s = window.warm_s + window.measured_s + 1.0
    with processes.running("wrk", wrk.command(shape, url, seconds=whole_s), core=LOAD_CORE) as started:
        time.sleep(window.warm_s)
        cpu, counts, begun_s = cpu_time(pid), engine.counts(), time.monotonic()
        time.sleep(window.measured_s)
        used, served, seconds = cpu_time(pid) - cpu, engine.counts() - counts, time.monotonic() - begun_s
        rss = rss_kb(pid)
        _wait(started, whole_s + 30)
    if served.requests == 0:
        raise ValueError(f"nothing was served in {seconds:.1f} s")
    return Cost(seconds, served, used, rss, wrk.parse(started.log.read_text()))


def _wait(started: Started, within_s: float) -> None:
    try:
        started.process.wait(within_s)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"wrk did not end: {started.last_words()}") from error
