"""Processes of a run: started on a core of their own, accounted by the kernel, and none left over."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_S = 8.0
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class CpuTime:
    """CPU time of a process tree since it began."""

    user_s: float
    system_s: float

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s

    def __sub__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.user_s - other.user_s, self.system_s - other.system_s)


@dataclass(frozen=True)
class Started:
    """A process that was started, and where it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def last_words(self) -> str:
        """The end of its log, on one line."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(lines[-3:])[-300:]


class Processes:
    """Starts processes and, on leaving, ends them with all their descendants.

    Each is in a session of its own, so that Ctrl-C reaches this process alone, and dies with it. What a peer leaves
    behind when it is stopped is adopted by this process, counted in ``leaked`` and killed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.leaked: dict[str, int] = {}
        self._running: list[Started] = []
        self._count = 0
        self._others = frozenset(descendants(os.getpid()))

    def __enter__(self) -> Processes:
        _adopt_orphans(True)
        return self

    def __exit__(self, *_: object) -> None:
        for started in self._running:
            _signal(started.pid, signal.SIGKILL)
        for started in self._running:
            started.process.wait()
        # What a process leaves behind becomes this one's only when it has ended.
        while left := {*descendants(os.getpid())} - self._others:
            for pid in left:
                _signal(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        _adopt_orphans(False)

    def start(self, name: str, command: list[str], *, core: int, env: Mapping[str, str] | None = None) -> Started:
        """Start a command on one core; both of its outputs go to a log in the run's folder."""
        self._count += 1
        log = self.folder / f"{self._count}-{name}.log"
        words = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core), *command]
        with log.open("wb") as out:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        started = Started(process, log)
        self._running.append(started)
        return started

    def stop(self, started: Started, *, name: str = "") -> None:
        """Ask it to end, wait, and kill what is left of its tree."""
        whole = descendants(started.pid)
        _signal(started.pid, signal.SIGTERM)
        try:
            started.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            _signal(started.pid, signal.SIGKILL)
            started.process.wait()
        self._running.remove(started)
        left = [pid for pid in whole[1:] if Path(f"/proc/{pid}").exists()]
        if left and name:
            self.leaked[name] = self.leaked.get(name, 0) + len(left)
        for pid in left:
            _signal(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    @contextlib.contextmanager
    def running(
        self, name: str, command: list[str], *, core: int, env: Mapping[str, str] | None = None
    ) -> Iterator[Started]:
        """Keep a command running within the block."""
        started = self.start(name, command, core=core, env=env)
        try:
            yield started
        finally:
            self.stop(started, name=name)


def descendants(pid: int) -> list[int]:
    """A process and all that descend from it, parents first."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text().split()]
    return found


def cpu_time(pid: int) -> CpuTime:
    """CPU time of a process tree, with that of children which have ended."""
    user = system = 0
    for member in descendants(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return CpuTime(user / TICKS_PER_S, system / TICKS_PER_S)


def rss_kb(pid: int) -> int:
    """Resident memory of a process tree; what its processes share is counted for each."""
    total = 0
    for member in descendants(pid):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{member}/status").read_text()
            if match := re.search(r"VmRSS:\s+(\d+) kB", status):
                total += int(match[1])
    return total


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(path: Path, started: Started, *, seconds: float = 5.0) -> str:
    """The first line that a process writes to its log.

    Raises:
        TimeoutError: it wrote none, or ended.
    """
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        text = path.read_text()
        if text.endswith("\n"):
            return text.splitlines()[0]
        if started.has_ended():
            break
        time.sleep(0.005)
    raise TimeoutError(f"{started.process.args!r} wrote nothing; see {path}")


def _adopt_orphans(adopt: bool) -> None:
    """Make this process, or not, the parent of descendants whose own parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
