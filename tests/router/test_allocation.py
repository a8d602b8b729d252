"""What a table sets: weights, caps, draining instances; and what holds without one."""

from __future__ import annotations

from router.allocation import GOING_S, Allocation
from router.contract import InstanceId
from router.parts import Parts, make_parts
from tests.fakes.routing import NOW_S, router_file, table

SETTINGS = router_file({"bf16": 2, "fp8": 1}, weights={"bf16": 3.0})


def build() -> tuple[Parts, Allocation]:
    parts = make_parts(SETTINGS, ())
    return parts, Allocation(SETTINGS.table, parts.fleet, parts.policies)


def shares(parts: Parts) -> dict[str, float]:
    (policy,) = parts.policies.values()
    return {lane.pool.pool_id: lane.share for lane in policy.lanes}


def caps(parts: Parts) -> dict[str, int]:
    return {slot.spec.instance_id: slot.max_in_flight for slot in parts.fleet.slots.values()}


def test_without_a_table_the_settings_hold() -> None:
    parts, allocation = build()
    assert shares(parts) == {"bf16": 0.75, "fp8": 0.25}
    assert caps(parts) == {"bf16-0": 4, "bf16-1": 4, "fp8-0": 4}
    view = allocation.view(NOW_S)
    assert (allocation.sequence, view.sequence, view.state, view.issuer) == (-1, -1, "static", None)


def test_a_table_sets_weights_caps_and_who_drains_until_it_expires() -> None:
    parts, allocation = build()
    told = table({"standard": {"fp8": 1.0}}, sequence=5, caps={"bf16-0": 9}, draining=("fp8-0",), ttl_s=30)
    assert allocation.offer(told, NOW_S)
    assert not allocation.offer(told, NOW_S + 1), "it is not new any more"
    assert shares(parts) == {"bf16": 0.0, "fp8": 1.0}
    assert caps(parts) == {"bf16-0": 9, "bf16-1": 4, "fp8-0": 4}
    assert parts.fleet.slots[InstanceId("fp8-0")].draining
    assert (allocation.sequence, allocation.view(NOW_S).sequence) == (5, 5)
    assert not allocation.drop_expired(NOW_S + 29)
    assert allocation.view(NOW_S + 30).sequence == -1, "also before anybody has looked at the time"
    assert allocation.drop_expired(NOW_S + 30)
    assert shares(parts) == {"bf16": 0.75, "fp8": 0.25}
    assert caps(parts)["bf16-0"] == 4
    assert allocation.sequence == -1


def drains(parts: Parts) -> set[str]:
    return {slot.spec.instance_id for slot in parts.fleet.slots.values() if slot.draining}


def test_who_was_drained_as_the_table_expired_gets_nothing_while_it_may_be_put_to_sleep() -> None:
    parts, allocation = build()
    allocation.offer(table({"standard": {"fp8": 1.0}}, sequence=5, draining=("bf16-0",), ttl_s=30), NOW_S)
    assert allocation.drop_expired(NOW_S + 30)
    assert drains(parts) == {"bf16-0"}
    assert not allocation.drop_expired(NOW_S + 29 + GOING_S)
    assert drains(parts) == {"bf16-0"}
    assert allocation.drop_expired(NOW_S + 30 + GOING_S)
    assert drains(parts) == set()
    assert not allocation.drop_expired(NOW_S + 31 + GOING_S)


def test_the_same_holds_where_a_table_that_is_refused_comes_as_the_last_one_expires() -> None:
    parts, allocation = build()
    allocation.offer(table({"standard": {"fp8": 1.0}}, sequence=5, draining=("bf16-0",), ttl_s=30), NOW_S)
    assert not allocation.offer(table({"standard": {"fp8": 1.0}}, sequence=6, ttl_s=5), NOW_S + 40)
    assert (allocation.sequence, drains(parts)) == (-1, {"bf16-0"})


def test_a_new_table_says_anew_who_drains() -> None:
    parts, allocation = build()
    allocation.offer(table({"standard": {"fp8": 1.0}}, sequence=5, draining=("bf16-0",), ttl_s=30), NOW_S)
    allocation.drop_expired(NOW_S + 30)
    allocation.offer(table({"standard": {"fp8": 1.0}}, sequence=6, draining=("bf16-1",), ttl_s=60), NOW_S + 31)
    assert drains(parts) == {"bf16-1"}
    assert not allocation.drop_expired(NOW_S + 60 + GOING_S - 31), "nothing is left of the one before"
    assert drains(parts) == {"bf16-1"}


def test_who_follows_later_goes_by_the_table_that_is_in_force() -> None:
    _, allocation = build()
    allocation.offer(table({"standard": {"fp8": 1.0}}, caps={"bf16-0": 9}), NOW_S)
    others = make_parts(SETTINGS, ())
    allocation.follow(others.fleet, others.policies)
    assert (shares(others), caps(others)["bf16-0"]) == ({"bf16": 0.0, "fp8": 1.0}, 9)


def test_unknown_names_are_counted_and_a_class_without_known_pools_keeps_its_own_weights() -> None:
    parts, allocation = build()
    allocation.offer(
        table({"standard": {"int4": 1.0}, "made-up": {"bf16": 1.0}}, caps={"bf16-7": 1}, draining=("gone-0",)), NOW_S
    )
    assert allocation.view(NOW_S).unknown_names == 4
    assert shares(parts) == {"bf16": 0.75, "fp8": 0.25}


def test_refused_tables_are_counted_and_the_table_obeyed_stays() -> None:
    parts, allocation = build()
    allocation.offer(table({"standard": {"fp8": 1.0}}, sequence=5), NOW_S)
    assert not allocation.offer(table({"standard": {"bf16": 1.0}}, sequence=4), NOW_S)
    assert shares(parts)["fp8"] == 1.0
    assert allocation.view(NOW_S).refused == {"older": 1}
