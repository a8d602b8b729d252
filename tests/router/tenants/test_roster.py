"""Whose key a request carries, what is admitted, and what a changed list of tenants changes."""

from __future__ import annotations

import math

import pytest

from router.exchange import Refusal
from router.tenants.charge import Charge
from router.tenants.keys import Key, KeyDigest, digest_of
from router.tenants.limits import Allowance
from router.tenants.roster import Roster
from router.tenants.tenant import Tenant, TenantSpec

NOW_S = 1_800_000_000.0


def spec(name: str, *keys: str, until_s: float | None = None, **allowance: int) -> TenantSpec:
    known = tuple(
        KeyDigest(digest_of(key.encode())) if until_s is None else KeyDigest(digest_of(key.encode()), until_s)
        for key in keys or (f"key of {name}",)
    )
    return TenantSpec(name, known, allowance=Allowance(**allowance))


def roster(*specs: TenantSpec, max_labels: int = 100) -> Roster:
    return Roster(specs, max_labels=max_labels)


def identify(some: Roster, key: str) -> Key[Tenant]:
    found = some.identify({b"authorization": b"Bearer " + key.encode()})
    assert isinstance(found, Key), found
    return found


def refusal(found: object) -> Refusal:
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize("field", [b"x-api-key", b"api-key"])
def test_the_key_tells_the_tenant(field: bytes) -> None:
    some = roster(spec("acme"), spec("globex"))
    assert identify(some, "key of globex").owner.spec.name == "globex"
    found = some.identify({field: b"key of acme"})
    assert isinstance(found, Key)
    assert found.owner.spec.name == "acme"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "no_api_key"),
        ({b"authorization": b"Basic YTpi"}, "no_api_key"),
        ({b"authorization": b"Bearer wrong"}, "invalid_api_key"),
        ({b"x-api-key": b"wrong"}, "invalid_api_key"),
    ],
)
def test_no_key_and_a_wrong_one_are_refused_with_a_challenge(fields: dict[bytes, bytes], reason: str) -> None:
    found = refusal(roster(spec("acme")).identify(fields))
    assert (found.status, found.reason, found.code) == (401, reason, "invalid_api_key")
    assert found.fields == b"www-authenticate: Bearer\r\n"
    assert "wrong" not in found.message


def test_a_key_knows_when_it_ends() -> None:
    assert identify(roster(spec("acme", "k", until_s=NOW_S)), "k").until_s == NOW_S


def test_a_limit_reached_is_a_429_that_tells_it() -> None:
    some = roster(spec("acme", requests_per_minute=1))
    tenant = identify(some, "key of acme").owner
    assert isinstance(some.admit(tenant, 10, NOW_S), Charge)
    found = refusal(some.admit(tenant, 10, NOW_S))
    assert (found.status, found.reason, found.code) == (429, "rate_limited", "rate_limit_exceeded")
    assert found.retry_after_s == pytest.approx(60)
    assert b"x-ratelimit-remaining-requests: 0\r\n" in found.fields
    assert b"x-should-retry" not in found.fields


def test_what_will_never_pass_is_not_to_be_tried_again() -> None:
    some = roster(spec("acme", tokens_per_minute=5))
    found = refusal(some.admit(identify(some, "key of acme").owner, 10, NOW_S))
    assert (found.status, found.reason, found.retry_after_s) == (429, "tokens_limited", None)
    assert b"x-should-retry: false\r\n" in found.fields


def test_tenants_do_not_share_their_limits() -> None:
    some = roster(spec("acme", max_in_flight=1), spec("globex", max_in_flight=1))
    for name in ("acme", "globex"):
        assert isinstance(some.admit(identify(some, f"key of {name}").owner, 0, NOW_S), Charge)
    assert refusal(some.admit(identify(some, "key of acme").owner, 0, NOW_S)).reason == "tenant_in_flight"


def test_the_keys_of_one_tenant_share_its_limits() -> None:
    some = roster(spec("acme", "one", "two", max_in_flight=1))
    assert isinstance(some.admit(identify(some, "one").owner, 0, NOW_S), Charge)
    assert refusal(some.admit(identify(some, "two").owner, 0, NOW_S)).reason == "tenant_in_flight"


def test_only_so_many_tenants_have_a_label() -> None:
    some = roster(spec("a"), spec("b"), spec("c"), spec("d"), max_labels=2)
    for name in "abcd":
        some.admit(identify(some, f"key of {name}").owner, 0, NOW_S)
    some.count_refusal(identify(some, "key of d").owner, "queue_full")
    some.count_refusal(None, "no_api_key")
    found = {counts.tenant: (counts.requests, counts.refused) for counts in some.counts()}
    assert found == {
        "a": (1, {}),
        "b": (1, {}),
        "other": (2, {"queue_full": 1}),
        "none": (0, {"no_api_key": 1}),
    }


def test_labels_stay_bounded_however_often_the_tenants_change() -> None:
    some = roster(spec("first"), max_labels=3)
    for number in range(20):
        some.reconfigure([spec(f"t{number}"), spec("first")], max_labels=3)
    assert {counts.tenant for counts in some.counts()} == {"first", "t0", "t1", "other"}
    some.admit(identify(some, "key of first").owner, 0, NOW_S)
    assert next(counts for counts in some.counts() if counts.tenant == "first").requests == 1


def test_a_changed_list_ends_keys_that_are_gone_and_keeps_what_was_used() -> None:
    some = roster(spec("acme", "old", "kept", requests_per_minute=10), spec("globex"))
    old, kept, gone = identify(some, "old"), identify(some, "kept"), identify(some, "key of globex")
    for _ in range(10):
        some.admit(kept.owner, 0, NOW_S)
    some.reconfigure([spec("acme", "kept", "new", requests_per_minute=12)], max_labels=100)
    assert (old.until_s, gone.until_s, kept.until_s) == (-math.inf, -math.inf, math.inf)
    assert identify(some, "new").owner is kept.owner
    passed = [isinstance(some.admit(kept.owner, 0, NOW_S), Charge) for _ in range(3)]
    assert passed == [True, True, False]
