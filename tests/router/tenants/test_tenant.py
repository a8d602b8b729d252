"""A tenant as configured, and its use."""

from __future__ import annotations

from router.tenants.counts import TenantCounts
from router.tenants.limits import Allowance, Limits
from router.tenants.tenant import Tenant, TenantSpec


def test_a_tenant_of_which_only_name_and_keys_are_said_may_have_everything() -> None:
    spec = TenantSpec("acme", ())
    assert spec.allowance == Allowance(None, None, None, None)
    assert (spec.default_class, spec.classes, spec.pin_allowed, spec.pin_precisions) == (None, (), True, ())


def test_its_use_outlives_a_change_of_its_settings() -> None:
    limits, counts = Limits(Allowance()), TenantCounts("acme")
    tenant = Tenant(TenantSpec("acme", ()), limits, counts)
    tenant.spec = TenantSpec("acme", (), pin_allowed=False)
    assert tenant.limits is limits
    assert tenant.counts is counts
