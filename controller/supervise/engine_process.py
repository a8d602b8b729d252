"""The process of one engine, and whatever that has started: begun, looked at, signalled, and nothing of it left."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Mapping

from controller.supervise.launching import NotYet, launch
from controller.supervise.proc_table import Mark, is_running, left_of, read_all, read_process, send
from controller.supervise.spec import EngineSpec

UNKNOWN_ENDING = "its process is gone; how it ended is not known, as another supervisor had started it"
_KILLED_S = 2.0
"""Longest wait for a process that was killed; one that hangs in the driver ends when that lets it."""


class EngineProcess:
    """One process at a time.

    Args:
        mark: of one that a former supervisor had started; None where it had none.
        boot: name of this life of the machine.

    Attributes:
        is_adopted: whether another supervisor had started the one that runs.
    """

    def __init__(self, mark: Mark | None, boot: str) -> None:
        self._mark = mark
        self._boot = boot
        self._child: subprocess.Popen[bytes] | None = None
        self.is_adopted = mark is not None and is_running(mark, boot)

    def begin(self, spec: EngineSpec, environment: Mapping[str, str], output: int) -> Mark:
        """Start the process; what it is known by again.

        Raises:
            NotYet: something is left of the one before.
            ActuationError: it cannot be started.
        """
        left = () if self._mark is None else left_of(self._mark, read_all(), self._boot)
        if left:
            pids = ", ".join(str(process.pid) for process in left[:5])
            raise NotYet(spec.instance_id, f"processes of the one before have not ended yet: {pids}")
        self._child, self.is_adopted = launch(spec, environment, output), False
        process = read_process(self._child.pid)
        self._mark = Mark(self._child.pid, 0 if process is None else process.started, self._boot)
        return self._mark

    def ending(self) -> str:
        """How the process has ended; empty while it runs."""
        if self._child is None:
            runs = self._mark is not None and is_running(self._mark, self._boot)
            return "" if runs else UNKNOWN_ENDING
        code = self._child.poll()
        return "" if code is None else ending_of(code)

    def terminate(self) -> None:
        """SIGTERM to the engine, which ends what it has started."""
        if self._mark is not None:
            send(self._mark.pid, self._mark.started, signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL to all of its session; how many there were."""
        left = () if self._mark is None else left_of(self._mark, read_all(), self._boot)
        for process in left:
            send(process.pid, process.started, signal.SIGKILL)
        return len(left)

    def undo(self) -> None:
        """End a process that was just begun."""
        self.kill()
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_KILLED_S)

    def clear(self) -> int:
        """The process has ended: kill what it left behind, which may hold the GPUs' memory; how much that was."""
        self._child, self.is_adopted = None, False
        return self.kill()


def ending_of(code: int) -> str:
    """What a return code of `subprocess` says; signals for real-time use have no name."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
