import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.outlook import Interval, outlook, revised, settled, spans


def of(*intervals: Interval):
    return outlook(intervals, "usd_per_mwh", "test")


def test_a_series_ends_at_a_gap_and_goes_on_after_it():
    told = of(Interval(0, 10, 1.0, 0), Interval(10, 20, 2.0, 0), Interval(30, 40, 3.0, 0))
    series = told.series(5)
    assert (series.values, series.end_s) == ((1.0, 2.0), 20)
    assert told.gap(5) == (20, 30)
    assert told.series(25) is None
    assert told.series(30).values == (3.0,)


def test_the_value_that_was_issued_last_holds_whatever_came_last():
    newer = Interval(0, 10, 2.0, taken_s=100, issued_at_s=90)
    older = Interval(5, 20, 1.0, taken_s=101, issued_at_s=80)
    assert [(p.start_s, p.end_s, p.value) for p in settled([newer, older])] == [(0, 10, 2.0), (10, 20, 1.0)]


def test_a_revision_within_an_interval_splits_it():
    pieces = settled([Interval(0, 30, 1.0, 0, 10), Interval(10, 20, 5.0, 0, 11)])
    assert [(p.start_s, p.end_s, p.value) for p in pieces] == [(0, 10, 1.0), (10, 20, 5.0), (20, 30, 1.0)]


def test_without_a_time_of_issue_the_later_answer_holds():
    known = revised(of(Interval(0, 10, 1.0, 0)), of(Interval(0, 10, 2.0, 5)), 5)
    assert known.series(5).values == (2.0,)


def test_a_revision_after_the_clock_was_set_back_holds():
    while_ahead = of(Interval(0, 10, 1.0, taken_s=5000), Interval(10, 20, 1.0, taken_s=5000, issued_at_s=4000))
    known = revised(while_ahead, of(Interval(0, 10, 2.0, 5), Interval(10, 20, 2.0, 5, issued_at_s=5)), 5)
    assert known.series(5).values == (2.0, 2.0)


def test_an_answer_from_the_future_does_not_hold_for_ever():
    known = revised(of(Interval(0, 10, 1.0, 0, 1e9)), of(Interval(0, 10, 2.0, 5, 5)), 5)
    assert known.series(5).values == (2.0,)


def test_what_a_later_answer_leaves_out_stays_until_it_is_long_over():
    first = of(Interval(0, 10, 1.0, 0), Interval(10, 20, 2.0, 0))
    assert revised(first, of(Interval(10, 20, 3.0, 5)), 5).series(5).values == (1.0, 3.0)
    assert len(revised(first, of(Interval(9000, 9010, 3.0, 5)), 9000).intervals) == 1


def test_the_least_sure_value_tells_the_quality_of_the_series():
    told = of(Interval(0, 10, 1.0, 0), Interval(10, 20, 2.0, 0, 7, SeriesQuality.FORECAST))
    assert told.series(0).quality is SeriesQuality.FORECAST
    assert told.series(0).issued_at_s == 7


@pytest.mark.parametrize(
    ("interval", "says"),
    [
        (Interval(10, 10, 1.0, 0), "no value on an interval"),
        (Interval(0, 10, float("nan"), 0), "nan"),
        (Interval(-5, 10, 1.0, 0), "-5"),
        (Interval(0, 1e12, 1.0, 0), "1000000000000"),
    ],
)
def test_an_interval_that_cannot_be_is_refused(interval, says):
    with pytest.raises(SignalError, match=says):
        of(interval)


def test_no_interval_and_too_many_are_refused():
    with pytest.raises(SignalError, match="holds no interval"):
        of()
    with pytest.raises(SignalError, match="more than the 20000"):
        of(*(Interval(n, n + 1, 1.0, 0) for n in range(20_001)))


def test_spans_close_small_irregularities_and_leave_gaps():
    assert spans([0, 60, 120, 300]) == ((0, 60), (60, 120), (120, 180), (300, 360))
    assert spans([5]) == ((5, 3605),)
    assert spans([], 60) == ()
    assert spans([0, 300], 60) == ((0, 60), (300, 360))


INTERVALS = st.lists(
    st.builds(
        lambda start, length, value, issued: Interval(start, start + length, value, 50.0, issued),
        st.integers(0, 40),
        st.integers(1, 20),
        st.floats(-10, 10),
        st.none() | st.integers(0, 60).map(float),
    ),
    min_size=1,
    max_size=12,
)


@given(INTERVALS, st.integers(0, 60))
def test_at_each_time_the_value_issued_last_holds(intervals, time_s):
    covering = [(one.known_s, n) for n, one in enumerate(intervals) if one.start_s <= time_s < one.end_s]
    series = of(*intervals).series(time_s)
    if not covering:
        assert series is None
    else:
        assert series.at(time_s) == intervals[max(covering)[1]].value
