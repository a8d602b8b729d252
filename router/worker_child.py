"""A worker process as its parent sees it: started, told, listened to, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

import msgspec

from router.contract import InstanceId
from router.snapshot import Snapshot
from router.worker_messages import MAX_LINE_BYTES, Doubted, Report, line_of, read_by_parent

LEAVE_S = 10.0
"""How long a worker that says nothing more may take to end."""


class Child:
    """A worker process.

    Args:
        process: with pipes to and from it.

    Attributes:
        silent_s: time since it told anything, as counted by its parent.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._report: bytes | None = None
        self._asked: asyncio.Future[None] | None = None
        self.silent_s = 0.0

    @classmethod
    async def start(cls, fds: Sequence[int]) -> Child:
        """Start a process that inherits `fds`.

        Raises:
            OSError: the system starts no further process.
        """
        arguments = (sys.executable, "-m", "router.worker_process")
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=PIPE, stdout=PIPE, limit=MAX_LINE_BYTES, pass_fds=fds
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def serves(self) -> bool:
        """Whether it has reported."""
        return self._report is not None

    @property
    def report(self) -> Snapshot | None:
        """What it last told; None before it serves."""
        return None if self._report is None else msgspec.json.decode(self._report, type=Snapshot)

    def tell(self, lines: bytes) -> None:
        """Write to it; what a dead one is told is lost."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(lines)

    def ask(self) -> asyncio.Future[None]:
        """Ask for a report; done when one comes, or none will."""
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
            self.tell(line_of(Report()))
        return self._asked

    async def listen(self, on_report: Callable[[], None], on_doubt: Callable[[tuple[InstanceId, ...]], None]) -> None:
        """Take its reports until its output ends, calling `on_report` after each; `on_doubt` takes what it doubts.

        Raises:
            ValueError: a line is longer than allowed.
            msgspec.DecodeError: a line is no message.
        """
        if self._process.stdout is None:
            raise ValueError("a worker has no pipe")
        async for line in self._process.stdout:
            if line.endswith(b"\n"):  # its death may cut its last line short, which then says nothing
                message = read_by_parent(line)
                self.silent_s = 0.0
                if isinstance(message, Doubted):
                    on_doubt(message.instances)
                    continue
                self._report = bytes(message.snapshot)
                self._answer()
                on_report()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), LEAVE_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; none to a dead one."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def end(self) -> int:
        """Kill it if it still lives; gives its exit code, below zero for a signal's number."""
        self.signal(signal.SIGKILL)
        code = await self._process.wait()
        self._answer()
        return code

    def _answer(self) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)
        self._asked = None
