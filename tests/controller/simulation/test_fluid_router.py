from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.simulation.fluid_router import over_instances, over_pools

INF = np.inf
FLOWS = st.floats(0.0, 100.0)


def test_a_class_goes_to_pools_by_its_weights_where_there_is_room() -> None:
    flows = over_pools(np.array([10.0]), np.array([[3.0, 1.0]]), np.array([INF, 50.0]))
    assert flows.tolist() == [[7.5, 2.5]]


def test_what_a_pool_has_no_room_for_goes_to_the_others() -> None:
    flows = over_pools(np.array([10.0]), np.array([[0.5, 0.25, 0.25]]), np.array([2.0, 100.0, 100.0]))
    assert flows[0] == pytest.approx([2.0, 4.0, 4.0])


def test_a_pool_of_weight_zero_gets_nothing_whatever_waits() -> None:
    flows = over_pools(np.array([10.0]), np.array([[1.0, 0.0]]), np.array([1.0, 100.0]))
    assert flows[0] == pytest.approx([1.0, 0.0])


def test_classes_that_want_the_same_room_get_the_same_share_of_what_they_want() -> None:
    flows = over_pools(np.array([8.0, 4.0]), np.array([[1.0], [1.0]]), np.array([6.0]))
    assert flows[:, 0] == pytest.approx([4.0, 2.0])


@given(
    st.lists(FLOWS, min_size=2, max_size=2),
    st.lists(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=3, max_size=3), min_size=2, max_size=2),
    st.lists(FLOWS, min_size=3, max_size=3),
)
def test_no_room_is_exceeded_no_flow_is_made_and_none_waits_beside_free_room(
    wanted: list[float], weights: list[list[float]], room: list[float]
) -> None:
    w = np.array(weights)
    flows = over_pools(np.array(wanted), w, np.array(room))
    assert (flows >= 0).all()
    assert (flows.sum(axis=0) <= np.array(room) * (1 + 1e-9) + 1e-9).all()
    assert (flows.sum(axis=1) <= np.array(wanted) * (1 + 1e-9) + 1e-9).all()
    assert (flows[w == 0.0] == 0.0).all()
    waits = np.array(wanted) - flows.sum(axis=1) > 1e-6
    free = np.array(room) - flows.sum(axis=0) > 1e-6
    assert not (waits[:, None] & free[None, :] & (w > 0)).any()


def test_the_emptiest_instance_is_filled_first() -> None:
    placed = over_instances(5.0, np.array([0.0, 8.0]), np.array([1.0, 1.0]), np.array([64.0, 64.0]))
    assert placed == pytest.approx([5.0, 0.0], abs=1e-6)
    placed = over_instances(20.0, np.array([0.0, 8.0]), np.array([1.0, 1.0]), np.array([64.0, 64.0]))
    assert placed == pytest.approx([14.0, 6.0], abs=1e-6)


def test_no_instance_is_filled_beyond_its_cap() -> None:
    placed = over_instances(20.0, np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([4.0, 64.0]))
    assert placed == pytest.approx([4.0, 16.0], abs=1e-6)


def test_equal_instances_get_equal_shares() -> None:
    placed = over_instances(9.0, np.full(3, 2.0), np.full(3, 0.5), np.full(3, 64.0))
    assert placed.tolist() == [3.0, 3.0, 3.0]


def test_a_class_of_higher_priority_takes_the_room_first() -> None:
    weights = np.array([[1.0, 0.0], [1.0, 1.0]])
    given_to = over_pools(np.array([3.0, 10.0]), weights, np.array([4.0, 2.0]), np.array([0.0, -1.0]))
    assert given_to[0].tolist() == pytest.approx([3.0, 0.0])
    assert given_to[1].tolist() == pytest.approx([1.0, 2.0])


def test_equal_priorities_share_as_without_any() -> None:
    wanted, weights, room = np.array([3.0, 10.0]), np.ones((2, 2)), np.array([4.0, 2.0])
    np.testing.assert_allclose(over_pools(wanted, weights, room, np.zeros(2)), over_pools(wanted, weights, room))
