"""Sessions spread by weight, stay where they are, and leave only what is overloaded or gone."""

from __future__ import annotations

from collections import Counter

import pytest

from router.affinity import LOAD_FACTOR, hash_key, hash_node, pick_bounded, pick_weighted

KEYS = [hash_key(f"session-{number}") for number in range(20_000)]
POOLS = [hash_node(name) for name in ("bf16", "fp8", "int8", "int4")]


def shares(weights: list[float]) -> list[float]:
    counts = Counter(pick_weighted(key, POOLS, weights) for key in KEYS)
    return [counts[index] / len(KEYS) for index in range(len(POOLS))]


def test_the_hash_is_the_same_in_every_process() -> None:
    assert hash_key("user-1") == 9863422088627006618
    assert hash_key("\ud800") != hash_key("")


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


def test_instances_that_leave_move_only_their_own_sessions() -> None:
    instances = [hash_node(f"bf16-{number}") for number in range(5)]
    idle = [0] * 5
    for key in KEYS[:2000]:
        home = pick_bounded(key, instances, idle)
        if home != 4:
            assert pick_bounded(key, instances[:4], idle[:4]) == home


def test_a_session_leaves_an_instance_that_has_more_than_its_share() -> None:
    instances = [hash_node(f"bf16-{number}") for number in range(4)]
    key = KEYS[0]
    home = pick_bounded(key, instances, [10] * 4)
    loads = [10] * 4
    loads[home] = 16
    assert pick_bounded(key, instances, loads) != home
    loads[home] = 12
    assert pick_bounded(key, instances, loads) == home


def test_one_busy_session_never_fills_an_instance_beyond_the_bound() -> None:
    instances = [hash_node(f"bf16-{number}") for number in range(4)]
    loads = [0] * 4
    for placed in range(1, 401):
        loads[pick_bounded(KEYS[1], instances, loads)] += 1
        assert max(loads) <= LOAD_FACTOR * placed / 4 + 1


def test_a_node_without_weight_is_not_picked() -> None:
    assert {pick_weighted(key, POOLS, [0.0, 0.0, 1e-9, 0.0]) for key in KEYS[:200]} == {2}
