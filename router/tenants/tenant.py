"""A tenant: which keys are its own, what it may ask for, and what it may have yet. Pure."""

from __future__ import annotations

import msgspec

from router.contract import ClassId, Precision
from router.tenants.counts import TenantCounts
from router.tenants.keys import KeyDigest
from router.tenants.limits import Allowance, Limits


class TenantSpec(msgspec.Struct, frozen=True, gc=False):
    """A tenant as configured.

    Attributes:
        name: shown in metrics.
        keys: those that are its own.
        default_class: class of its requests that name none, or None for the router's default.
        classes: classes it may name besides; empty for all.
        pin_allowed: whether it may pin a precision where the class allows it.
        pin_precisions: precisions it may pin; empty for all that the class may have.
        allowance: how much it may have.
    """

    name: str
    keys: tuple[KeyDigest, ...]
    default_class: ClassId | None = None
    classes: tuple[ClassId, ...] = ()
    pin_allowed: bool = True
    pin_precisions: tuple[Precision, ...] = ()
    allowance: Allowance = Allowance()


class Tenant:
    """A tenant and what this worker knows of its use; it stays the same object while its name is configured.

    Attributes:
        spec: as configured now.
        limits: what it may have yet.
        counts: what is counted of it, shared with others that have no label of their own.
    """

    __slots__ = ("counts", "limits", "spec")

    def __init__(self, spec: TenantSpec, limits: Limits, counts: TenantCounts) -> None:
        self.spec = spec
        self.limits = limits
        self.counts = counts
