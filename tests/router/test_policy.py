"""Which pool and which instance: shares of tokens, sessions, load, and what happens when pools fill or fail."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from router.accounting import ClassCounts, Tally, Traffic
from router.affinity import position_of
from router.contract import ClassId, InstanceId, PoolId, Precision
from router.discovery.static import list_instances
from router.exchange import Ask
from router.fleet import EngineLoad, Fleet
from router.openai import RequestFacts
from router.policy import AHEAD_FRAC, AHEAD_REQUESTS, CATCH_UP_REQUESTS, MAX_HOMES, ClassPolicy, Lane, Unavailable
from router.settings import HealthSettings
from router.slot import Slot
from tests.fakes.routing import NOW_S, router_file

ASK = Ask(RequestFacts(), ClassId("standard"), None, None, 256.0)


def build(numbers: dict[str, int] | None = None, *, cap: int = 1000) -> tuple[Fleet, ClassPolicy]:
    settings = router_file(numbers or {"bf16": 1, "fp8": 1, "int4": 1}, cap=cap)
    fleet = Fleet(
        list_instances(settings.pools),
        {PoolId(pool.name): 1.0 for pool in settings.pools},
        health=HealthSettings(),
    )
    lanes = [
        Lane(pool, Tally(Traffic.empty("standard", pool.pool_id)), is_degraded=False) for pool in fleet.pools.values()
    ]
    return fleet, ClassPolicy(fleet, lanes, ClassCounts("standard"), 256.0)


def of_session(name: str) -> Ask:
    return msgspec.structs.replace(ASK, position=position_of(name), is_session=True)


def of_prefix(name: str) -> Ask:
    return msgspec.structs.replace(ASK, position=position_of(name))


def charge(policy: ClassPolicy, slot: Slot, tokens: float = 256.0) -> None:
    lane = policy.lane_of[slot.pool.number]
    if lane.share:
        policy.charge(lane, tokens)


def picked(policy: ClassPolicy, ask: Ask = ASK, tried: tuple[str, ...] = ()) -> Slot:
    found = policy.pick(ask, tuple(InstanceId(name) for name in tried))
    assert isinstance(found, Slot), found
    return found


def take(fleet: Fleet, policy: ClassPolicy, ask: Ask = ASK) -> Slot:
    slot = picked(policy, ask)
    slot.pool.count(slot, 1)
    charge(policy, slot, ask.expected_tokens)
    return slot


def shares_after(policy: ClassPolicy, lengths: list[int], *, expected: float = 256.0) -> list[float]:
    """Share of the tokens by pool when each answer ends before the next request comes."""
    served: Counter[str] = Counter()
    for length in lengths:
        slot = picked(policy, msgspec.structs.replace(ASK, expected_tokens=expected))
        charge(policy, slot, expected)
        charge(policy, slot, length - expected)
        served[slot.pool.pool_id] += length
    return [served[lane.pool.pool_id] / sum(lengths) for lane in policy.lanes]


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.7, 0.2, 0.1], [0.97, 0.02, 0.01]])
def test_the_share_of_tokens_follows_the_weights_whatever_the_lengths(weights: list[float]) -> None:
    _, policy = build()
    policy.set_weights(weights)
    rng = random.Random(7)
    lengths = [min(8000, max(1, round(rng.lognormvariate(5.0, 1.0)))) for _ in range(1000)]
    expected = [weight / sum(weights) for weight in weights]
    assert shares_after(policy, lengths) == pytest.approx(expected, abs=0.01)


def test_the_shares_are_right_though_the_lengths_are_far_from_what_was_expected() -> None:
    _, policy = build({"bf16": 1, "fp8": 1, "int4": 1})
    policy.set_weights([0.9, 0.06, 0.04])
    for _ in range(30):
        shares_after(policy, [10] * 10, expected=policy.expected_tokens)
        policy.expected_tokens += 0.2 * (10 - policy.expected_tokens)
        policy.keep_pace()
    assert shares_after(policy, [10] * 700, expected=10.0) == pytest.approx([0.9, 0.06, 0.04], abs=0.005)


def test_requests_of_one_length_alternate_rather_than_cluster() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([3.0, 1.0])
    order = []
    for _ in range(8):
        slot = picked(policy)
        charge(policy, slot)
        order.append(slot.pool.pool_id)
    assert order[:4] == order[4:]
    assert order[:4].count(PoolId("bf16")) == 3


def test_long_answers_in_one_pool_are_made_up_for() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([1.0, 1.0])
    first = picked(policy)
    charge(policy, first, 2560.0)
    following = []
    for _ in range(9):
        following.append(picked(policy))
        charge(policy, following[-1])
    assert first not in following


def test_a_pool_without_weight_gets_nothing_while_another_can_serve() -> None:
    fleet, policy = build(cap=2)
    policy.set_weights([1.0, 0.0, 0.0])
    assert {take(fleet, policy).pool.pool_id for _ in range(2)} == {"bf16"}
    assert policy.pick(ASK) is Unavailable.FULL


def test_a_full_pool_is_passed_over_for_another_with_weight() -> None:
    fleet, policy = build(cap=2)
    policy.set_weights([0.98, 0.01, 0.01])
    assert Counter(take(fleet, policy).pool.pool_id for _ in range(6)) == {"bf16": 2, "fp8": 2, "int4": 2}
    assert policy.pick(ASK) is Unavailable.FULL


def test_availability_comes_before_the_allocation() -> None:
    fleet, policy = build({"bf16": 1, "fp8": 2})
    policy.set_weights([1.0, 0.0])
    fleet.constrain({}, frozenset({InstanceId("bf16-0")}))
    counts = Counter(take(fleet, policy).spec.instance_id for _ in range(10))
    assert counts == {"fp8-0": 5, "fp8-1": 5}
    assert policy.lane_of[1].share == 0.0


def test_off_the_allocation_the_emptier_pool_is_taken() -> None:
    fleet, policy = build({"bf16": 1, "fp8": 1, "int4": 3}, cap=10)
    policy.set_weights([1.0, 0.0, 0.0])
    fleet.constrain({}, frozenset({InstanceId("bf16-0")}))
    assert Counter(take(fleet, policy).pool.pool_id for _ in range(20)) == {"fp8": 5, "int4": 15}


def test_nothing_is_picked_where_nothing_can_serve() -> None:
    fleet, policy = build({"bf16": 1})
    policy.set_weights([1.0])
    fleet.constrain({InstanceId("bf16-0"): 0}, frozenset())
    assert policy.pick(ASK) is Unavailable.NOTHING_USABLE


def test_a_pool_that_was_away_is_not_flooded_when_it_returns() -> None:
    fleet, policy = build({"bf16": 1, "fp8": 1}, cap=100_000)
    policy.set_weights([1.0, 1.0])
    fleet.constrain({}, frozenset({InstanceId("fp8-0")}))
    for _ in range(1000):
        take(fleet, policy)
    fleet.constrain({}, frozenset())
    assert Counter(take(fleet, policy).pool.pool_id for _ in range(20)) == {"bf16": 10, "fp8": 10}


def test_a_pool_that_was_full_catches_up_within_bounds() -> None:
    fleet, policy = build({"bf16": 1, "fp8": 1}, cap=100_000)
    policy.set_weights([1.0, 1.0])
    fleet.constrain({InstanceId("fp8-0"): 1}, frozenset())
    for _ in range(5000):
        take(fleet, policy)
    fleet.constrain({}, frozenset())
    in_a_row = 0
    while take(fleet, policy).pool.pool_id == "fp8":
        in_a_row += 1
    assert 0 < in_a_row <= 2 * CATCH_UP_REQUESTS + 2


def test_a_change_of_weights_is_followed_by_no_burst() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([0.9, 0.1])
    shares_after(policy, [256] * 1000)
    policy.set_weights([0.1, 0.9])
    assert shares_after(policy, [256] * 20) == pytest.approx([0.1, 0.9], abs=0.05)


def test_weights_that_change_all_the_time_are_followed_on_the_mean() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    rng = random.Random(3)
    owed, served = [0.0, 0.0], [0.0, 0.0]
    for _ in range(300):
        share = rng.random()
        policy.set_weights([share, 1 - share])
        lengths = [rng.randint(1, 1000) for _ in range(5)]
        got = shares_after(policy, lengths)
        for index, weight in enumerate((share, 1 - share)):
            owed[index] += weight * sum(lengths)
            served[index] += got[index] * sum(lengths)
    assert served == pytest.approx(owed, rel=0.02)


def test_a_pool_that_lost_its_weight_keeps_no_claim() -> None:
    _, policy = build({"bf16": 1, "fp8": 1, "int4": 1})
    policy.set_weights([1.0, 1.0, 1.0])
    policy.charge(policy.lanes[1], 100_000.0)
    policy.set_weights([1.0, 0.0, 1.0])
    policy.set_weights([1.0, 1.0, 1.0])
    assert shares_after(policy, [256] * 30)[1] == pytest.approx(1 / 3, abs=0.05)


def test_a_pin_keeps_to_its_precision_and_counts_for_the_class() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([0.5, 0.5])
    pinned = msgspec.structs.replace(ASK, precision=Precision.BF16)
    slots = [picked(policy, pinned) for _ in range(10)]
    assert {slot.pool.pool_id for slot in slots} == {"bf16"}
    for slot in slots:
        charge(policy, slot)
    after = []
    for _ in range(9):
        after.append(picked(policy))
        charge(policy, after[-1])
    assert {slot.pool.pool_id for slot in after} == {"fp8"}


def test_a_pin_to_a_pool_without_weight_is_served_there() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([0.0, 1.0])
    assert picked(policy, msgspec.structs.replace(ASK, precision=Precision.BF16)).pool.pool_id == "bf16"


def test_a_session_keeps_its_precision_and_its_instance() -> None:
    _, policy = build({"bf16": 3, "fp8": 3})
    policy.set_weights([0.5, 0.5])
    for number in range(50):
        ask = of_session(f"s{number}")
        slots = []
        for _ in range(20):
            slots.append(picked(policy, ask))
            charge(policy, slots[-1])
        assert len(set(slots)) == 1


def test_sessions_move_with_a_new_table_and_no_more_than_needed() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    asks = [of_session(f"s{number}") for number in range(3000)]
    policy.set_weights([0.7, 0.3])
    before = [picked(policy, ask).pool.pool_id for ask in asks]
    policy.set_weights([0.6, 0.4])
    after = [picked(policy, ask).pool.pool_id for ask in asks]
    assert before.count(PoolId("bf16")) / 3000 == pytest.approx(0.7, abs=0.03)
    assert after.count(PoolId("bf16")) / 3000 == pytest.approx(0.6, abs=0.03)
    assert not any(old == "fp8" and new == "bf16" for old, new in zip(before, after, strict=True))


def test_sessions_do_not_spoil_the_shares_of_the_rest() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([0.5, 0.5])
    served: Counter[str] = Counter()
    for number in range(2000):
        slot = picked(policy, of_session("one big session") if number % 3 == 0 else ASK)
        charge(policy, slot)
        served[slot.pool.pool_id] += 1
    assert served["bf16"] / 2000 == pytest.approx(0.5, abs=0.01)


def test_a_session_whose_pool_is_full_is_served_elsewhere_and_returns() -> None:
    fleet, policy = build({"bf16": 1, "fp8": 1}, cap=1)
    policy.set_weights([0.5, 0.5])
    ask = of_session("s")
    home = take(fleet, policy, ask)
    assert take(fleet, policy, ask).pool is not home.pool
    home.pool.count(home, -1)
    assert picked(policy, ask) is home


def test_prompts_that_begin_alike_go_to_one_instance_while_their_pool_has_not_had_too_much() -> None:
    _, policy = build({"bf16": 4, "fp8": 4})
    policy.set_weights([0.5, 0.5])
    served: Counter[Slot] = Counter()
    for _ in range(1000):
        slot = picked(policy, of_prefix("You are a helpful assistant."))
        charge(policy, slot)
        served[slot] += 1
    assert len(served) == 2, "one instance of each pool, as all requests are alike"
    first, second = served.values()
    assert abs(first - second) <= 2 * AHEAD_REQUESTS + 2


def test_prompts_of_many_kinds_keep_to_their_pools() -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([0.7, 0.3])
    policy.lanes[0].tally.traffic.output_tokens = 1_000_000
    policy.keep_pace()
    rng = random.Random(5)
    pools: dict[int, set[str]] = {}
    counts: Counter[str] = Counter()
    strayed = 0
    for _ in range(5000):
        kind = rng.randrange(500)
        slot = picked(policy, of_prefix(f"prompt {kind}"))
        charge(policy, slot)
        counts[slot.pool.pool_id] += 1
        strayed += slot.pool.pool_id not in pools.setdefault(kind, {slot.pool.pool_id})
    assert counts["bf16"] / 5000 == pytest.approx(0.7, abs=2 * AHEAD_REQUESTS / 5000)
    assert strayed / 5000 < 0.15


@pytest.mark.parametrize("had_requests", [0, 500, 1000])
def test_prompts_keep_to_their_pools_the_less_the_fewer_tokens_there_were(had_requests: int) -> None:
    _, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([0.5, 0.5])
    policy.lanes[0].tally.traffic.output_tokens = 256 * had_requests
    policy.keep_pace()
    counts: Counter[str] = Counter()
    for _ in range(40):
        slot = picked(policy, of_prefix("all alike"))
        charge(policy, slot)
        counts[slot.pool.pool_id] += 1
    assert max(counts.values()) - 20 <= AHEAD_FRAC * had_requests + 1


def test_what_is_remembered_of_sessions_is_bounded_and_changes_nothing() -> None:
    _, policy = build({"bf16": 2, "fp8": 2})
    policy.set_weights([0.5, 0.5])
    before = {number: picked(policy, of_session(f"s{number}")) for number in range(100)}
    for number in range(100, 2 * MAX_HOMES):
        picked(policy, of_session(f"s{number}"))
    assert {number: picked(policy, of_session(f"s{number}")) for number in range(100)} == before


def test_a_session_returns_to_its_pool_when_that_can_serve_again() -> None:
    fleet, policy = build({"bf16": 1, "fp8": 1})
    policy.set_weights([0.5, 0.5])
    ask = of_session("s")
    home = picked(policy, ask)
    fleet.constrain({}, frozenset({home.spec.instance_id}))
    assert picked(policy, ask).pool is not home.pool
    fleet.constrain({}, frozenset())
    assert picked(policy, ask) is home


def test_a_pinned_session_is_spread_by_its_key_within_the_pin() -> None:
    fleet, policy = build({"bf16": 4, "fp8": 1})
    policy.set_weights([0.5, 0.5])
    for number in range(20):
        ask = msgspec.structs.replace(of_session(f"s{number}"), precision=Precision.BF16)
        slots = {picked(policy, ask) for _ in range(5)}
        assert len(slots) == 1
        assert slots.pop().pool is fleet.pools[PoolId("bf16")]


def test_the_instance_with_the_least_load_is_taken() -> None:
    fleet, policy = build({"bf16": 3})
    policy.set_weights([1.0])
    slots = list(fleet.slots.values())
    for slot, load in zip(slots, [EngineLoad(9, 0, 0.1), EngineLoad(2, 3, 0.9), EngineLoad(4, 1, 0.2)], strict=True):
        fleet.probed(slot, ok=True, load=load, now_s=NOW_S)
    assert picked(policy) is slots[2], "as many requests, more room for KV cache"
    for _ in range(2):
        fleet.pools[PoolId("bf16")].count(slots[2], 1)
    assert picked(policy) is slots[1]


def test_equals_take_turns() -> None:
    _, policy = build({"bf16": 3})
    policy.set_weights([1.0])
    order = []
    for _ in range(6):
        slot = picked(policy)
        slot.pool.count(slot, 1)
        slot.pool.count(slot, -1)
        order.append(slot.spec.instance_id)
    assert order == ["bf16-0", "bf16-1", "bf16-2"] * 2


def test_instances_already_tried_are_left_out() -> None:
    _, policy = build({"bf16": 2, "fp8": 1})
    policy.set_weights([1.0, 0.0])
    assert picked(policy, tried=("bf16-0",)).spec.instance_id == "bf16-1"
    assert picked(policy, tried=("bf16-0", "bf16-1")).spec.instance_id == "fp8-0"
    assert policy.pick(ASK, tuple(map(InstanceId, ("bf16-0", "bf16-1", "fp8-0")))) is Unavailable.NOTHING_USABLE
