from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.simulation.fluid_queue import FluidQueue


def amount(requests: float) -> np.ndarray:
    return requests * np.array([1.0, 100.0, 20.0])


def test_what_came_first_goes_first() -> None:
    queue = FluidQueue(patience_s=2.0)
    queue.put(0.0, np.array([2.0, 10.0, 10.0]))
    queue.put(1.0, np.array([2.0, 90.0, 50.0]))
    assert queue.take(3.0, 1.0) == pytest.approx([3.0, 55.0, 35.0])
    assert queue.waiting == pytest.approx([1.0, 45.0, 25.0])


def test_tokens_that_waited_longer_than_promised_are_late() -> None:
    queue = FluidQueue(patience_s=2.0)
    queue.put(0.0, amount(4.0))
    queue.take(1.0, 2.0)
    assert queue.late_tokens == 0.0
    queue.take(1.0, 2.1)
    assert queue.late_tokens == pytest.approx(20.0)


def test_what_still_waits_longer_than_promised_is_overdue() -> None:
    queue = FluidQueue(patience_s=2.0)
    queue.put(0.0, amount(4.0))
    queue.put(1.0, amount(1.0))
    assert queue.overdue_tokens(2.0) == 0.0
    assert queue.overdue_tokens(2.5) == pytest.approx(80.0)
    queue.take(1.0, 2.5)
    assert queue.late_tokens + queue.overdue_tokens(2.5) == pytest.approx(80.0)


def test_no_more_is_taken_than_waits() -> None:
    queue = FluidQueue(2.0)
    queue.put(0.0, amount(1.0))
    assert queue.take(5.0, 0.0) == pytest.approx(amount(1.0))
    assert queue.take(5.0, 0.0).tolist() == [0.0, 0.0, 0.0]
    assert queue.waiting.tolist() == [0.0, 0.0, 0.0]


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 50.0)), min_size=1, max_size=20))
def test_what_is_put_is_taken_or_waits(moves: list[tuple[float, float]]) -> None:
    queue, put, taken = FluidQueue(2.0), np.zeros(3), np.zeros(3)
    for at, (comes, goes) in enumerate(moves):
        queue.put(float(at), amount(comes))
        put += amount(comes)
        taken += queue.take(goes, float(at))
    assert taken + queue.waiting == pytest.approx(put, abs=1e-6)


def test_what_waited_longer_than_the_patience_is_sent_away_and_counts_as_late() -> None:
    queue = FluidQueue(10.0)
    queue.put(0.0, np.array([1.0, 100.0, 20.0]))
    queue.put(8.0, np.array([2.0, 200.0, 40.0]))
    assert queue.leave(10.0).tolist() == [0.0, 0.0, 0.0]
    assert queue.leave(11.0).tolist() == [1.0, 100.0, 20.0]
    assert queue.waiting.tolist() == [2.0, 200.0, 40.0]
    assert queue.late_tokens == 20.0
    assert queue.leave(11.0).tolist() == [0.0, 0.0, 0.0]
