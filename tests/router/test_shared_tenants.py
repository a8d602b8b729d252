"""Rows of tenants: the same in every worker, apart from each other, and enough of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.exchange import Ask, Refusal
from router.openai import RequestFacts
from router.settings.tenants import MAX_TENANTS
from router.shared_memory import MAX_TENANT_ROWS, TENANT_LEVELS, FileLocks, SharedMemory
from router.shared_tenants import PATIENCE, SharedTenants
from router.tenants.keys import KeyDigest, digest_of
from router.tenants.limits import Allowance
from router.tenants.shared_limits import ROW_LEVELS
from router.tenants.tenant import TenantSpec
from tests.fakes.routing import NOW_S, router_file
from tests.fakes.shared_workers import shared_workers

WORKERS = 3


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create(WORKERS)
    yield made
    made.close()


def book(memory: SharedMemory, worker: int) -> SharedTenants:
    return SharedTenants(memory, worker, FileLocks(memory.fd))


def test_workers_that_name_a_tenant_have_the_same_row(memory: SharedMemory) -> None:
    (a, _), (b,) = book(memory, 0).claim(["acme", "globex"]), book(memory, 1).claim(["acme"])
    assert a.lock()
    a.levels[a.first] = 7.5
    a.tell(2)
    a.unlock()
    b.tell(3)
    assert (b.levels[b.first], a.in_flight(), b.in_flight()) == (7.5, 5, 5)
    memory.forget(0)
    assert b.in_flight() == 3


def test_rows_are_apart(memory: SharedMemory) -> None:
    rows = book(memory, 0).claim([str(number) for number in range(20)])
    for number, row in enumerate(rows):
        row.tell(number + 1)
        for level in range(TENANT_LEVELS):
            row.levels[row.first + level] = 100.0 * number + level
    assert [row.in_flight() for row in rows] == list(range(1, 21))
    assert [row.levels[row.first + 3] for row in rows] == [100.0 * number + 3 for number in range(20)]


def test_tenants_that_are_taken_out_of_the_configuration_let_go_of_their_rows_and_may_come_back() -> None:
    tenants = [TenantSpec("acme", (KeyDigest(digest_of(b"key")),), allowance=Allowance(max_in_flight=2))]
    with_tenants = router_file({"bf16": 1}, tenants={"list": [{"name": "acme", "keys": ["sha256:" + "0" * 64]}]})
    open_to_all = router_file({"bf16": 1})
    with shared_workers(with_tenants, 2, tenants) as workers:

        def asks(worker: int) -> Ask | Refusal:
            hints = workers.dispatchers[worker].hints({b"x-api-key": b"key"})
            return workers.dispatchers[worker].ask(hints, RequestFacts(stream=True, valid=True), NOW_S)

        first, second = asks(0), asks(1)
        assert isinstance(first, Ask)
        assert isinstance(second, Ask)
        assert isinstance(asks(0), Refusal)
        for dispatcher in workers.dispatchers:
            dispatcher.reconfigure(open_to_all)
        used = slice(2 * workers.memory.tenants.used())
        assert not any(workers.memory.tenants.held[used])
        assert not any(workers.memory.tenants.counts[used])
        for dispatcher in workers.dispatchers:
            dispatcher.reconfigure(with_tenants, tenants)
        assert [isinstance(asks(worker), Ask) for worker in (0, 1, 0)] == [True, True, False]
        for request in (first, second):
            assert request.charge is not None
            request.charge.end_unless_held()
        assert isinstance(asks(1), Refusal), "what began before does not count, and does not end for another"


class BusyLocks:
    """Locks that are not to be had for so many times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0

    def acquire(self, number: int) -> bool:
        self.asked += 1
        self.times -= 1
        return self.times < 0

    def release(self, number: int) -> None:
        return


def test_a_worker_that_is_put_off_the_processor_is_waited_for_and_one_that_stands_still_only_once(
    memory: SharedMemory,
) -> None:
    locks = BusyLocks(0)
    (row,) = SharedTenants(memory, 0, locks).claim(["acme"])
    locks.times = PATIENCE - 1
    assert row.lock()
    locks.times, locks.asked = 1000, 0
    assert [row.lock() for _ in range(5)] == [False] * 5
    assert locks.asked == 1 + PATIENCE + 4
    locks.times = 0
    assert row.lock()
    locks.times = PATIENCE - 1
    assert row.lock()


def test_there_are_rows_for_every_tenant_though_all_are_renamed_while_a_worker_has_not_seen_it(
    memory: SharedMemory,
) -> None:
    assert TENANT_LEVELS == ROW_LEVELS
    assert MAX_TENANT_ROWS >= (WORKERS + 1) * MAX_TENANTS
    for worker in range(WORKERS):
        book(memory, worker).claim([f"{worker}-{number}" for number in range(MAX_TENANTS)])
    rows = book(memory, 0).claim([f"new-{number}" for number in range(MAX_TENANTS)])
    assert len({row.first for row in rows}) == MAX_TENANTS
    with pytest.raises(OverflowError, match="no rows for 20001 tenants: 40000 hold these and all others"):
        book(memory, 1).claim([f"more-{number}" for number in range(2 * MAX_TENANTS + 1)])
