"""Limits as answers tell them."""

from __future__ import annotations

import pytest

from router.tenants.bucket import Bucket
from router.tenants.told import duration, limit_fields


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, b"0ms"),
        (0.0001, b"1ms"),
        (0.02, b"20ms"),
        (0.9991, b"1s"),
        (1.0, b"1s"),
        (1.2, b"2s"),
        (59.5, b"1m0s"),
        (360.0, b"6m0s"),
        (3599.5, b"1h0m0s"),
        (3661.0, b"1h1m1s"),
        (200_000.0, b"55h33m20s"),
    ],
)
def test_durations_as_openai_writes_them(seconds: float, text: bytes) -> None:
    assert duration(seconds) == text


def test_what_is_left_and_when_all_is_back() -> None:
    bucket = Bucket(capacity=60, per_s=1)
    bucket.used = 2.5
    assert limit_fields(b"requests", bucket) == (
        b"x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 57\r\nx-ratelimit-reset-requests: 3s\r\n"
    )


def test_debt_is_told_as_nothing_left() -> None:
    bucket = Bucket(capacity=60, per_s=1)
    bucket.used = 660
    told = limit_fields(b"tokens", bucket)
    assert b"x-ratelimit-remaining-tokens: 0\r\n" in told
    assert b"x-ratelimit-reset-tokens: 11m0s\r\n" in told


def test_no_limit_is_not_told() -> None:
    assert limit_fields(b"requests", None) == b""
