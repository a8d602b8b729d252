"""In-flight counts that the worker processes share, so that a cap holds for all of them together.

The memory has a row for each instance and a column for each worker. A worker writes nothing but its own column::

    take:  lock the row; if the row's sum is below the cap, add one to the own column; unlock
    give:  take one from the own column, without a lock: a sum that is too large for a moment exceeds no cap

The kernel lifts a dead worker's locks at once. Its column survives until the parent clears it (`CapsMemory.forget`), so
the slots it held stay taken until then. A number is an aligned 32-bit store, which no reader sees half done.

Who waits for a slot tells since when (`SharedCaps.wait_since`). Whoever frees a slot of an instance that was full then
wakes the worker that has waited longest; what that one cannot use it passes on to the next. A word of waiting that
crosses a slot's return in the processors' store buffers can be missed: the workers' sweep finds such slots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from router.shared_memory import MAX_ROWS, CapsMemory

_REGISTRY = MAX_ROWS
"""The lock that guards the naming of rows."""
_REGISTRY_TRIES = 1000
"""Some seconds' worth."""


class Locks(Protocol):
    """Locks by number, exclusive among processes."""

    def acquire(self, number: int) -> bool:
        """Take a lock; False if its holder does not let go of it in time."""

    def release(self, number: int) -> None:
        """Let go of a lock that this process has."""


class SharedCaps:
    """One worker's hand in the shared counts.

    Args:
        memory: shared by all workers.
        worker: number of this one.
        locks: on the memory.
    """

    def __init__(self, memory: CapsMemory, worker: int, locks: Locks) -> None:
        self._memory = memory
        self._counts = memory.counts
        self._workers = memory.workers
        self._worker = worker
        self._locks = locks
        self._since_bytes = memory.since_s.cast("B")
        self._nobody = bytes(8 * memory.workers)

    def claim(self, instances: Sequence[str]) -> list[int]:
        """Rows of instances, the same in every worker that names them; all others that were claimed are let go.

        A row is used anew once no worker claims it and no request is in flight on it.

        Args:
            instances: whatever names an instance over the life of the router, such as its id and its address.

        Raises:
            BlockingIOError: another worker has been stopped while it named rows.
            OverflowError: there are more instances than `MAX_ROWS`.
        """
        # Naming the rows of a large fleet takes milliseconds, and workers that start together all do it.
        if not any(self._locks.acquire(_REGISTRY) for _ in range(_REGISTRY_TRIES)):
            raise BlockingIOError("another worker process is stopped while it claims instances; continue or kill it")
        try:
            return self._claim([_digest(name) for name in instances])
        finally:
            self._locks.release(_REGISTRY)

    def take(self, row: int, cap: int, *, yields: bool = False) -> bool:
        """Reserve a slot if fewer than `cap` are taken by all workers together.

        Args:
            row: of the instance.
            cap: most that all may have.
            yields: leave the last slot to another worker whose requests wait already.
        """
        if not self._locks.acquire(row):
            return False
        try:
            first = row * self._workers
            total = sum(self._counts[first : first + self._workers])
            if total >= cap or (yields and total + 1 == cap and self._others_wait()):
                return False
            self._counts[first + self._worker] += 1
            return True
        finally:
            self._locks.release(row)

    def give(self, row: int) -> None:
        """Return a slot."""
        self._counts[row * self._workers + self._worker] -= 1

    def others(self, rows: Iterable[int]) -> list[int]:
        """How many slots of each row the other workers hold at the moment."""
        counts, workers, worker = self._counts, self._workers, self._worker
        starts = [row * workers for row in rows]
        return [sum(counts[start : start + workers]) - counts[start + worker] for start in starts]

    def wait_since(self, since_s: float) -> None:
        """Tell since when the first of this worker's queue waits; 0 if none does."""
        self._memory.since_s[self._worker] = since_s

    def anyone_waits(self) -> bool:
        """Whether requests wait for slots, in whatever worker; cheap."""
        return self._since_bytes.tobytes() != self._nobody

    def was_full(self, row: int, cap: int) -> bool:
        """Whether a slot just given back may be one that others wait for.

        Other workers may be giving slots back at the same moment, of which each believes the other's to be first.
        """
        first = row * self._workers
        return sum(self._counts[first : first + self._workers]) >= cap - self._workers

    def wake_first(self) -> None:
        """Wake the worker that has waited longest, which may be this one; it tells the next what it cannot use."""
        self._wake_after((0.0, -1))

    def wake_next(self, since_s: float) -> None:
        """Wake the worker next in turn after this one, which has waited since `since_s`."""
        self._wake_after((since_s, self._worker))

    def is_first(self) -> bool:
        """Whether no other worker has waited longer than this one."""
        mine = self._memory.since_s[self._worker]
        return not any(0.0 < other < mine for other in self._memory.since_s)

    def _wake_after(self, turn: tuple[float, int]) -> None:
        turns = ((since_s, worker) for worker, since_s in enumerate(self._memory.since_s) if since_s)
        later = min((other for other in turns if other > turn), default=None)
        if later is not None:
            self._memory.wake(later[1])

    def _others_wait(self) -> bool:
        return self.anyone_waits() and any(
            since_s and worker != self._worker for worker, since_s in enumerate(self._memory.since_s)
        )

    def _claim(self, names: list[int]) -> list[int]:
        memory, workers = self._memory, self._workers
        used = memory.rows_used()
        known = {name: row for row, name in enumerate(memory.names[:used].tolist())}
        rows = [known.get(name, -1) for name in names]
        kept = set(rows)
        for row in range(used):
            memory.held[row * workers + self._worker] = row in kept
        unused = self._unused(used)
        for index, row in enumerate(rows):
            if row < 0:
                row = rows[index] = next(unused)
                memory.names[row] = names[index]
                memory.held[row * workers + self._worker] = 1
        return rows

    def _unused(self, used: int) -> Iterator[int]:
        memory, workers = self._memory, self._workers
        for row in range(used):
            row_of = slice(row * workers, (row + 1) * workers)
            if not any(memory.held[row_of]) and not any(memory.counts[row_of]):
                yield row
        yield from range(used, MAX_ROWS)
        raise OverflowError(f"there are more than {MAX_ROWS} instances; use fewer for one router")


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) or 1
