"""What the kernel gives the workers: locks that die with their process, memory and wake-up calls that are inherited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from router.shared_caps import SharedCaps
from router.shared_memory import MAX_INSTANCE_ROWS, FileLocks, SharedMemory

HOLD = """
import sys, time
from router.shared_memory import SharedMemory, FileLocks
memory = SharedMemory(2, int(sys.argv[1]), [int(fd) for fd in sys.argv[2:]])
memory.instances.counts[7] = 5
memory.wake(0)
print(FileLocks(memory.fd).acquire(3), flush=True)
time.sleep(60)
"""


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create(2)
    yield made
    made.close()


@contextmanager
def holder_of_lock_3(memory: SharedMemory) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock, has written into the memory and has woken worker 0."""
    fds = (memory.fd, *memory.wake_fds)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *map(str, fds)], pass_fds=fds, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_another_process_sees_the_memory_and_wakes_this_one(memory: SharedMemory) -> None:
    with holder_of_lock_3(memory):
        assert memory.instances.counts[7] == 5
        assert os.eventfd_read(memory.wake_fds[0]) == 1
    with pytest.raises(BlockingIOError):
        os.eventfd_read(memory.wake_fds[1])


def test_a_lock_excludes_other_processes_and_no_other_lock(memory: SharedMemory) -> None:
    locks = FileLocks(memory.fd)
    with holder_of_lock_3(memory):
        assert not locks.acquire(3)
        assert locks.acquire(2)
        locks.release(2)


def test_a_lock_ends_with_a_process_that_is_killed(memory: SharedMemory) -> None:
    with holder_of_lock_3(memory) as process:
        process.kill()
        process.wait()
        assert FileLocks(memory.fd).acquire(3)


def test_a_process_that_is_stopped_does_not_stop_those_who_want_its_lock(memory: SharedMemory) -> None:
    with holder_of_lock_3(memory) as process:
        process.send_signal(signal.SIGSTOP)
        assert not FileLocks(memory.fd).acquire(3)
        assert not SharedCaps(memory, 0, FileLocks(memory.fd)).take(3, 100)


def test_a_dead_worker_is_forgotten_and_those_who_wait_are_woken(memory: SharedMemory) -> None:
    mine, dead = (SharedCaps(memory, worker, FileLocks(memory.fd)) for worker in range(2))
    (row,) = mine.claim(["a"])
    dead.claim(["a"])
    assert dead.take(row, 2)
    assert mine.take(row, 2)
    mine.wait_since(5.0)
    dead.wait_since(4.0)
    memory.forget(1)
    assert (mine.others([row]), memory.instances.counts[:2].tolist()) == ([0], [1, 0])
    assert memory.instances.held[:2].tolist() == [1, 0]
    assert memory.since_s.tolist() == [5.0, 0.0]
    assert os.eventfd_read(memory.wake_fds[0]) == 1
    with pytest.raises(BlockingIOError):
        os.eventfd_read(memory.wake_fds[1])


def test_calls_that_nobody_hears_do_not_block(memory: SharedMemory) -> None:
    os.eventfd_write(memory.wake_fds[0], 2**64 - 2)
    memory.wake(0)
    assert os.eventfd_read(memory.wake_fds[0]) == 2**64 - 2


@pytest.mark.parametrize("used", [0, 1, 2, 511, MAX_INSTANCE_ROWS])
def test_the_used_rows_are_counted(memory: SharedMemory, used: int) -> None:
    for row in range(used):
        memory.instances.names[row] = row + 1
    assert memory.instances.used() == used
