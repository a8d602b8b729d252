"""A charge ends when the request is in no place any more, and only once."""

from __future__ import annotations

import pytest

from router.tenants.charge import Charge
from router.tenants.counts import TenantCounts
from router.tenants.limits import Allowance, Limits
from router.tenants.tenant import Tenant, TenantSpec


@pytest.fixture
def limits() -> Limits:
    return Limits(Allowance(tokens_per_minute=1000, max_in_flight=5))


def charged(limits: Limits, tokens: float = 100.0) -> tuple[Charge, TenantCounts]:
    assert limits.admit(tokens, 0.0) is None
    counts = TenantCounts("acme")
    return Charge(Tenant(TenantSpec("acme", ()), limits, counts), tokens), counts


def left(limits: Limits) -> int:
    line = next(line for line in limits.told_fields().split(b"\r\n") if b"remaining-tokens" in line)
    return int(line.partition(b": ")[2])


def test_served_at_the_first_attempt(limits: Limits) -> None:
    charge, counts = charged(limits)
    assert (counts.requests, counts.in_flight, limits.in_flight) == (1, 1, 1)
    charge.hold()
    charge.drop(30)
    assert (counts.requests, counts.in_flight, limits.in_flight) == (1, 0, 0)
    assert left(limits) == 970


def test_between_two_attempts_that_overlap_it_stays_open(limits: Limits) -> None:
    charge, _ = charged(limits)
    charge.hold()
    charge.hold()
    charge.drop(0)
    assert limits.in_flight == 1
    assert left(limits) == 900
    charge.drop(250)
    assert limits.in_flight == 0
    assert left(limits) == 750


def test_taken_up_again_after_its_last_place_gave_it_up(limits: Limits) -> None:
    charge, counts = charged(limits)
    charge.hold()
    charge.drop(0)
    assert left(limits) == 1000
    charge.hold()
    assert (counts.requests, counts.in_flight, limits.in_flight, left(limits)) == (1, 1, 1, 900)
    charge.drop(70)
    assert (counts.in_flight, limits.in_flight, left(limits)) == (0, 0, 930)


def test_never_placed(limits: Limits) -> None:
    charge, _ = charged(limits)
    charge.end_unless_held()
    charge.end_unless_held()
    assert limits.in_flight == 0
    assert left(limits) == 1000


def test_a_refusal_of_a_further_attempt_does_not_end_it(limits: Limits) -> None:
    charge, _ = charged(limits)
    charge.hold()
    charge.end_unless_held()
    assert limits.in_flight == 1


def test_what_is_counted(limits: Limits) -> None:
    charge, counts = charged(limits)
    charge.count(input_tokens=7, output_tokens=3)
    charge.refused("queue_full")
    charge.refused("queue_full")
    assert (counts.input_tokens, counts.output_tokens, counts.refused) == (7, 3, {"queue_full": 2})
    assert charge.told_fields() == limits.told_fields() != b""


def test_it_ends_where_it_began_even_if_its_tenant_is_counted_elsewhere_by_then(limits: Limits) -> None:
    counts = TenantCounts("other")
    tenant = Tenant(TenantSpec("acme", ()), limits, counts)
    assert limits.admit(1.0, 0.0) is None
    charge = Charge(tenant, 1.0)
    assert charge.tenant == "acme"
    tenant.counts = TenantCounts("acme")
    charge.hold()
    charge.drop(1.0)
    assert (counts.in_flight, tenant.counts.in_flight) == (0, 0)


@pytest.mark.parametrize(("is_known", "rest"), [(True, 970), (False, 900)])
def test_an_attempt_is_settled_by_what_it_used_and_stands_where_that_is_not_known(
    limits: Limits, is_known: bool, rest: int
) -> None:
    charge, counts = charged(limits)
    charge.hold()
    charge.settle(input_tokens=10, output_tokens=20, is_known=is_known)
    assert (counts.input_tokens, counts.output_tokens, counts.in_flight) == (10, 20, 0)
    assert left(limits) == rest
