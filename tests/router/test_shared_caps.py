"""Slots shared among workers: counts, names of rows, and whose turn it is."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from router.shared_caps import SharedCaps
from router.shared_memory import FileLocks, SharedMemory

WORKERS = 3


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create(WORKERS)
    yield made
    made.close()


@pytest.fixture
def workers(memory: SharedMemory) -> list[SharedCaps]:
    return [SharedCaps(memory, worker, FileLocks(memory.fd)) for worker in range(WORKERS)]


def woken(memory: SharedMemory) -> list[int]:
    """Workers that were called since the last look."""
    found = []
    for worker, fd in enumerate(memory.wake_fds):
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            continue
        found.append(worker)
    return found


def test_a_cap_holds_for_all_workers_together(workers: list[SharedCaps]) -> None:
    a, b, c = workers
    for worker in workers:
        (row,) = worker.claim(["x"])
    assert a.take(row, 2)
    assert b.take(row, 2)
    assert not c.take(row, 2)
    assert not a.take(row, 2)
    a.give(row)
    assert c.take(row, 2)
    assert [worker.others([row]) for worker in workers] == [[2], [1], [1]]


def test_a_lowered_cap_gives_no_slot_until_enough_have_ended(workers: list[SharedCaps]) -> None:
    a, b, _ = workers
    (row,) = a.claim(["x"])
    assert all(a.take(row, 3) for _ in range(3))
    a.give(row)
    assert not b.take(row, 2)
    a.give(row)
    assert b.take(row, 2)
    assert not b.take(row, 0)


class StuckLocks:
    def acquire(self, number: int) -> bool:
        return False

    def release(self, number: int) -> None:
        raise AssertionError("this lock was never had")


def test_instances_have_rows_of_their_own(workers: list[SharedCaps]) -> None:
    a, b, _ = workers
    x, y = a.claim(["x", "y"])
    assert b.claim(["y", "x"]) == [y, x]
    assert a.take(x, 1)
    assert b.take(y, 1)
    assert not b.take(x, 1)


def test_a_lock_that_cannot_be_had_means_full(memory: SharedMemory) -> None:
    stuck = SharedCaps(memory, 0, StuckLocks())
    assert not stuck.take(0, 5)


def test_the_last_slot_is_left_to_workers_that_wait(workers: list[SharedCaps]) -> None:
    a, b, _ = workers
    (row,) = a.claim(["x"])
    assert a.take(row, 2, yields=True)
    assert not b.anyone_waits()
    b.wait_since(10.0)
    assert a.anyone_waits()
    assert not a.take(row, 2, yields=True)
    assert a.take(row, 3, yields=True), "two are free"
    assert a.take(row, 3), "one that was woken does not yield"
    for _ in range(2):
        a.give(row)
    assert b.take(row, 2, yields=True), "none waits but oneself"


def test_turns_go_from_the_longest_wait_to_the_shortest_and_end(
    workers: list[SharedCaps], memory: SharedMemory
) -> None:
    a, b, c = workers
    a.wake_first()
    assert woken(memory) == []
    a.wait_since(30.0)
    b.wait_since(10.0)
    c.wait_since(20.0)
    assert [worker.is_first() for worker in workers] == [False, True, False]
    a.wake_first()
    assert woken(memory) == [1]
    b.wait_since(0.0)
    b.wake_next(10.0)
    assert woken(memory) == [2]
    c.wake_next(20.0)
    assert woken(memory) == [0]
    a.wake_next(30.0)
    assert woken(memory) == []


def test_equal_waits_take_turns_by_number(workers: list[SharedCaps], memory: SharedMemory) -> None:
    for worker in workers:
        worker.wait_since(10.0)
    workers[0].wake_first()
    assert woken(memory) == [0]
    workers[0].wake_next(10.0)
    assert woken(memory) == [1]
    workers[2].wake_next(10.0)
    assert woken(memory) == []
    assert all(worker.is_first() for worker in workers)


def test_only_the_return_of_a_slot_that_others_may_wait_for_counts(workers: list[SharedCaps]) -> None:
    a = workers[0]
    (row,) = a.claim(["x"])
    for _ in range(10):
        assert a.take(row, 10)
    a.give(row)
    assert a.was_full(row, 10)
    for _ in range(3):
        a.give(row)
    assert not a.was_full(row, 10)
