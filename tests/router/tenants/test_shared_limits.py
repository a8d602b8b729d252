"""Limits of several workers: each holds for all together, whatever changes and whoever stops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from router.shared_memory import FileLocks, SharedMemory
from router.shared_rows import Locks
from router.shared_tenants import SharedTenants
from router.tenants.limits import Allowance
from router.tenants.shared_limits import SharedLimits, Sharing

WORKERS = 3
THREE = Allowance(max_in_flight=3)


class HeldLocks:
    """Those of the memory, or none while another worker holds them."""

    def __init__(self, memory: SharedMemory) -> None:
        self._locks = FileLocks(memory.fd)
        self.are_held = False

    def acquire(self, number: int) -> bool:
        return not self.are_held and self._locks.acquire(number)

    def release(self, number: int) -> None:
        self._locks.release(number)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create(WORKERS)
    yield made
    made.close()


def sharing(memory: SharedMemory, worker: int, locks: Locks | None = None) -> Sharing:
    return Sharing(SharedTenants(memory, worker, locks or FileLocks(memory.fd)))


def workers_with(memory: SharedMemory, allowance: Allowance) -> list[SharedLimits]:
    return [sharing(memory, worker).allow({"acme": allowance})["acme"] for worker in range(WORKERS)]


def admitted(*workers: SharedLimits, tokens: float = 0.0, now_s: float = 0.0) -> int:
    """How many such requests pass at that moment, at one worker after the other."""
    number = refusals = 0
    while refusals < len(workers) and number < 1000:
        if workers[(number + refusals) % len(workers)].admit(tokens, now_s) is None:
            number += 1
        else:
            refusals += 1
    return number


@pytest.mark.parametrize("met", [1, 2, 3])
def test_all_of_a_rate_is_there_however_many_workers_are_met(memory: SharedMemory, met: int) -> None:
    workers = workers_with(memory, Allowance(requests_per_minute=10, tokens_per_minute=700))[:met]
    assert admitted(*workers, tokens=1) == 10
    assert admitted(*workers, tokens=100, now_s=60.0) == 7
    refused = workers[0].admit(100, 60.0)
    assert refused is not None
    assert (refused.reason, refused.retry_after_s) == ("tokens_limited", pytest.approx(60 / 7))


@pytest.mark.parametrize("met", [1, 2, 3])
def test_requests_at_once_are_counted_in_all_workers(memory: SharedMemory, met: int) -> None:
    workers = workers_with(memory, THREE)[:met]
    assert admitted(*workers) == 3
    workers[0].leave(0, 0)
    assert [worker.admit(0, 0.0) is None for worker in reversed(workers)] == [True] + [False] * (met - 1)


def test_what_one_worker_corrects_another_has(memory: SharedMemory) -> None:
    a, b, c = workers_with(memory, Allowance(tokens_per_minute=1000))
    assert a.admit(1000, 0.0) is None
    assert b.admit(1, 0.0) is not None
    a.leave(1000, 400)
    assert b.admit(600, 0.0) is None
    b.leave(600, 1600)
    refused = c.admit(1, 0.0)
    assert refused is not None
    assert refused.retry_after_s == pytest.approx(1001 * 60 / 1000)


def test_every_worker_tells_what_is_left_of_the_whole(memory: SharedMemory) -> None:
    a, b, _ = workers_with(memory, Allowance(requests_per_minute=60, tokens_per_minute=600))
    assert a.admit(100, 0.0) is None
    assert a.told_fields() == b.told_fields()
    assert b"x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 59\r\n" in b.told_fields()
    assert b"x-ratelimit-remaining-tokens: 500\r\n" in b.told_fields()


def test_a_request_that_goes_on_after_all_counts_again(memory: SharedMemory) -> None:
    a, b, _ = workers_with(memory, Allowance(tokens_per_minute=100, max_in_flight=1))
    assert a.admit(60, 0.0) is None
    a.leave(60, 0)
    a.enter(60)
    refused = b.admit(1, 0.0)
    assert refused is not None
    assert refused.reason == "tenant_in_flight"
    assert b"x-ratelimit-remaining-tokens: 40\r\n" in b.told_fields()


def test_without_limits_nothing_is_shared(memory: SharedMemory) -> None:
    a = workers_with(memory, Allowance())[0]
    assert a.admit(1e9, 0.0) is None
    assert memory.tenants.used() == 0
    a.leave(1e9, 5)
    assert a.in_flight == 0


def test_a_limit_that_is_added_counts_what_is_in_flight_in_every_worker(memory: SharedMemory) -> None:
    sharings = [sharing(memory, worker) for worker in range(WORKERS)]
    limits = [item.allow({"acme": Allowance()})["acme"] for item in sharings]
    assert [item.admit(0, 0.0) for item in limits] == [None] * 3
    for item in sharings:
        item.allow({"acme": THREE})
    assert limits[0].admit(0, 0.0) is not None
    limits[2].leave(0, 0)
    assert limits[0].admit(0, 0.0) is None


def test_a_limit_that_is_changed_keeps_what_was_used_and_one_that_is_gone_limits_nothing(memory: SharedMemory) -> None:
    sharings = [sharing(memory, worker) for worker in range(WORKERS)]
    for item in sharings:
        a = item.allow({"acme": Allowance(requests_per_minute=10)})["acme"]
    assert admitted(a) == 10
    sharings[2].allow({"acme": Allowance(requests_per_minute=25)})
    assert admitted(a) == 15, "by those that have seen the change"
    b = sharings[1].allow({"acme": Allowance(requests_per_minute=25)})["acme"]
    assert admitted(b) == 0
    sharings[2].allow({"acme": Allowance()})
    assert admitted(a) == 1000
    sharings[2].allow({"acme": Allowance(requests_per_minute=25)})
    assert admitted(a) == 0


def test_a_tenant_that_is_renamed_or_gone_leaves_nothing_to_others(memory: SharedMemory) -> None:
    sharings = [sharing(memory, worker) for worker in range(WORKERS)]
    old = [item.allow({"acme": Allowance(tokens_per_minute=100, max_in_flight=3)})["acme"] for item in sharings]
    assert [item.admit(30, 0.0) for item in old] == [None] * 3
    new = [item.allow({"globex": Allowance(tokens_per_minute=100, max_in_flight=3)})["globex"] for item in sharings]
    assert admitted(*new, tokens=1) == 3
    told = new[0].told_fields()
    for item in old:
        item.leave(30, 5000)
        item.enter(30)
        item.leave(30, 0)
    assert new[0].told_fields() == told
    assert new[0].admit(1, 0.0) is not None
    assert b"x-ratelimit-limit-tokens: 100\r\n" in old[0].told_fields()


def test_a_killed_workers_requests_end_and_its_successor_goes_on(memory: SharedMemory) -> None:
    a, b, _ = workers_with(memory, Allowance(requests_per_minute=10, max_in_flight=3))
    assert admitted(b) == 3
    assert a.admit(0, 0.0) is not None
    memory.forget(1)
    assert admitted(a) == 3
    successor = sharing(memory, 1).allow({"acme": Allowance(requests_per_minute=10, max_in_flight=3)})["acme"]
    assert successor.admit(0, 0.0) is not None
    for _ in range(3):
        a.leave(0, 0)
    assert admitted(successor) == 3
    assert b"x-ratelimit-remaining-requests: 1\r\n" in successor.told_fields()


def test_while_another_worker_stands_still_nothing_passes_and_nothing_is_lost(memory: SharedMemory) -> None:
    locks = HeldLocks(memory)
    mine = sharing(memory, 0, locks).allow({"acme": Allowance(tokens_per_minute=1000, max_in_flight=2)})["acme"]
    other = sharing(memory, 1).allow({"acme": Allowance(tokens_per_minute=1000, max_in_flight=2)})["acme"]
    assert admitted(mine, tokens=100) == 2
    locks.are_held = True
    refused = mine.admit(1, 0.0)
    assert refused is not None
    assert (refused.reason, refused.retry_after_s) == ("rate_limited", 1.0)
    mine.leave(100, 900)
    assert other.admit(0, 0.0) is None, "the place is free at once"
    locks.are_held = False
    assert mine.admit(0, 0.0) is not None, "there are two"
    assert b"x-ratelimit-remaining-tokens: 0\r\n" in other.told_fields()
    other.leave(0, 0)
    assert other.admit(1, 0.0) is not None
    assert other.admit(1, 0.2) is None


class SmallBook(SharedTenants):
    def claim(self, tenants: Sequence[str]) -> list:  # type: ignore[type-arg]
        raise OverflowError("there are no rows for so many tenants")


def test_too_many_tenants_are_told_of(memory: SharedMemory) -> None:
    with pytest.raises(OverflowError, match="no rows"):
        Sharing(SmallBook(memory, 0, FileLocks(memory.fd))).allow({"acme": THREE})
