import math

import pytest

from controller.model.call import MAX_INTERVALS, Asked, Call, CallInterval, Commitment, call_key
from controller.model.grid import FOREVER_S

CAP = Commitment(Asked.AT_MOST_W, 40_000.0)


def call(*intervals: CallInterval) -> Call:
    return Call("c", "operator", "operator", 0.0, 0.0, intervals)


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        (Asked.AT_MOST_W, -1.0),
        (Asked.AT_MOST_W, math.nan),
        (Asked.AT_MOST_W, math.inf),
        (Asked.BELOW_BASELINE_FRAC, 1.01),
        (Asked.BELOW_BASELINE_W, -0.1),
        (Asked.LEVEL, -101.0),
    ],
)
def test_what_means_nothing_is_refused(asked, value):
    with pytest.raises(ValueError, match=asked.value):
        Commitment(asked, value)


@pytest.mark.parametrize(("start_s", "end_s"), [(5.0, 5.0), (6.0, 5.0), (-1.0, 5.0), (0.0, FOREVER_S * 2)])
def test_an_interval_has_a_length(start_s, end_s):
    with pytest.raises(ValueError, match="no length"):
        CallInterval(start_s, end_s, CAP)


def test_a_call_spans_its_intervals():
    spanned = call(CallInterval(10.0, 20.0, CAP), CallInterval(30.0, FOREVER_S, CAP))
    assert (spanned.start_s, spanned.end_s) == (10.0, FOREVER_S)


def test_intervals_neither_overlap_nor_come_in_crowds():
    with pytest.raises(ValueError, match="within the one before"):
        call(CallInterval(10.0, 20.0, CAP), CallInterval(19.0, 30.0, CAP))
    with pytest.raises(ValueError, match="0 intervals"):
        call()
    with pytest.raises(ValueError, match="intervals; 1 to"):
        call(*(CallInterval(n, n + 1.0, CAP) for n in range(MAX_INTERVALS + 1)))


def test_a_call_is_found_by_its_own_id_and_by_those_of_its_events():
    assert {call_key("openadr:vtn", each) for each in ("a", "a#0", "openadr:vtn/a", "openadr:vtn/a#7")} == {
        "openadr:vtn a"
    }
    assert call_key("operator", "operator/a#1") == "operator operator/a", "an operator's events have no source before"
    assert call_key("operator", "a") != call_key("openadr:vtn", "a")
