"""In-flight counts that the worker processes share, so that a cap holds for all of them together.

The memory has a row for each instance and a column for each worker (`router.shared_rows`)::

    take:  lock the row; if the row's sum is below the cap, add one to the own column; unlock
    give:  take one from the own column, without a lock: a sum that is too large for a moment exceeds no cap

The slots that a dead worker held stay taken until the parent clears its column.

Who waits for a slot tells since when (`SharedCaps.wait_since`). Whoever frees a slot of an instance that was full then
wakes the worker that has waited longest; what that one cannot use it passes on to the next. A word of waiting that
crosses a slot's return in the processors' store buffers can be missed: the workers' sweep finds such slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from router.shared_memory import SharedMemory
from router.shared_rows import Locks, SharedRows


class SharedCaps:
    """One worker's hand in the shared counts.

    Args:
        memory: shared by all workers.
        worker: number of this one.
        locks: on the memory.
    """

    def __init__(self, memory: SharedMemory, worker: int, locks: Locks) -> None:
        self._memory = memory
        self._rows = SharedRows(memory.instances, worker, locks, "instances")
        self._counts = memory.instances.counts
        self._workers = memory.workers
        self._worker = worker
        self._locks = locks
        self._first_lock = memory.instances.first_lock
        self._since_bytes = memory.since_s.cast("B")
        self._nobody = bytes(8 * memory.workers)

    def claim(self, instances: Sequence[str]) -> list[int]:
        """Rows of instances, see `SharedRows.claim`.

        Args:
            instances: whatever names an instance over the life of the router, such as its id and its address.

        Raises:
            BlockingIOError: another worker has been stopped while it named rows.
            OverflowError: there are too many instances.
        """
        return self._rows.claim(instances)

    def take(self, row: int, cap: int, *, yields: bool = False) -> bool:
        """Reserve a slot if fewer than `cap` are taken by all workers together.

        Args:
            row: of the instance.
            cap: most that all may have.
            yields: leave the last slot to another worker whose requests wait already.
        """
        lock = self._first_lock + row
        if not self._locks.acquire(lock):
            return False
        try:
            first = row * self._workers
            total = sum(self._counts[first : first + self._workers])
            if total >= cap or (yields and total + 1 == cap and self._others_wait()):
                return False
            self._counts[first + self._worker] += 1
            return True
        finally:
            self._locks.release(lock)

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
