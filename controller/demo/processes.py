"""The demo's child processes: started together, watched, and never left behind.

Each child runs in its own session, so that Ctrl-C reaches the demo alone and the demo decides in which order things
end. On Linux the kernel terminates the children when the demo dies in whatever way (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from controller.clock import Clock
from controller.errors import ControllerError

PR_SET_PDEATHSIG = 1
TAIL_LINES = 12
POLL_S = 0.05
READY_S = 60.0


class ChildError(ControllerError):
    """A child process ended on its own; the message holds its last log lines."""


@dataclass(slots=True)
class Child:
    """A running process and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path

    def tail(self) -> str:
        """Last lines of the log."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            return f"(its log cannot be read: {error})"
        return "\n".join(f"  | {line}" for line in text.splitlines()[-TAIL_LINES:]) or "  | (nothing)"


def start(name: str, argv: Sequence[str], log_path: Path) -> Child:
    """Start a process whose output goes to a log file."""
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    return Child(name, process, log_path)


def check(children: Sequence[Child]) -> None:
    """See that all are alive.

    Raises:
        ChildError: one has ended.
    """
    for child in children:
        code = child.process.poll()
        if code is not None:
            raise ChildError(f"the {child.name} ended with {_ending(code)}; its log ends:\n{child.tail()}")


async def stop(children: Sequence[Child], clock: Clock, grace_s: float = 5.0) -> None:
    """Ask all to end, last started first; kill those that have not after `grace_s`."""
    for child in reversed(children):
        if child.process.poll() is None:
            child.process.terminate()
    until_s = clock.monotonic_s() + grace_s
    while any(child.process.poll() is None for child in children) and clock.monotonic_s() < until_s:
        await clock.sleep(POLL_S)
    kill(children)


def kill(children: Sequence[Child]) -> None:
    """Make sure that none is left, whatever happened."""
    for child in children:
        if child.process.poll() is None:
            child.process.kill()
            child.process.wait()


@dataclass(frozen=True, slots=True)
class Wait:
    """How to wait: what asks, what tells the time, and what ends it."""

    session: aiohttp.ClientSession
    clock: Clock
    stop: asyncio.Event


async def until_ready(children: Sequence[Child], url: str, wait: Wait) -> None:
    """Wait until the address of the child that was started last answers 200, or `wait.stop` is set.

    Raises:
        ChildError: a process ended, or the last one did not become ready within `READY_S`.
    """
    until_s = wait.clock.monotonic_s() + READY_S
    while not wait.stop.is_set() and not await _answers(wait.session, url):
        check(children)
        if wait.clock.monotonic_s() > until_s:
            child = children[-1]
            raise ChildError(f"the {child.name} is not ready after {READY_S:g} s; its log ends:\n{child.tail()}")
        await wait.clock.sleep(POLL_S)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2.0)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does before it becomes the new program; None where the system has no such call."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def bind() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    return bind


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
