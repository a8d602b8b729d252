import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.forecast.record import Record, ladder, offset_at, pinball, upper


def test_leads_grow_with_the_distance_and_end_one_beyond_the_horizon():
    assert ladder(12) == (1, 2, 3, 4, 6, 8, 12, 13)
    assert ladder(1) == (1, 2)
    assert len(ladder(288)) < 20


@given(st.integers(1, 288))
def test_leads_ascend(steps):
    leads = ladder(steps)
    assert list(leads) == sorted(set(leads))
    assert (leads[0], leads[-1]) == (1, steps + 1)


def test_a_shortfall_costs_nine_times_an_excess_at_the_nine_tenths_quantile():
    assert pinball(11.0, 10.0, 0.9) == pytest.approx(9 * pinball(9.0, 10.0, 0.9))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.floats(0.5, 0.99))
def test_the_pinball_loss_is_least_at_the_quantile(outcomes, quantile):
    def loss(planned):
        return sum(pinball(outcome, planned, quantile) for outcome in outcomes)

    best = sorted(outcomes)[math.ceil(len(outcomes) * quantile) - 1]
    assert loss(best) <= min(loss(best + 1.0), loss(best - 1.0)) + 1e-6


def test_a_quantile_needs_enough_differences():
    assert upper(tuple(range(8)), 0.9) is None
    assert upper(tuple(range(9)), 0.9) == 8
    assert upper((), 0.5) is None


@given(st.lists(st.floats(-100, 100), min_size=10, max_size=60), st.sampled_from([0.5, 0.8, 0.9]))
def test_the_quantile_covers_its_share_of_the_differences(seen, quantile):
    assert sum(x <= upper(tuple(seen), quantile) for x in seen) / len(seen) >= quantile


def test_the_quantiles_offset_is_read_between_the_leads():
    assert offset_at((1.0, 3.0), (1, 5), 3) == pytest.approx(2.0)
    assert offset_at((1.0, 3.0), (1, 5), 9) == 3.0
    assert offset_at((None, 3.0), (1, 5), 1) == 3.0
    assert offset_at((None, None), (1, 5), 1) is None


def test_a_loss_beside_none_of_persistences_is_infinite():
    assert Record.empty(2).loss_ratio is None
    assert Record((), (), (), loss=1.0, reference_loss=0.0, scored=5).loss_ratio == math.inf
    assert Record((), (), (), loss=0.0, reference_loss=0.0, scored=5).loss_ratio == 1.0
