"""Sessions spread by weight, stay where they are, and leave only what is overloaded or gone."""

from __future__ import annotations

from collections import Counter

import pytest

from router.affinity import POINTS, Ring, hash_node, pick_weighted, position_of

KEYS = [position_of(f"session-{number}") for number in range(20_000)]
POOLS = [hash_node(name) for name in ("bf16", "fp8", "int8", "int4")]


def shares(weights: list[float]) -> list[float]:
    counts = Counter(pick_weighted(key, POOLS, weights) for key in KEYS)
    return [counts[index] / len(KEYS) for index in range(len(POOLS))]


def test_the_hash_is_the_same_in_every_process() -> None:
    assert position_of("user-1") == 2116437524
    assert hash_node("bf16") == 12022951447570460801
    assert position_of("\ud800") != position_of("")


@pytest.mark.parametrize("weights", [[0.25, 0.25, 0.25, 0.25], [0.7, 0.2, 0.1, 0.0], [1.0, 2.0, 3.0, 94.0]])
def test_sessions_spread_by_weight(weights: list[float]) -> None:
    expected = [weight / sum(weights) for weight in weights]
    assert shares(weights) == pytest.approx(expected, abs=0.01)


def test_a_change_of_weights_moves_no_more_sessions_than_it_must() -> None:
    before = [pick_weighted(key, POOLS, [0.5, 0.3, 0.2, 0.0]) for key in KEYS]
    after = [pick_weighted(key, POOLS, [0.3, 0.3, 0.2, 0.2]) for key in KEYS]
    moved = Counter((a, b) for a, b in zip(before, after, strict=True) if a != b)
    assert moved.total() / len(KEYS) < 1.5 * 0.2
    # Only out of the pool that lost weight or into the one that gained some.
    assert all(source == 0 or target == 3 for source, target in moved)
    assert not any(source == 3 or target == 0 for source, target in moved)


def test_weights_in_another_unit_change_nothing() -> None:
    keys = KEYS[:500]
    assert [pick_weighted(key, POOLS, [7, 2, 1, 0]) for key in keys] == [
        pick_weighted(key, POOLS, [0.7, 0.2, 0.1, 0.0]) for key in keys
    ]


def ring(*numbers: int) -> Ring[int]:
    return Ring.of({f"bf16-{number}": number for number in numbers})


def home(some: Ring[int], key: int) -> int:
    return some.nodes[some.index(key)]


def test_the_ring_spreads_keys_evenly() -> None:
    some = ring(*range(8))
    counts = Counter(home(some, key) for key in KEYS)
    assert all(0.6 / 8 < count / len(KEYS) < 1.4 / 8 for count in counts.values())


def test_a_position_beyond_the_last_point_belongs_to_the_first() -> None:
    some = ring(*range(5))
    assert home(some, (1 << 32) - 1) == home(some, 0) == some.nodes[0]


def test_instances_that_leave_move_only_their_own_keys() -> None:
    whole = ring(*range(5))
    fewer = whole.only([0, 1, 2, 3])
    assert fewer.nodes == ring(0, 1, 2, 3).nodes
    moved = [key for key in KEYS if home(fewer, key) != home(whole, key)]
    assert {home(whole, key) for key in moved} == {4}
    assert {home(fewer, key) for key in moved} == {0, 1, 2, 3}, "they spread over all that are left"


def test_a_ring_of_one_instance_has_only_that() -> None:
    some = ring(7)
    assert {home(some, key) for key in KEYS[:100]} == {7}
    assert len(set(some.nodes)) == 1
    assert len(some.nodes) >= POINTS


def test_a_node_without_weight_is_not_picked() -> None:
    assert {pick_weighted(key, POOLS, [0.0, 0.0, 1e-9, 0.0]) for key in KEYS[:200]} == {2}
