"""What the cost of tenants is measured with is served, and charged to them."""

from __future__ import annotations

import pytest

from tests.bench.path_tenants import KINDS, Kind, path_of, request_us


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
async def test_every_request_is_answered_and_its_tenant_charged(kind: Kind) -> None:
    with path_of(kind) as path:
        assert request_us(path, kind, requests=12) > 0
        state = path.client._gateway.dispatcher.state(0.0)
    [counts] = state.classes
    assert (counts.requests, counts.finished, counts.in_flight) == (12, 12, 0)
    told = {each.tenant: each.requests for each in state.tenants if each.requests}
    assert len(told) == (min(kind.keys, 12) if kind.tenants else 0)
    assert sum(told.values()) == (12 if kind.tenants else 0)
