import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.grid.thresholds import MAX_RUNS, Run, changes, id_of, runs_above, source_of, stem_of, told_of
from controller.model.call import Asked, Call, CallInterval, Commitment
from controller.model.grid import Series
from controller.model.threshold import FeedSignal, Threshold

HOUR_S = 3600.0
NOW_S = 1_790_000_000.0
ASKS = Commitment(Asked.BELOW_BASELINE_FRAC, 0.2)
PRICE = Threshold(FeedSignal.PRICE, 300.0, 200.0, ASKS)


def hours(*values, from_s=NOW_S):
    starts = tuple(from_s + n * HOUR_S for n in range(len(values)))
    return Series(starts, values, from_s + len(values) * HOUR_S, "usd_per_mwh", "market")


def spans_h(runs):
    return [((run.start_s - NOW_S) / HOUR_S, (run.end_s - NOW_S) / HOUR_S) for run in runs]


def runs(*values, threshold=PRICE, now_s=NOW_S, hold_s=0.0, since_s=None):
    return runs_above(hours(*values), threshold, now_s, hold_s=hold_s, since_s=since_s)


def held(start_h, end_h, asks=ASKS):
    interval = CallInterval(NOW_S + start_h * HOUR_S, NOW_S + end_h * HOUR_S, asks)
    return Call(f"c{start_h}", "threshold:price_usd_per_mwh", "spike", NOW_S, NOW_S, (interval,))


def test_it_begins_above_and_ends_below_the_lower_value():
    assert spans_h(runs(100, 301, 250, 200, 199, 250, 300, 100)) == [(1, 4)]


def test_each_peak_is_a_stretch_of_its_own():
    assert spans_h(runs(400, 100, 500, 500, 100)) == [(0, 1), (2, 4)]


def test_what_has_begun_keeps_its_start_and_goes_on_between_the_values():
    since_s = NOW_S - 2 * HOUR_S
    assert spans_h(runs(250, 100, since_s=since_s)) == [(-2, 1)]
    assert runs(250, 100) == ()


def test_what_has_begun_is_over_where_the_price_has_fallen():
    assert runs(100, 100, since_s=NOW_S - 2 * HOUR_S) == ()


def test_a_stretch_that_begins_while_its_interval_lasts_begins_now():
    assert spans_h(runs(400, 100, now_s=NOW_S + 0.5 * HOUR_S)) == [(0.5, 1)]


def test_a_brief_peak_lasts_its_shortest_time_and_joins_the_next_one():
    brief = dataclasses.replace(PRICE, least_s=1.5 * HOUR_S)
    assert spans_h(runs(400, 100, 100, threshold=brief)) == [(0, 1.5)]
    assert spans_h(runs(400, 100, 400, 100, 100, threshold=dataclasses.replace(PRICE, least_s=2 * HOUR_S))) == [(0, 4)]
    since_s = NOW_S - HOUR_S
    assert spans_h(runs(100, 100, threshold=brief, since_s=since_s)) == [(-1, 0.5)]


def test_beyond_what_is_known_the_last_value_holds_for_the_hold_time():
    assert runs(100, 400, hold_s=300.0) == (Run(NOW_S + HOUR_S, NOW_S + 2 * HOUR_S + 300.0, is_open=True),)


def test_a_negative_price_above_a_negative_threshold_counts():
    below_zero = Threshold(FeedSignal.PRICE, -50.0, -50.0, ASKS)
    assert spans_h(runs(-60, -40, -50, -51, threshold=below_zero)) == [(1, 3)]


def test_a_new_stretch_is_a_new_call_and_the_same_one_changes_nothing():
    (run,) = runs(100, 400, 100)
    assert changes(PRICE, (), (run,), NOW_S + 3 * HOUR_S).asked == ((None, run),)
    assert changes(PRICE, (held(1, 2),), (run,), NOW_S + 3 * HOUR_S) == changes(PRICE, (), (), NOW_S)


@pytest.mark.parametrize("call", [held(1, 3), held(0.5, 2), held(1, 2, Commitment(Asked.AT_MOST_W, 5000.0))])
def test_a_stretch_that_moved_or_asks_for_something_else_changes_its_call(call):
    (run,) = runs(100, 400, 100)
    assert changes(PRICE, (call,), (run,), NOW_S + 3 * HOUR_S).asked == ((call, run),)


def test_what_nothing_asks_for_any_more_is_over_unless_it_lies_beyond_what_is_known():
    gone, later = held(1, 2), held(5, 6)
    assert changes(PRICE, (gone, later), (), NOW_S + 3 * HOUR_S).over == (gone,)


def test_an_open_stretch_does_not_end_what_was_known_to_last_longer():
    call = held(1, 8)
    assert changes(PRICE, (call,), runs(100, 400, hold_s=300.0), NOW_S + 2 * HOUR_S) == changes(PRICE, (), (), NOW_S)


def test_an_open_stretch_grows_once_half_of_the_time_beyond_what_is_known_is_used_up():
    ends_h = held(0, 2)
    run = Run(NOW_S, NOW_S + 2.5 * HOUR_S, is_open=True)
    assert changes(PRICE, (ends_h,), (run,), NOW_S + 1.5 * HOUR_S).asked == ()
    assert changes(PRICE, (ends_h,), (run,), NOW_S + 1.6 * HOUR_S).asked == ((ends_h, run),)


def test_only_the_next_stretches_are_called_for():
    many = tuple(Run(NOW_S + 2 * n, NOW_S + 2 * n + 1) for n in range(MAX_RUNS + 5))
    assert len(changes(PRICE, (), many, NOW_S + HOUR_S).asked) == MAX_RUNS


def test_names_tell_programme_value_and_time():
    assert source_of(FeedSignal.CARBON) == "threshold:carbon_kg_per_mwh"
    assert id_of("spike", PRICE, 0.0) == "spike-above-300-19700101T000000Z"
    assert stem_of("spike", dataclasses.replace(PRICE, above=-0.5)) == "spike-above--0.5-"


def test_the_record_tells_the_intervals_of_the_stretch_alone():
    known = hours(100, 400, 500, 100)
    (run,) = runs_above(known, PRICE, NOW_S, hold_s=0.0)
    assert told_of(known, run, 9) == ((NOW_S + HOUR_S, 400.0), (NOW_S + 2 * HOUR_S, 500.0))
    assert len(told_of(known, run, 1)) == 1


@given(
    st.lists(st.floats(-1000, 1000), min_size=1, max_size=30),
    st.floats(0, 5 * HOUR_S),
    st.floats(0, HOUR_S),
    st.floats(0, 0.99),
    st.booleans(),
)
def test_stretches_are_in_order_disjoint_not_over_and_cover_every_value_above(values, least_s, hold_s, at, has_begun):
    threshold = dataclasses.replace(PRICE, least_s=least_s)
    known, now_s = hours(*values), NOW_S + at * HOUR_S
    found = runs_above(known, threshold, now_s, hold_s=hold_s, since_s=NOW_S - HOUR_S if has_begun else None)
    assert all(now_s < run.end_s and run.start_s < run.end_s for run in found)
    assert all(a.end_s < b.start_s for a, b in itertools.pairwise(found))
    for start_s, value in zip(known.starts_s, known.values, strict=True):
        middle_s = max(now_s, start_s) + 1.0
        if value > threshold.above:
            assert any(run.start_s <= middle_s < run.end_s for run in found)
    calls = tuple(
        Call(f"c{n}", "threshold:price_usd_per_mwh", "spike", NOW_S, NOW_S, (CallInterval(r.start_s, r.end_s, ASKS),))
        for n, r in enumerate(found)
    )
    if len(found) <= MAX_RUNS:
        assert changes(threshold, calls, found, known.end_s) == changes(threshold, (), (), NOW_S)
