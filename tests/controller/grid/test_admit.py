import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import CallRefused
from controller.grid.admit import (
    MAX_AHEAD_S,
    MAX_CALLS,
    MAX_INTERVALS_HELD,
    MAX_SKEW_S,
    Known,
    Refusal,
    check,
    drawn,
    is_stale,
    put_off,
)
from controller.model.call import Asked
from controller.model.grid import FOREVER_S
from controller.model.programme import Programme
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S

SANE = Programme("operator", least_w=1000.0, most_w=50_000.0, changes_per_min=3)


def cause_of(asked, programme=SANE, known=Known()):  # noqa: B008 - frozen
    with pytest.raises(CallRefused) as caught:
        check(asked, programme, known, NOW_S)
    assert f"call {asked.call_id!r:.80}" in str(caught.value)
    return caught.value.cause


def test_what_is_sane_is_taken_on_the_programmes_terms():
    for value in (1000.0, 50_000.0):
        assert check(call("c", interval(value=value)), SANE, Known(), NOW_S) is SANE
    check(call("c", interval(0.0, 60.0, Asked.BELOW_PRESENT_W, 50_000.0)), SANE, Known(), NOW_S)


@pytest.mark.parametrize(
    ("asked", "cause"),
    [
        (call("c", interval(value=999.0)), Refusal.BOUNDS),
        (call("c", interval(value=50_001.0)), Refusal.BOUNDS),
        (call("c", interval(), interval(600.0, 600.0, value=9e9)), Refusal.BOUNDS),
        (call("c", interval(0.0, 60.0, Asked.BELOW_BASELINE_W, 9e9)), Refusal.BOUNDS),
        (call("c", ramp_s=-1.0), Refusal.BOUNDS),
        (call("c", ramp_s=float("nan")), Refusal.BOUNDS),
        (call("c", randomize_s=1e9), Refusal.BOUNDS),
        (call("c", modified_s=NOW_S + MAX_SKEW_S + 1), Refusal.FUTURE),
        (call("c", modified_s=float("nan")), Refusal.FUTURE),
        (call("c", interval(-700.0, 700.0)), Refusal.OVER),
        (call("c", interval(MAX_AHEAD_S + 1)), Refusal.FAR),
        (call(""), Refusal.MALFORMED),
        (call("x" * 129), Refusal.MALFORMED),
        (call("line\nbreak"), Refusal.MALFORMED),
        (call("c", source=""), Refusal.MALFORMED),
    ],
)
def test_what_is_not_is_refused_with_its_cause(asked, cause):
    assert cause_of(asked) == cause.value


@pytest.mark.parametrize(
    "asked",
    [call("c", modified_s=NOW_S + MAX_SKEW_S + 60), call("c", interval(-700.0, 60.0)), call("c", interval(4e7))],
)
def test_a_reason_is_the_same_whenever_the_message_comes_again(asked):
    reasons = set()
    for later_s in (0.0, 1.0, 7.0):
        with pytest.raises(CallRefused) as caught:
            check(asked, SANE, Known(), NOW_S + later_s)
        reasons.add(str(caught.value))
    assert len(reasons) == 1


def test_a_programme_that_nobody_configured():
    assert cause_of(call("c", programme="typo"), programme=None) == "unknown_programme"


def test_a_clock_that_runs_a_little_ahead_is_no_reason_to_refuse():
    check(call("c", modified_s=NOW_S + MAX_SKEW_S), SANE, Known(), NOW_S)


def test_the_pace_of_changes_and_the_room_are_bounded():
    changes = (NOW_S - 61.0, NOW_S - 60.0, NOW_S - 59.0, NOW_S - 1.0)
    check(call(), SANE, Known(changes_s=changes), NOW_S)
    assert cause_of(call(), known=Known(changes_s=(*changes, NOW_S))) == "too_many_changes"
    assert cause_of(call(), known=Known(MAX_CALLS)) == "book_full"
    check(call(), SANE, Known(intervals=MAX_INTERVALS_HELD - 1), NOW_S)
    assert cause_of(call(), known=Known(intervals=MAX_INTERVALS_HELD)) == "book_full"


def test_stale_is_what_says_nothing_newer():
    assert [is_stale(call(modified_s=NOW_S), at_s) for at_s in (None, NOW_S - 1, NOW_S, NOW_S + 1)] == [
        False,
        False,
        True,
        True,
    ]


@given(st.integers(0, 2**32), st.floats(0.0, 86_400.0))
def test_a_drawn_start_moves_the_whole_call_within_its_window(seed, randomize_s):
    asked = call("c", interval(10.0, 20.0), interval(30.0, 40.0), randomize_s=randomize_s)
    shifted, offset_s = drawn(asked, random.Random(seed))
    assert 0.0 <= offset_s <= randomize_s
    assert shifted.randomize_s == 0.0
    for before, after in zip(asked.intervals, shifted.intervals, strict=True):
        assert after == dataclasses.replace(before, start_s=before.start_s + offset_s, end_s=before.end_s + offset_s)


def test_what_has_no_end_has_none_after_a_shift():
    lasting = call("c", dataclasses.replace(interval(), end_s=FOREVER_S))
    assert put_off(lasting, 60.0).end_s == FOREVER_S
