"""Counts by tenant, summed over workers."""

from __future__ import annotations

import msgspec

from router.tenants.counts import TenantCounts, merge_tenants


def test_counts_of_workers_are_added_by_label() -> None:
    mine = [TenantCounts("acme", requests=1, in_flight=1, refused={"rate_limited": 1})]
    theirs = [
        TenantCounts("globex", requests=5),
        TenantCounts("acme", 2, 3, 40, 50, {"rate_limited": 1, "queue_full": 2}),
    ]
    merge_tenants(mine, theirs)
    assert mine == [
        TenantCounts("acme", 3, 4, 40, 50, {"rate_limited": 2, "queue_full": 2}),
        TenantCounts("globex", requests=5),
    ]


def test_refusals_are_counted_for_each_by_itself() -> None:
    one, other = TenantCounts("a"), TenantCounts("b")
    one.count_refusal("rate_limited")
    assert (one.refused, other.refused) == ({"rate_limited": 1}, {})


def test_they_travel_as_json() -> None:
    counts = TenantCounts("acme", 1, 2, 3, 4, {"x": 1})
    assert msgspec.json.decode(msgspec.json.encode(counts), type=TenantCounts) == counts
