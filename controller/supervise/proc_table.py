"""The machine's processes, as Linux shows them in /proc: who runs, who belongs to an engine, and signals to them.

A process is known by its number and its start time, as numbers are used again. An engine leads a session of its own;
whatever it starts stays in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_DEAD = frozenset("ZX")


@dataclass(frozen=True, slots=True)
class Process:
    """One process: `started` is in clock ticks since the machine's start."""

    pid: int
    session: int
    started: int
    is_dead: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """What a process is known by again, also by another supervisor; `boot` names the life of the machine."""

    pid: int
    started: int
    boot: str


def read_process(pid: int) -> Process | None:
    """A process by its number; None where there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except (OSError, ValueError):  # it ended while it was looked at
        return None
    # The name, in parentheses, may hold anything; what follows are numbers, counted from the state, proc(5).
    fields = text.rpartition(")")[2].split()
    return Process(pid, session=int(fields[3]), started=int(fields[19]), is_dead=fields[0] in _DEAD)


def read_all() -> dict[int, Process]:
    """Every process by its number."""
    found = (read_process(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return {process.pid: process for process in found if process is not None}


def is_running(mark: Mark, boot: str) -> bool:
    """Whether this very process runs."""
    process = read_process(mark.pid) if mark.boot == boot else None
    return process is not None and process.started == mark.started and not process.is_dead


def left_of(mark: Mark, table: Mapping[int, Process], boot: str) -> tuple[Process, ...]:
    """What runs of the session that a process led, itself included; pure.

    The number of a leader is not given to another process while its session has members. Where somebody else has it,
    nothing of the session was left.
    """
    if mark.boot != boot:
        return ()
    leader = table.get(mark.pid)
    if leader is not None and leader.started != mark.started:
        return ()
    return tuple(
        process
        for process in table.values()
        if process.session == mark.pid and process.started >= mark.started and not process.is_dead
    )


def send(pid: int, started: int, number: signal.Signals) -> bool:
    """Signal this very process; False where it has ended.

    Raises:
        PermissionError: it is another user's.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        process = read_process(pid)
        if process is None or process.started != started:
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
            return True
        return False
    finally:
        os.close(handle)
