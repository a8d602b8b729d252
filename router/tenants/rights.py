"""What a tenant may ask for. Pure."""

from __future__ import annotations

from router.contract import ClassId, Precision
from router.exchange import Refusal
from router.tenants.tenant import TenantSpec


def check_class(spec: TenantSpec, class_id: ClassId, default: ClassId) -> Refusal | None:
    """None if the tenant may name this class.

    Args:
        spec: the tenant.
        class_id: the class named.
        default: class its requests get if they name none; it may name that, too.
    """
    if not spec.classes or class_id in spec.classes or class_id == default:
        return None
    allowed = ", ".join(dict.fromkeys((*spec.classes, default)))
    return Refusal(403, "class_not_allowed", f"this key may not use class '{class_id}'; it may use: {allowed}")


def check_pin(spec: TenantSpec, pin: Precision) -> Refusal | None:
    """None if the tenant may pin this precision."""
    if not spec.pin_allowed:
        message = f"this key may not pin a precision; leave {pin.value} out"
        return Refusal(403, "pin_not_allowed", message)
    if not spec.pin_precisions or pin in spec.pin_precisions:
        return None
    allowed = ", ".join(known.value for known in spec.pin_precisions)
    return Refusal(403, "precision_not_allowed", f"this key may not pin {pin.value}; it may pin: {allowed}")
