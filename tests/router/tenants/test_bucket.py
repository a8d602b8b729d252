"""The token bucket: what passes at once, what passes in the long run, and what clocks may do."""

from __future__ import annotations

import contextlib

import pytest

from router.tenants.bucket import Bucket


def take(bucket: Bucket, amount: float, now_s: float) -> float:
    wait_s = bucket.wait_s(amount, now_s)
    if not wait_s:
        bucket.used += amount
    return wait_s


def test_its_capacity_passes_at_once_and_no_more() -> None:
    bucket = Bucket(capacity=3, per_s=0.5)
    assert [take(bucket, 1, 100.0) for _ in range(4)] == [0, 0, 0, pytest.approx(2.0)]


def test_who_waits_as_long_as_told_passes() -> None:
    bucket = Bucket(capacity=1, per_s=1 / 3)
    now_s = 1_800_000_000.1
    take(bucket, 1, now_s)
    for _ in range(200):
        wait_s = bucket.wait_s(1, now_s)
        now_s += wait_s
        assert take(bucket, 1, now_s) == 0


def test_it_fills_to_its_capacity_only() -> None:
    bucket = Bucket(capacity=2, per_s=1)
    take(bucket, 2, 0.0)
    assert bucket.full_in_s() == pytest.approx(2.0)
    bucket.wait_s(1, 1e6)
    assert bucket.left() == 2
    assert bucket.full_in_s() == 0


def test_more_than_its_capacity_never_passes() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    assert take(bucket, 10.1, 0.0) > 0
    assert take(bucket, 10.1, 1e9) > 0


def test_a_debt_is_paid_off_before_anything_passes() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    take(bucket, 5, 0.0)
    bucket.give(-20)
    assert bucket.left() == -15
    assert bucket.wait_s(1, 5.0) == pytest.approx(11.0)


def test_what_is_given_back_never_exceeds_the_capacity() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    take(bucket, 4, 0.0)
    bucket.wait_s(0, 3.0)
    bucket.give(4)
    assert bucket.left() == 10
    bucket.give(-30)
    assert bucket.left() == -20


def test_a_clock_that_goes_back_neither_adds_nor_takes() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    take(bucket, 10, 1000.0)
    assert bucket.wait_s(1, 400.0) == pytest.approx(1.0)
    assert bucket.wait_s(1, 400.5) == pytest.approx(0.5)


def test_what_was_taken_stays_taken_when_it_is_resized() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    take(bucket, 8, 0.0)
    bucket.resize(capacity=100, per_s=2)
    assert bucket.left() == 92
    bucket.resize(capacity=5, per_s=2)
    assert bucket.left() == -3


def test_calls_of_several_workers_that_crossed_add_no_time_twice() -> None:
    bucket = Bucket(capacity=1000, per_s=10)
    assert take(bucket, 1000, 0.0) == 0
    passed = 0.0
    for step in range(1, 1001):
        # Every other call read the clock 2 s before it came.
        now_s = step * 0.1 - (2.0 if step % 2 else 0.0)
        if now_s > 0 and not take(bucket, 1, now_s):
            passed += 1
    assert passed <= 10 * 100


def test_another_goes_on_where_one_was_written() -> None:
    levels = [0.0] * 5
    one, two = Bucket(capacity=10, per_s=1), Bucket(capacity=20, per_s=2)
    one.read(levels, 1)
    assert take(one, 10, 100.0) == 0
    one.write(levels, 1)
    two.read(levels, 1)
    assert two.left() == 10
    assert two.wait_s(12, 100.0) == pytest.approx(1.0)
    assert two.wait_s(12, 101.0) == 0


class Deadly(list[float]):
    """Memory whose writer is killed after so many writes."""

    writes = 0

    def __setitem__(self, index: int, number: float) -> None:  # type: ignore[override]
        if not self.writes:
            raise KeyboardInterrupt
        self.writes -= 1
        super().__setitem__(index, number)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_who_is_killed_while_it_writes_adds_nothing(writes: int) -> None:
    levels = Deadly([0.0, 0.0])
    levels.writes = 2
    bucket = Bucket(capacity=10, per_s=1)
    take(bucket, 10, 100.0)
    bucket.write(levels, 0)
    levels.writes = writes
    bucket.wait_s(0, 104.0)
    with contextlib.suppress(KeyboardInterrupt):
        bucket.write(levels, 0)
    other = Bucket(capacity=10, per_s=1)
    other.read(levels, 0)
    assert other.wait_s(4 + 0.1, 104.0) > 0
    assert other.wait_s(4 + 1.1, 105.0) > 0
