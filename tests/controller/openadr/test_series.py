import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from controller.openadr.events import Span
from controller.openadr.series import Ranked, held, rank, series_at, value_at


def test_the_highest_priority_counts_then_the_latest():
    assert rank(0, 5.0) < rank(3, 9.0) < rank(None, 99.0)
    assert rank(None, 9.0) < rank(None, 5.0)
    low, high = Ranked(Span(0, 10, 1.0), rank(None, 5)), Ranked(Span(4, 6, 2.0), rank(0, 1))
    assert held([low, high]) == (Span(0, 4, 1.0), Span(4, 6, 2.0), Span(6, 10, 1.0))


def test_a_series_ends_at_the_first_gap_and_begins_with_what_holds():
    spans = (Span(0, 10, 1.0), Span(10, 20, 2.0), Span(30, 40, 3.0))
    series = series_at(spans, "usd_per_mwh", "openadr:utility", 5.0)
    assert (series.starts_s, series.values, series.end_s) == ((0, 10), (1.0, 2.0), 20)
    assert series_at(spans, "usd_per_mwh", "x", 25.0) is None
    assert series_at((), "usd_per_mwh", "x", 25.0) is None
    assert series_at(spans, "usd_per_mwh", "x", 30.0).values == (3.0,)
    assert value_at(spans, 12.0) == 2.0
    assert value_at(spans, 20.0) is None


spans = st.builds(
    lambda start, length, value: Span(float(start), float(start + length), float(value)),
    st.integers(0, 30),
    st.integers(1, 20),
    st.integers(0, 9),
)


@given(st.lists(st.builds(Ranked, spans, st.tuples(st.integers(0, 3).map(float), st.integers(0, 3).map(float)))))
def test_at_every_moment_the_best_that_says_something_holds(ranked):
    found = held(ranked)
    for time_s in range(0, 52):
        saying = [each for each in ranked if each.span.start_s <= time_s + 0.5 < each.span.end_s]
        value = value_at(found, time_s + 0.5)
        if not saying:
            assert value is None
        else:
            best = min(each.rank for each in saying)
            assert value in {each.span.value for each in saying if each.rank == best}
    assert all(a.end_s <= b.start_s for a, b in pairwise(found))
    assert not any(math.isnan(span.value) for span in found)
