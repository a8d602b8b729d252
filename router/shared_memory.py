"""Memory and locks that the worker processes share: what the kernel gives for `router.shared_caps`.

Locks are POSIX record locks (``fcntl``, one byte a row of the memory): they belong to the process, so the kernel lifts
them when it dies, at whatever point, and no other process can keep them by an inherited descriptor, as it could those
of ``flock``. Where nobody else wants one, taking it and letting go costs 1.4 µs (``flock``: 0.9).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Sequence
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf

MAX_ROWS = 64 * 512
"""As many instances as a configuration can have. Untouched rows take no memory."""
_TRY = LOCK_EX | LOCK_NB
_PAUSES_S = (0.0,) * 20 + (1e-4,) * 20
"""Between tries for a lock. It is held for about 2 µs, longer only if its holder was put off the processor; one that
was stopped must not stop its siblings, so the tries end."""


class FileLocks:
    """Record locks on bytes of a file.

    Args:
        fd: the file. Closing any descriptor of it lets go of all of this process's locks.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def acquire(self, number: int) -> bool:
        """Take a lock; False if its holder does not let go of it within some milliseconds."""
        try:
            lockf(self._fd, _TRY, 1, number)
        except (BlockingIOError, PermissionError):
            return self._acquire_later(number)
        return True

    def release(self, number: int) -> None:
        """Let go of a lock."""
        lockf(self._fd, LOCK_UN, 1, number)

    def _acquire_later(self, number: int) -> bool:
        for pause_s in _PAUSES_S:
            time.sleep(pause_s)
            with contextlib.suppress(BlockingIOError, PermissionError):
                lockf(self._fd, _TRY, 1, number)
                return True
        return False


class CapsMemory:
    """The shared memory and the workers' wake-up calls.

    The parent makes them with `create`; a worker maps the same from the descriptors it inherits.

    Args:
        workers: number of worker processes.
        fd: the memory.
        wake_fds: an eventfd for each worker.

    Attributes:
        counts: requests in flight, by row and worker.
        held: 1 where a worker knows the instance of a row, by row and worker.
        names: digest of the instance a row stands for, 0 for rows never used.
        since_s: since when the first in a worker's queue waits, 0 for an empty queue. Wall clock.
    """

    def __init__(self, workers: int, fd: int, wake_fds: Sequence[int]) -> None:
        self.workers = workers
        self.fd = fd
        self.wake_fds = tuple(wake_fds)
        sizes = (8 * workers, 8 * MAX_ROWS, 4 * MAX_ROWS * workers, MAX_ROWS * workers)
        if os.fstat(fd).st_size == 0:
            os.ftruncate(fd, sum(sizes))
        whole = memoryview(mmap.mmap(fd, sum(sizes)))
        ends = [sum(sizes[: part + 1]) for part in range(len(sizes))]
        self.since_s = whole[: ends[0]].cast("d")
        self.names = whole[ends[0] : ends[1]].cast("Q")
        self.counts = whole[ends[1] : ends[2]].cast("i")
        self.held = whole[ends[2] : ends[3]]

    @classmethod
    def create(cls, workers: int) -> CapsMemory:
        """New memory, empty. Its descriptors are not inherited but by those processes they are passed to."""
        wake_fds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(workers)]
        return cls(workers, os.memfd_create("wattroute-caps"), wake_fds)

    def forget(self, worker: int) -> None:
        """Clear what a dead worker has left, and wake those that wait for what it held. It must be dead."""
        self.since_s[worker] = 0.0
        used = self.rows_used()
        self.counts[worker : used * self.workers : self.workers] = memoryview(bytes(4 * used)).cast("i")
        self.held[worker : used * self.workers : self.workers] = bytes(used)
        for other, since_s in enumerate(self.since_s):
            if since_s:
                self.wake(other)

    def rows_used(self) -> int:
        """Rows that stand for an instance or have done so."""
        names = self.names
        low, high = 0, MAX_ROWS
        while low < high:  # rows are used from the first on, so the first unused one is found by bisection
            middle = (low + high) // 2
            low, high = (middle + 1, high) if names[middle] else (low, middle)
        return low

    def wake(self, worker: int) -> None:
        """Let a worker look for free slots."""
        with contextlib.suppress(BlockingIOError):  # as many calls as an eventfd can count are enough
            os.eventfd_write(self.wake_fds[worker], 1)

    def close(self) -> None:
        """Close the descriptors; what is mapped stays until it is collected."""
        for fd in (self.fd, *self.wake_fds):
            os.close(fd)
