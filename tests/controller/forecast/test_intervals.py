import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.forecast.intervals import OpenInterval, Span, take


def taken(spans, step_s=60.0):
    closed, interval = [], None
    for span in spans:
        done, interval = take(interval, span, step_s)
        closed += done
    return closed, interval


def test_an_interval_closes_with_the_first_reading_after_its_end():
    closed, interval = taken([Span(0.0, 30.0, 15.0), Span(30.0, 61.0, 31.0)])
    assert [(one.index, one.rate_per_s) for one in closed] == [(0, pytest.approx(45.0 / 60.0))]
    assert (interval.index, interval.arrived, interval.covered_s) == (1, pytest.approx(1.0), pytest.approx(1.0))


def test_an_interval_seen_by_half_counts_by_what_was_seen():
    closed, _ = taken([Span(30.0, 60.0, 15.0)])
    assert closed[0].rate_per_s == pytest.approx(0.5)


def test_an_interval_hardly_seen_is_missing_and_not_zero():
    closed, _ = taken([Span(40.0, 60.0, 15.0)])
    assert closed == []


def test_zero_arrivals_are_an_outcome():
    closed, _ = taken([Span(0.0, 60.0, 0.0)])
    assert closed[0].rate_per_s == 0.0


def test_a_counter_that_does_not_tell_leaves_its_time_out():
    closed, interval = taken([Span(0.0, 60.0, 60.0), Span(60.0, 110.0, None), Span(110.0, 180.0, 70.0)])
    assert [one.index for one in closed] == [0, 2]
    assert interval.index == 3


def test_what_came_in_a_long_silence_is_not_spread_over_it():
    closed, interval = taken([Span(0.0, 50.0, 50.0), Span(50.0, 900.0, 9000.0)])
    assert [(one.index, one.rate_per_s) for one in closed] == [(0, pytest.approx(1.0))]
    assert (interval.index, interval.arrived) == (15, 0.0)


def test_a_gap_of_a_year_costs_no_more_than_one_of_a_minute():
    closed, interval = take(OpenInterval(0, 5.0, 50.0), Span(50.0, 3.2e7, 1.0), 60.0)
    assert len(closed) == 1
    assert interval.index == int(3.2e7 // 60)


@given(st.lists(st.tuples(st.floats(0.5, 100.0), st.floats(0.0, 1000.0)), min_size=1, max_size=40))
def test_nothing_that_arrived_is_lost_or_made_up(pieces):
    spans, at_s = [], 0.0
    for length_s, arrived in pieces:
        spans.append(Span(at_s, at_s + length_s, arrived))
        at_s += length_s
    closed, interval = taken(spans)
    total = sum(one.rate_per_s * 60.0 for one in closed) + interval.arrived
    assert total == pytest.approx(sum(arrived for _, arrived in pieces), abs=1e-6)
    assert len(closed) == interval.index
