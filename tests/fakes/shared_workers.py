"""Several workers' dispatchers in one process, on one shared book."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from router.dispatch import Dispatcher
from router.settings import RouterFile
from router.shared_caps import SharedCaps
from router.shared_memory import FileLocks, SharedMemory
from router.shared_tenants import SharedTenants
from router.tenants.tenant import TenantSpec


class SharedWorkers:
    """Dispatchers of workers that may be killed; who is called by another hears of it when `deliver` is called."""

    def __init__(self, settings: RouterFile, workers: int, tenants: Sequence[TenantSpec] = ()) -> None:
        self.settings = settings
        self.tenants = tenants
        self.memory = SharedMemory.create(workers)
        self.dispatchers = [self._start(worker) for worker in range(workers)]

    def _start(self, worker: int) -> Dispatcher:
        locks = FileLocks(self.memory.fd)
        return Dispatcher(
            self.settings,
            book=SharedCaps(self.memory, worker, locks),
            tenant_book=SharedTenants(self.memory, worker, locks),
            tenants=self.tenants,
        )

    def kill(self, worker: int) -> None:
        """End a worker with all it had, and start its successor."""
        self.memory.forget(worker)
        self.dispatchers[worker] = self._start(worker)

    def called(self) -> list[int]:
        """Workers that were called since the last look."""
        found = []
        for worker, fd in enumerate(self.memory.wake_fds):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(fd)
                found.append(worker)
        return found

    def deliver(self) -> int:
        """Let all that are called look for slots, until nobody is; gives how many calls there were."""
        calls = 0
        while called := self.called():
            calls += len(called)
            for worker in called:
                self.dispatchers[worker].woken()
        return calls

    def close(self) -> None:
        self.memory.close()


@contextlib.contextmanager
def shared_workers(settings: RouterFile, workers: int, tenants: Sequence[TenantSpec] = ()) -> Iterator[SharedWorkers]:
    made = SharedWorkers(settings, workers, tenants)
    try:
        yield made
    finally:
        made.close()
