import dataclasses
import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.model.programme import Programme
from controller.settlement.intervals import Interval, IntervalFold, Terms, intervals_after_ramp, terms_of

EVENT = GridEvent("e", 3000.0, 1000.0, 2000.0, 900.0, ramp_s=100.0)


def mean(start_s, length_s, power_w):
    quality = None if power_w is None else Quality.DIRECT
    return Mean(start_s, start_s + length_s, power_w, quality, 0.0 if power_w is None else 1.0)


def test_intervals_begin_after_the_ramp_and_the_last_may_be_shorter():
    found = intervals_after_ramp([mean(1000.0, 1000.0, 2500.0)], EVENT, 5000.0, Terms(400.0), 2000.0)
    assert [(each.start_s, each.end_s) for each in found] == [(1100, 1500), (1500, 1900), (1900, 2000)]
    assert {each.delivered_w for each in found} == {2500.0}
    assert {each.covered_frac for each in found} == {1.0}


def test_intervals_of_a_meter_begin_at_multiples_of_their_length():
    found = intervals_after_ramp([], EVENT, 5000.0, Terms(300.0, is_clock_aligned=True), 2000.0)
    assert [each.start_s for each in found] == [1200, 1500, 1800]
    assert all(each.is_missing and each.delivered_w is None for each in found)


@given(
    st.lists(st.tuples(st.floats(1.0, 120.0), st.one_of(st.none(), st.floats(0.0, 5000.0))), max_size=60),
    st.floats(10.0, 500.0),
    st.floats(800.0, 2500.0),
)
def test_measurements_taken_one_by_one_make_what_all_at_once_would(lengths, interval_s, until_s):
    """Against the definition: time-weighted mean of what overlaps the interval, and the share that is covered."""
    at_s, means = 1000.0, []
    for length_s, power_w in lengths:
        means.append(mean(at_s, length_s, power_w))
        at_s += length_s
    fold = IntervalFold(EVENT, 5000.0, Terms(interval_s), until_s)
    for each in means:
        fold.take(each)
    found = fold.intervals()
    count = max(0, math.ceil((min(2000.0, until_s) - 1100.0) / interval_s - 1e-12))
    assert len(found) == count
    for interval in found:
        parts = [
            (min(each.end_s, interval.end_s) - max(each.start_s, interval.start_s), each.mean_w)
            for each in means
            if each.mean_w is not None
        ]
        known = [(weight_s, watts) for weight_s, watts in parts if weight_s > 0.0]
        if not known:
            assert interval.mean_w is None
            continue
        covered_s = sum(weight_s for weight_s, _ in known)
        expected_w = sum(weight_s * watts for weight_s, watts in known) / covered_s
        assert math.isclose(interval.mean_w, expected_w, rel_tol=1e-6, abs_tol=1e-6)
        assert math.isclose(interval.covered_frac, min(1.0, covered_s / interval.length_s), abs_tol=1e-6)


@given(st.lists(st.tuples(st.floats(900.0, 2200.0), st.floats(0.0, 5000.0)), max_size=80))
def test_plain_samples_count_where_they_lie(samples):
    ordered = sorted(samples)
    for interval in intervals_after_ramp(ordered, EVENT, 5000.0, Terms(300.0), 2000.0):
        within = [watts for time_s, watts in ordered if interval.start_s <= time_s < interval.end_s]
        assert (interval.mean_w is None) == (not within)
        if within:
            assert math.isclose(interval.mean_w, fmean(within), rel_tol=1e-9)
            assert interval.highest_w == max(within)


@pytest.mark.parametrize("limit_w", [499.9, 4000.1, 12345.67])
@pytest.mark.parametrize("step_s", [0.7, 1.0, 1.3])
def test_a_draw_of_exactly_the_limit_keeps_it_and_delivers_all(limit_w, step_s):
    """Sums of a thousand equal readings are off by 1e-11 W; that is no watt over a limit."""
    event = GridEvent("e", limit_w, 0.0, 900.0, 0.0, ramp_s=0.0)
    count = int(900 / step_s)
    means = [Mean(n * step_s, (n + 1) * step_s, limit_w, Quality.DIRECT, 1.0) for n in range(count)]
    (made,) = intervals_after_ramp(means, event, limit_w + 1000.0, Terms(900.0, committed_w=1000.0), 900.0)
    assert (made.over_limit, made.is_short, made.is_missing) == (False, False, False)


@pytest.mark.parametrize(("delivered_w", "committed_w"), [(None, 5.0), (5.0, None), (4.9995, 5.0), (6.0, 5.0)])
def test_what_is_not_known_or_as_good_as_delivered_is_not_short(delivered_w, committed_w):
    assert not Interval(0.0, 1.0, None, delivered_w, False, committed_w=committed_w).is_short
    assert Interval(0.0, 1.0, None, 4.9, False, committed_w=5.0).is_short


def test_a_programme_settled_on_the_clock_begins_at_the_clocks_first_interval():
    assert terms_of(Programme("p", settles_on_clock=True)).is_clock_aligned
    assert not terms_of(Programme("p")).is_clock_aligned


def test_what_is_followed_in_part_is_kept_by_its_limit_and_committed_by_what_was_asked_for():
    eased = dataclasses.replace(EVENT, limit_w=4000.0, asked_limit_w=3000.0)
    (found,) = intervals_after_ramp([mean(1000.0, 1000.0, 3900.0)], eased, 5000.0, Terms(900.0), 2000.0)
    assert (found.over_limit, found.committed_w, found.delivered_w, found.is_short) == (False, 2000.0, 1100.0, True)
    (sold,) = intervals_after_ramp([mean(1000.0, 1000.0, 3900.0)], eased, 5000.0, Terms(900.0, 1000.0), 2000.0)
    assert (sold.committed_w, sold.is_short) == (1000.0, False)
