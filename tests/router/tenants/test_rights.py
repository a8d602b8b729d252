"""What a tenant may ask for, and what it is told where it may not."""

from __future__ import annotations

from router.contract import ClassId, Precision
from router.exchange import Refusal
from router.tenants.rights import check_class, check_pin
from router.tenants.tenant import TenantSpec

STANDARD, FLEX, GOLD = ClassId("standard"), ClassId("flex"), ClassId("gold")


def spec(**rights: object) -> TenantSpec:
    return TenantSpec("acme", (), **rights)  # type: ignore[arg-type]


def why(found: Refusal | None) -> tuple[int, str]:
    assert found is not None
    return found.status, found.reason


def test_where_no_class_is_listed_every_one_may_be_named() -> None:
    assert check_class(spec(), GOLD, STANDARD) is None


def test_a_class_that_is_not_listed_is_refused_with_those_that_are() -> None:
    found = check_class(spec(classes=(FLEX,)), GOLD, STANDARD)
    assert why(found) == (403, "class_not_allowed")
    assert found is not None
    assert "'gold'" in found.message
    assert found.message.endswith("flex, standard")


def test_listed_classes_and_the_default_may_be_named() -> None:
    some = spec(classes=(FLEX,), default_class=STANDARD)
    assert check_class(some, FLEX, STANDARD) is None
    assert check_class(some, STANDARD, STANDARD) is None


def test_pins() -> None:
    assert check_pin(spec(), Precision.INT4) is None
    assert why(check_pin(spec(pin_allowed=False), Precision.BF16)) == (403, "pin_not_allowed")
    some = spec(pin_precisions=(Precision.FP8, Precision.INT8))
    assert check_pin(some, Precision.FP8) is None
    found = check_pin(some, Precision.BF16)
    assert why(found) == (403, "precision_not_allowed")
    assert found is not None
    assert found.message.endswith("fp8, int8")
