"""Rows that the worker processes share, one for each instance or tenant: found by name, and written under their locks.

A worker writes nothing but its own column, and the row's levels only under the row's lock. The kernel lifts a dead
worker's locks at once. Its column survives until the parent clears it (`SharedMemory.forget`). A number is an aligned
store of 32 or 64 bits, which no reader sees half done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from router.shared_memory import Rows

_NAMING_TRIES = 1000
"""Some seconds' worth."""


class Locks(Protocol):
    """Locks by number, exclusive among processes."""

    def acquire(self, number: int) -> bool:
        """Take a lock; False if its holder does not let go of it in time."""

    def release(self, number: int) -> None:
        """Let go of a lock that this process has."""


class SharedRows:
    """One worker's hand in a table.

    Args:
        rows: shared by all workers.
        worker: number of this one.
        locks: on the memory.
        what: the rows stand for, in the plural.
    """

    def __init__(self, rows: Rows, worker: int, locks: Locks, what: str) -> None:
        self._rows = rows
        self._worker = worker
        self._locks = locks
        self._what = what

    def claim(self, names: Sequence[str]) -> list[int]:
        """Rows by name, the same in every worker that claims the name; all others that were claimed are let go.

        A row is used anew once no worker claims it and all its columns are 0; its levels are 0 then.

        Args:
            names: different ones.

        Raises:
            BlockingIOError: another worker has been stopped while it named rows.
            OverflowError: there are not enough rows.
        """
        number = self._rows.naming_lock
        # Naming the rows of a large fleet takes milliseconds, and workers that start together all do it.
        if not any(self._locks.acquire(number) for _ in range(_NAMING_TRIES)):
            raise BlockingIOError(
                f"another worker process is stopped while it claims {self._what}; continue or kill it"
            )
        try:
            return self._claim([_digest(name) for name in names])
        finally:
            self._locks.release(number)

    def _claim(self, names: list[int]) -> list[int]:
        rows, worker, workers = self._rows, self._worker, self._rows.workers
        used = rows.used()
        known = {name: row for row, name in enumerate(rows.names[:used].tolist())}
        found = [known.get(name, -1) for name in names]
        held = bytearray(used)
        for row in found:
            if row >= 0:
                held[row] = 1
        rows.held[worker : used * workers : workers] = held
        unused = self._unused(used, len(names))
        for index, row in enumerate(found):
            if row < 0:
                row = found[index] = next(unused)
                self._name(row, names[index])
        return found

    def _name(self, row: int, name: int) -> None:
        rows = self._rows
        per_row = len(rows.levels) // rows.most
        for level in range(row * per_row, (row + 1) * per_row):
            rows.levels[level] = 0.0
        # Only now: a name is never seen beside what another has left.
        rows.names[row] = name
        rows.held[row * rows.workers + self._worker] = 1

    def _unused(self, used: int, wanted: int) -> Iterator[int]:
        rows, workers = self._rows, self._rows.workers
        for row in range(used):
            row_of = slice(row * workers, (row + 1) * workers)
            if not any(rows.held[row_of]) and not any(rows.counts[row_of]):
                yield row
        yield from range(used, rows.most)
        raise OverflowError(
            f"there are no rows for {wanted} {self._what}: {rows.most} hold these and all others that workers still go "
            "by; use fewer for one router, or change fewer at once"
        )


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) or 1
