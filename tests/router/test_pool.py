"""Circles and ring of one pool: always the emptiest, in turns, and never above the bound."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.affinity import LOAD_FACTOR, position_of
from router.contract import InstanceId, PoolId
from router.discovery.static import list_instances
from router.exchange import Outcome
from router.fleet import Fleet
from router.pool import Pool
from router.settings import HealthSettings
from router.slot import Slot
from tests.fakes.routing import router_file


def fleet(instances: int, *, cap: int = 1000) -> Fleet:
    pools = router_file({"bf16": instances}, cap=cap).pools
    return Fleet(list_instances(pools), {PoolId("bf16"): 1.0}, health=HealthSettings())


def pool_of(instances: int, *, cap: int = 1000) -> Pool:
    return fleet(instances, cap=cap).pools[PoolId("bf16")]


def take(pool: Pool, slot: Slot | None = None) -> Slot:
    found = slot or pool.emptiest()
    pool.count(found, 1)
    return found


def test_requests_spread_evenly_and_equals_take_turns() -> None:
    pool = pool_of(5)
    order = [take(pool).ordinal for _ in range(15)]
    assert order == [0, 1, 2, 3, 4] * 3


def test_a_request_that_ends_makes_room_where_it_was() -> None:
    pool = pool_of(3)
    slots = [take(pool) for _ in range(9)]
    pool.count(slots[4], -1)
    pool.count(slots[4], -1)
    assert take(pool) is slots[4]
    assert take(pool) is slots[4]


def test_load_that_is_not_this_workers_counts() -> None:
    pool = pool_of(3)
    pool.set_extra(pool.slots[0], 5)
    pool.set_extra(pool.slots[1], 2)
    assert Counter(take(pool).ordinal for _ in range(11)) == {0: 1, 1: 4, 2: 6}
    pool.set_extra(pool.slots[0], 0)
    assert take(pool) is pool.slots[0]


def test_a_full_instance_is_none_to_choose_from() -> None:
    pool = pool_of(2, cap=2)
    for _ in range(4):
        take(pool)
    assert (pool.free, pool.has_room(), pool.can_serve()) == (0, False, True)
    pool.count(pool.slots[1], -1)
    assert pool.emptiest() is pool.slots[1]


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["take", "give", "extra", "near", "fail", "probe", "cap"]),
            st.integers(0, 3),
            st.integers(0, 6),
        ),
        max_size=60,
    )
)
@settings(max_examples=150)
def test_the_emptiest_is_the_emptiest_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    some = fleet(4, cap=3)
    pool = some.pools[PoolId("bf16")]
    for what, number, amount in steps:
        slot = pool.slots[number]
        if what == "take" and pool.free:
            take(pool)
        elif what == "near" and pool.free:
            take(pool, pool.near(amount << 29))
        elif what == "give" and slot.in_flight:
            pool.count(slot, -1)
        elif what == "extra":
            pool.set_extra(slot, amount)
        elif what == "fail":
            some.ended(slot, Outcome.RESET)
        elif what == "probe":
            some.probed(slot, ok=amount > 0, load=None, now_s=0.0)
        elif what == "cap":
            some.constrain({slot.spec.instance_id: amount}, frozenset())
        free = [one for one in pool.ready if one.in_flight < one.cap]
        assert pool.free == len(free)
        assert pool.load == sum(one.load for one in free)
        assert all(one.load == one.in_flight + one.extra for one in pool.slots)
        assert {one for one in pool.slots if one.free} == set(free)
        if free:
            assert pool.emptiest().load == min(one.load for one in free)
            assert pool.near(amount << 29).free


def test_a_key_keeps_to_its_instance() -> None:
    pool = pool_of(8)
    for key in map(position_of, ("a", "b", "c")):
        assert len({pool.near(key) for _ in range(10)}) == 1


@pytest.mark.parametrize("keys", [1, 3, 1000])
def test_no_instance_is_above_the_bound_however_few_the_keys(keys: int) -> None:
    pool, rng = pool_of(8), random.Random(2)
    held: list[Slot] = []
    for _ in range(3000):
        if len(held) > 100:
            pool.count(held.pop(rng.randrange(len(held))), -1)
        slot = pool.near(position_of(f"key {rng.randrange(keys)}"))
        assert slot.load + 1 <= LOAD_FACTOR * (pool.load + 1) / 8 + 1
        held.append(take(pool, slot))


def test_what_is_above_the_bound_goes_to_the_same_next_instance() -> None:
    pool = pool_of(8)
    key = position_of("popular")
    order = list(dict.fromkeys(take(pool, pool.near(key)) for _ in range(80)))
    again = pool_of(8)
    assert [slot.ordinal for slot in dict.fromkeys(take(again, again.near(key)) for _ in range(80))] == [
        slot.ordinal for slot in order
    ]
    assert len(order) == 7, "the bound of 1.25 lets the last one be idle"


def test_an_instance_that_leaves_moves_no_keys_but_its_own() -> None:
    some = fleet(6)
    pool = some.pools[PoolId("bf16")]
    keys = [position_of(f"key {number}") for number in range(300)]
    before = [pool.near(key) for key in keys]
    gone = pool.slots[2]
    some.constrain({gone.spec.instance_id: 0}, frozenset())
    after = [pool.near(key) for key in keys]
    assert gone not in after
    assert [new for old, new in zip(before, after, strict=True) if old is not gone and old is not new] == []
    some.constrain({}, frozenset())
    assert [pool.near(key) for key in keys] == before


def test_where_nearly_all_are_full_a_key_still_finds_the_free_one() -> None:
    pool = pool_of(200, cap=1)
    for slot in pool.slots[:-1]:
        take(pool, slot)
    assert {pool.near(position_of(f"key {number}")) for number in range(50)} == {pool.slots[-1]}


def test_tried_instances_are_left_out_and_suspects_used_where_no_other_is_left() -> None:
    some = fleet(3)
    pool = some.pools[PoolId("bf16")]
    some.ended(pool.slots[0], Outcome.RESET)
    assert pool.ready == pool.slots[1:]
    tried = tuple(InstanceId(f"bf16-{number}") for number in (1, 2))
    assert pool.pick(None, tried) is pool.slots[0]
    assert not pool.can_serve((*tried, InstanceId("bf16-0")))


def test_how_full_a_pool_is() -> None:
    pool = pool_of(2, cap=4)
    take(pool, pool.slots[0])
    assert pool.fill_frac() == 1 / 8
    assert pool.fill_frac((InstanceId("bf16-0"),)) == 0.0


def test_requests_of_other_workers_count_as_load_and_against_the_cap() -> None:
    pool = pool_of(3, cap=4)
    first, second, third = pool.slots
    pool.set_others(first, 2)
    pool.set_others(second, 4)
    assert (pool.free, pool.load, second.free) == (2, 2, False)
    assert [take(pool) for _ in range(3)] == [third, third, first]
    take(pool, first)
    assert (first.cap, first.free) == (2, False)
    pool.set_others(first, 0)
    pool.set_others(second, 1)
    assert (first.free, second.free, pool.load) == (True, True, 2 + 1 + 2)
    assert take(pool) is second
    pool.set_others(third, 9)
    assert (third.cap, third.free) == (0, False), "more than the cap, as it was lowered"
