"""Rows that workers share: the same ones for the same names, used anew when nobody needs them, and never too many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.shared_memory import FileLocks, SharedMemory
from router.shared_rows import SharedRows

WORKERS = 3


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create(WORKERS)
    yield made
    made.close()


@pytest.fixture
def workers(memory: SharedMemory) -> list[SharedRows]:
    return [SharedRows(memory.tenants, worker, FileLocks(memory.fd), "tenants") for worker in range(WORKERS)]


def count(memory: SharedMemory, row: int, worker: int, number: int) -> None:
    memory.tenants.counts[row * WORKERS + worker] = number


def test_workers_that_name_rows_in_other_orders_mean_the_same(workers: list[SharedRows]) -> None:
    a, b, _ = workers
    first = dict(zip("xyz", a.claim(["x", "y", "z"]), strict=True))
    second = dict(zip("wzyx", b.claim(["w", "z", "y", "x"]), strict=True))
    assert len({*first.values(), second["w"]}) == 4
    assert {name: second[name] for name in first} == first


def test_a_row_is_used_anew_once_no_worker_has_its_name(workers: list[SharedRows], memory: SharedMemory) -> None:
    a, b, _ = workers
    x, y = a.claim(["x", "y"])
    b.claim(["x"])
    count(memory, x, 1, 1)
    assert a.claim(["z"]) == [y]
    b.claim([])
    assert a.claim(["z", "v"]) == [y, 2], "a request is in flight on x still"
    count(memory, x, 1, 0)
    assert a.claim(["z", "v", "u"]) == [y, 2, x]


def test_a_name_that_comes_back_gets_its_old_row_with_what_it_says(
    workers: list[SharedRows], memory: SharedMemory
) -> None:
    a = workers[0]
    x, _ = a.claim(["x", "y"])
    memory.tenants.levels[4 * x + 3] = 7.5
    a.claim(["y"])
    assert a.claim(["y", "x"]) == [1, x]
    assert memory.tenants.levels[4 * x + 3] == 7.5


def test_a_row_says_nothing_of_what_had_it_before(workers: list[SharedRows], memory: SharedMemory) -> None:
    a = workers[0]
    x, y = a.claim(["x", "y"])
    for level in range(8):
        memory.tenants.levels[level] = 5.0
    assert a.claim(["z", "y"]) == [x, y]
    assert memory.tenants.levels[:8].tolist() == [0.0] * 4 + [5.0] * 4


def test_a_dead_workers_rows_are_free(workers: list[SharedRows], memory: SharedMemory) -> None:
    a, b, _ = workers
    (x,) = a.claim(["x"])
    count(memory, x, 0, 3)
    memory.forget(0)
    assert b.claim(["y"]) == [x]


def test_too_many_are_refused_and_what_others_still_have_is_counted(
    workers: list[SharedRows], memory: SharedMemory
) -> None:
    memory.tenants.most = 2
    a, b, _ = workers
    with pytest.raises(OverflowError, match="no rows for 3 tenants: 2 hold"):
        a.claim(["x", "y", "z"])
    a.claim(["x"])
    b.claim(["y"])
    with pytest.raises(OverflowError, match="change fewer at once"):
        a.claim(["z", "v"])
    b.claim([])
    assert sorted(a.claim(["z", "v"])) == [0, 1]


def test_tables_do_not_share_rows_or_locks(workers: list[SharedRows], memory: SharedMemory) -> None:
    instances = SharedRows(memory.instances, 0, FileLocks(memory.fd), "instances")
    assert instances.claim(["x"]) == workers[0].claim(["y"]) == [0]
    tables = (memory.instances, memory.tenants)
    locks = [lock for rows in tables for lock in range(rows.first_lock, rows.naming_lock + 1)]
    assert len(set(locks)) == len(locks)


class StuckLocks:
    def acquire(self, number: int) -> bool:
        return False

    def release(self, number: int) -> None:
        raise AssertionError("this lock was never had")


def test_a_worker_that_is_stopped_while_it_names_rows_is_told_of(memory: SharedMemory) -> None:
    with pytest.raises(BlockingIOError, match="stopped while it claims tenants"):
        SharedRows(memory.tenants, 0, StuckLocks(), "tenants").claim(["x"])
