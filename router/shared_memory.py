"""Memory and locks that the worker processes share: what the kernel gives for `router.shared_rows`.

Locks are POSIX record locks (``fcntl``, one byte a row of the memory): they belong to the process, so the kernel lifts
them when it dies, at whatever point, and no other process can keep them by an inherited descriptor, as it could those
of ``flock``. Where nobody else wants one, taking it and letting go costs 1.4 µs (``flock``: 0.9).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from itertools import accumulate

MAX_INSTANCE_ROWS = 64 * 512
"""As many instances as a configuration can have. Untouched rows take no memory."""
MAX_TENANT_ROWS = 4 * 10_000
"""All tenants that a configuration can have, and thrice as many that workers go by which have not seen its last changes
yet."""
TENANT_LEVELS = 4
"""Numbers kept of a tenant, see `router.tenants.limits`."""
_TABLES = ((MAX_INSTANCE_ROWS, 0), (MAX_TENANT_ROWS, TENANT_LEVELS))
"""Rows and levels a row, of instances and of tenants. Multiples of eight rows keep every number aligned."""
_NO_LEVELS = memoryview(bytes(8)).cast("d")[:0]
"""What is empty cannot be cast."""
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


class Rows:
    """A table in shared memory: a row for each name, with numbers of its own and a column for each worker.

    Args:
        names, levels, counts, held: the parts of the memory, see below.
        first_lock: number of the first row's lock; the others follow, and then that of the naming of rows.

    Attributes:
        most: number of rows.
        names: digest of what a row stands for, 0 for rows never used.
        levels: numbers of the row as such, equally many for each row.
        counts: numbers by row and worker.
        held: 1 where a worker knows what a row stands for, by row and worker.
    """

    def __init__(
        self,
        names: memoryview[int],
        levels: memoryview[float],
        counts: memoryview[int],
        held: memoryview[int],
        *,
        first_lock: int,
    ) -> None:
        self.most = len(names)
        self.workers = len(held) // len(names)
        self.names = names
        self.levels = levels
        self.counts = counts
        self.held = held
        self.first_lock = first_lock

    @property
    def naming_lock(self) -> int:
        """The lock that guards the naming of rows."""
        return self.first_lock + self.most

    def used(self) -> int:
        """Rows that stand for something or have done so."""
        names = self.names
        low, high = 0, self.most
        while low < high:  # rows are used from the first on, so the first unused one is found by bisection
            middle = (low + high) // 2
            low, high = (middle + 1, high) if names[middle] else (low, middle)
        return low

    def forget(self, worker: int) -> None:
        """Clear the column of a worker, which must be dead."""
        used = self.used()
        self.counts[worker : used * self.workers : self.workers] = memoryview(bytes(4 * used)).cast("i")
        self.held[worker : used * self.workers : self.workers] = bytes(used)


class SharedMemory:
    """All that the workers share, and their wake-up calls.

    The parent makes them with `create`; a worker maps the same from the descriptors it inherits.

    Args:
        workers: number of worker processes.
        fd: the memory.
        wake_fds: an eventfd for each worker.

    Attributes:
        instances: requests in flight by instance and worker.
        tenants: what is used of each tenant's rates, and its requests in flight by worker.
        since_s: since when the first in a worker's queue waits, 0 for an empty queue. Wall clock.
    """

    def __init__(self, workers: int, fd: int, wake_fds: Sequence[int]) -> None:
        self.workers = workers
        self.fd = fd
        self.wake_fds = tuple(wake_fds)
        sizes = [8 * workers]
        for most, levels in _TABLES:
            sizes += (8 * most, 8 * levels * most, 4 * most * workers, most * workers)
        if os.fstat(fd).st_size == 0:
            os.ftruncate(fd, sum(sizes))
        whole = memoryview(mmap.mmap(fd, sum(sizes)))
        ends = list(accumulate(sizes))
        parts = [whole[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        self.since_s = parts[0].cast("d")
        self.instances, self.tenants = _tables(parts[1:])

    @classmethod
    def create(cls, workers: int) -> SharedMemory:
        """New memory, empty. Its descriptors are not inherited but by those processes they are passed to."""
        wake_fds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(workers)]
        return cls(workers, os.memfd_create("wattroute-shared"), wake_fds)

    def forget(self, worker: int) -> None:
        """Clear what a dead worker has left, and wake those that wait for what it held. It must be dead."""
        self.since_s[worker] = 0.0
        self.instances.forget(worker)
        self.tenants.forget(worker)
        for other, since_s in enumerate(self.since_s):
            if since_s:
                self.wake(other)

    def wake(self, worker: int) -> None:
        """Let a worker look for free slots."""
        with contextlib.suppress(BlockingIOError):  # as many calls as an eventfd can count are enough
            os.eventfd_write(self.wake_fds[worker], 1)

    def close(self) -> None:
        """Close the descriptors; what is mapped stays until it is collected."""
        for fd in (self.fd, *self.wake_fds):
            os.close(fd)


def _tables(parts: Sequence[memoryview]) -> Iterator[Rows]:
    first_lock = 0
    for at in range(0, len(parts), 4):
        names, levels, counts, held = parts[at : at + 4]
        numbers = levels.cast("d") if levels else _NO_LEVELS
        rows = Rows(names.cast("Q"), numbers, counts.cast("i"), held, first_lock=first_lock)
        first_lock = rows.naming_lock + 1
        yield rows
