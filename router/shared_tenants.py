"""What the workers share of each tenant: what is used of its rates, and its requests in flight.

The memory has a row for each tenant with limits, and a column for each worker (`router.shared_rows`). What is used of
rates is written under the row's lock, in an order in which a worker may be killed at any point and no more passes than
the rate (`router.tenants.bucket`). Requests that end with their worker are no longer in flight once the parent has
cleared its column; what they were charged stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from router.shared_memory import TENANT_LEVELS, Rows, SharedMemory
from router.shared_rows import Locks, SharedRows

PATIENCE = 10
"""How often a lock is asked for, each time for some milliseconds, before a request is refused that may be within the
limit."""


class SharedRow:
    """One worker's hand in the row of a tenant.

    Args:
        rows: the table.
        row: number of this one.
        worker: number of this worker.
        locks: on the memory.

    Attributes:
        levels: of all rows.
        first: index of this row's first.
    """

    __slots__ = ("_counts", "_end", "_lock", "_locks", "_own", "_stands_still", "_start", "first", "levels")

    def __init__(self, rows: Rows, row: int, worker: int, locks: Locks) -> None:
        self.levels = rows.levels
        self.first = row * TENANT_LEVELS
        self._counts = rows.counts
        self._start = row * rows.workers
        self._end = self._start + rows.workers
        self._own = self._start + worker
        self._locks = locks
        self._lock = rows.first_lock + row
        self._stands_still = False

    def lock(self) -> bool:
        """Be the only one that writes; False if another stands still as it does."""
        return (not self._stands_still and self._locks.acquire(self._lock)) or self._lock_later()

    def unlock(self) -> None:
        """Let others write."""
        self._locks.release(self._lock)

    def _lock_later(self) -> bool:
        """Wait for one that was put off the processor; for one that has not come back in that time, no more."""
        tries = 1 if self._stands_still else PATIENCE
        self._stands_still = not any(self._locks.acquire(self._lock) for _ in range(tries))
        return not self._stands_still

    def in_flight(self) -> int:
        """Requests in flight in all workers."""
        return sum(self._counts[self._start : self._end])

    def tell(self, in_flight: int) -> None:
        """Tell how many are in flight in this one."""
        self._counts[self._own] = in_flight


class SharedTenants:
    """One worker's hand in the rows of tenants.

    Args:
        memory: shared by all workers.
        worker: number of this one.
        locks: on the memory.
    """

    def __init__(self, memory: SharedMemory, worker: int, locks: Locks) -> None:
        self._table = memory.tenants
        self._rows = SharedRows(memory.tenants, worker, locks, "tenants")
        self._worker = worker
        self._locks = locks

    def claim(self, tenants: Sequence[str]) -> list[SharedRow]:
        """Rows of tenants by their names, see `SharedRows.claim`.

        Raises:
            BlockingIOError: another worker has been stopped while it named rows.
            OverflowError: there are too many tenants.
        """
        return [SharedRow(self._table, row, self._worker, self._locks) for row in self._rows.claim(tenants)]
