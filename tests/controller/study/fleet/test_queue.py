from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.study.fleet.queue import Queue


def test_the_earliest_due_is_served_first() -> None:
    queue = Queue().joined(5, 10.0).joined(3, 4.0).joined(5, 1.0)
    assert queue.held == ((3, 4.0), (5, 11.0))
    assert queue.served(6.0).held == ((5, pytest.approx(9.0)),)
    assert queue.due_tokens(4) == 4.0


def test_nothing_joins_an_empty_demand() -> None:
    assert Queue().joined(3, 0.0).held == ()


def test_a_deadline_within_an_interval_counts_for_the_one_before() -> None:
    queue = Queue().joined(2, 1.0).joined(7, 2.0).joined(9, 4.0).joined(40, 8.0)
    assert queue.by_interval(4, 4, 3) == (3.0 + 4.0, 0.0, 8.0)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1e6)), max_size=8), st.floats(0, 1e7))
def test_no_token_is_lost_or_made(joining: list[tuple[int, float]], served: float) -> None:
    queue = Queue()
    for due, tokens in joining:
        queue = queue.joined(due, tokens)
    whole = sum(tokens for _, tokens in joining)
    assert queue.tokens == pytest.approx(whole)
    assert sum(queue.by_interval(0, 2, 3)) == pytest.approx(whole)
    assert queue.served(served).tokens == pytest.approx(max(0.0, whole - served), rel=1e-6, abs=1e-8 * whole + 1e-9)
