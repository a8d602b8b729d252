"""A tenant's limits: what is admitted, what is refused and when to come again."""

from __future__ import annotations

import pytest

from router.tenants.limits import Allowance, Denial, Limits, OwnLimits


def denial(limits: Limits, tokens: float = 0.0, now_s: float = 0.0) -> Denial:
    found = limits.admit(tokens, now_s)
    assert found is not None
    return found


def admitted(limits: Limits, tokens: float = 0.0, now_s: float = 0.0) -> int:
    """How many such requests pass at that moment."""
    number = 0
    while number < 1000 and limits.admit(tokens, now_s) is None:
        number += 1
    return number


def test_without_limits_everything_passes() -> None:
    limits = Limits(Allowance())
    assert admitted(limits, 1e9) == 1000
    assert limits.told_fields() == b""


def test_one_minutes_requests_pass_at_once_where_no_burst_is_set() -> None:
    limits = Limits(Allowance(requests_per_minute=30))
    assert admitted(limits) == 30
    refused = denial(limits)
    assert (refused.reason, refused.retry_after_s) == ("rate_limited", pytest.approx(2.0))
    assert "30 requests a minute" in refused.message
    assert admitted(limits, now_s=10.0) == 5


def test_a_burst_bounds_what_passes_at_once() -> None:
    limits = Limits(Allowance(requests_per_minute=600, burst=5))
    assert admitted(limits) == 5
    assert admitted(limits, now_s=3600.0) == 5


def test_less_than_one_request_a_minute_is_a_limit_too() -> None:
    limits = Limits(Allowance(requests_per_minute=0.5))
    assert admitted(limits) == 1
    assert denial(limits).retry_after_s == pytest.approx(120.0)


def test_tokens_are_charged_in_advance_and_corrected_at_the_end() -> None:
    limits = Limits(Allowance(tokens_per_minute=1000))
    assert limits.admit(700, 0.0) is None
    refused = denial(limits, 400)
    assert (refused.reason, refused.retry_after_s) == ("tokens_limited", pytest.approx(6.0))
    limits.leave(700, 500)
    assert limits.admit(400, 0.0) is None
    limits.leave(400, 1600)
    assert denial(limits, 1).retry_after_s == pytest.approx((1100 + 1) * 60 / 1000)


def test_a_request_larger_than_the_limit_is_refused_for_good() -> None:
    refused = denial(Limits(Allowance(tokens_per_minute=1000)), 1001)
    assert (refused.reason, refused.retry_after_s) == ("tokens_limited", None)
    assert "1001 tokens" in refused.message
    assert "max_tokens" in refused.message


def test_requests_in_flight_are_bounded() -> None:
    limits = Limits(Allowance(max_in_flight=2))
    assert admitted(limits) == 2
    assert denial(limits).reason == "tenant_in_flight"
    limits.leave(0, 0)
    assert admitted(limits) == 1


def test_what_is_refused_is_charged_nothing() -> None:
    limits = Limits(Allowance(requests_per_minute=2, tokens_per_minute=100, max_in_flight=5))
    assert limits.admit(100, 0.0) is None
    assert denial(limits, 50).reason == "tokens_limited"
    assert limits.in_flight == 1
    assert b"x-ratelimit-remaining-requests: 1\r\n" in limits.told_fields()


def test_what_goes_on_after_all_is_charged_again() -> None:
    limits = Limits(Allowance(tokens_per_minute=100, max_in_flight=1))
    assert limits.admit(60, 0.0) is None
    limits.leave(60, 0)
    limits.enter(60)
    assert limits.in_flight == 1
    assert b"x-ratelimit-remaining-tokens: 40\r\n" in limits.told_fields()


def test_whether_anything_is_limited() -> None:
    assert not Limits(Allowance()).is_limited()
    assert Limits(Allowance(requests_per_minute=1)).is_limited()
    assert Limits(Allowance(tokens_per_minute=1)).is_limited()
    assert Limits(Allowance(max_in_flight=1)).is_limited()


def test_tenants_that_stay_keep_what_they_have_used_and_others_begin_anew() -> None:
    own = OwnLimits()
    two = Allowance(requests_per_minute=2)
    first = dict(own.allow({"acme": two, "globex": two}))
    assert [admitted(limits) for limits in first.values()] == [2, 2]
    second = own.allow({"acme": Allowance(requests_per_minute=3), "initech": two})
    assert second["acme"] is first["acme"]
    assert {name: admitted(limits) for name, limits in second.items()} == {"acme": 1, "initech": 2}
    assert admitted(own.allow({"globex": two})["globex"]) == 2


def test_other_limits_hold_from_then_on_and_what_was_used_stays_used() -> None:
    limits = Limits(Allowance(requests_per_minute=10, max_in_flight=3))
    assert admitted(limits) == 3
    limits.allow(Allowance(requests_per_minute=20, tokens_per_minute=500))
    assert limits.in_flight == 3
    assert admitted(limits) == 17
    assert b"limit-tokens: 500\r\n" in limits.told_fields()
    limits.allow(Allowance())
    assert admitted(limits) == 1000
    assert limits.told_fields() == b""
