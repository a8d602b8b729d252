"""Histograms count the same one by one and many at once, and add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.histogram import Histogram


def test_a_value_on_a_bound_is_within_it() -> None:
    histogram = Histogram.empty((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 1.1, 100.0):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 2]
    assert histogram.total == pytest.approx(102.75)


@given(st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.3, 1.0, 1.5, 7.0]), max_size=40))
def test_many_observations_at_once_count_as_one_by_one(values: list[float]) -> None:
    one_by_one, at_once = Histogram.empty((0.1, 1.0, 5.0)), Histogram.empty((0.1, 1.0, 5.0))
    for value in values:
        one_by_one.observe(value)
    at_once.observe_all(values)
    assert at_once.counts == one_by_one.counts
    assert at_once.total == pytest.approx(one_by_one.total)


def test_histograms_add_up() -> None:
    one, two = Histogram.empty((0.1, 1.0)), Histogram.empty((0.1, 1.0))
    one.observe(0.05)
    two.observe_all([0.5, 7.0])
    one.add(two)
    assert (one.counts, one.total) == ([1, 1, 1], pytest.approx(7.55))
