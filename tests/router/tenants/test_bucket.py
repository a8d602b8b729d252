"""The token bucket: what passes at once, what passes in the long run, and what clocks may do."""

from __future__ import annotations

import pytest

from router.tenants.bucket import Bucket


def take(bucket: Bucket, amount: float, now_s: float) -> float:
    wait_s = bucket.wait_s(amount, now_s)
    if not wait_s:
        bucket.level -= amount
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
    assert bucket.level == 2
    assert bucket.full_in_s() == 0


def test_more_than_its_capacity_passes_when_it_is_full_and_is_paid_off_first() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    assert take(bucket, 25, 0.0) == 0
    assert bucket.level == -15
    assert bucket.wait_s(1, 5.0) == pytest.approx(11.0)
    assert bucket.wait_s(25, 5.0) == pytest.approx(20.0)


def test_what_is_given_back_never_exceeds_the_capacity() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    take(bucket, 4, 0.0)
    bucket.wait_s(0, 3.0)
    bucket.give(4)
    assert bucket.level == 10
    bucket.give(-30)
    assert bucket.level == -20


def test_a_clock_that_goes_back_neither_adds_nor_takes() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    take(bucket, 10, 1000.0)
    assert bucket.wait_s(1, 400.0) == pytest.approx(1.0)
    assert bucket.wait_s(1, 400.5) == pytest.approx(0.5)


def test_what_was_taken_stays_taken_when_it_is_resized() -> None:
    bucket = Bucket(capacity=10, per_s=1)
    take(bucket, 8, 0.0)
    bucket.resize(capacity=100, per_s=2)
    assert bucket.level == 92
    bucket.resize(capacity=5, per_s=2)
    assert bucket.level == -3
