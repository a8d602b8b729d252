"""Ports for what tests start: no two processes of tests, of this run or of another one, are given the same."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

RANGE = range(10_000, 20_000)
"""Below those of the demo, and below those that Linux gives to outgoing connections."""
BLOCK = 200
"""Ports that one process has to itself; it comes back to one only after all of the others."""


class PortBlock:
    """A part of the range, locked by a file until it is closed, or the process has ended."""

    def __init__(self, folder: Path) -> None:
        """Lock the first part that nobody has, in an order of chance.

        Raises:
            OSError: all of them are locked.
        """
        folder.mkdir(exist_ok=True)
        starts = list(range(RANGE.start, RANGE.stop, BLOCK))
        random.SystemRandom().shuffle(starts)
        for start in starts:
            lock = os.open(folder / str(start), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            self._lock = lock
            self._turn: Iterator[int] = itertools.cycle(range(start, start + BLOCK))
            return
        raise OSError(f"all ports of {RANGE} are taken by other tests; end them")

    def close(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def take(self, count: int) -> list[int]:
        """Ports that nothing listens on at this moment, each one different.

        Raises:
            OSError: the block has not as many.
        """
        ports: list[int] = []
        for port in itertools.islice(self._turn, BLOCK):
            with contextlib.suppress(OSError), socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                return ports
        raise OSError(f"{count} ports are wanted, and {len(ports)} of {BLOCK} are free")


@functools.cache
def _block() -> PortBlock:
    return PortBlock(Path(tempfile.gettempdir()) / "wattroute-test-ports")


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, each one different, and that nobody else is given meanwhile."""
    return _block().take(count)
