import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from controller.grid.kept import KeptCall
from controller.grid.loss import Link, default_event, known_until_s, lost_at_s, state_of
from controller.model.grid import FOREVER_S
from controller.model.programme import OnLoss, Programme
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S

DR = Programme("dr", default_limit_w=5000.0, hold_s=300.0, ramp_s=12.0)
LINK = Link("vtn", ("dr",), NOW_S, heard_s=NOW_S)


def kept(*intervals, **changes):
    return KeptCall(call("c", *intervals, source="vtn", programme="dr"), **changes)


def test_silence_counts_only_after_the_hold_time():
    assert default_event(LINK, DR, (), NOW_S + 299) is None
    event = default_event(LINK, DR, (), NOW_S + 300)
    assert (event.limit_w, event.start_s, event.end_s, event.ramp_s) == (5000.0, NOW_S + 300, FOREVER_S, 12.0)
    assert not state_of(LINK, (DR,), (), NOW_S + 299).is_lost
    assert state_of(LINK, (DR,), (), NOW_S + 300).is_lost


def test_what_is_known_of_the_schedule_comes_first():
    calls = (kept(interval(0.0, 900.0)), kept(interval(3000.0, 600.0)))
    assert default_event(LINK, DR, calls, NOW_S + 400).start_s == NOW_S + 3600


def test_a_schedule_without_end_is_never_exhausted():
    calls = (kept(dataclasses.replace(interval(), end_s=FOREVER_S)),)
    assert default_event(LINK, DR, calls, NOW_S + 1e6) is None


def test_calls_that_were_cancelled_or_are_of_others_are_no_schedule():
    other = KeptCall(call("c", interval(0.0, 9000.0), source="other", programme="dr"))
    calls = (kept(interval(0.0, 9000.0), cancelled_s=NOW_S), other)
    assert known_until_s(calls, "vtn", "dr") == float("-inf")
    assert default_event(LINK, DR, calls, NOW_S + 400).start_s == NOW_S + 300


def test_the_contract_says_which_way_it_fails():
    normal = dataclasses.replace(DR, on_loss=OnLoss.NORMAL)
    assert default_event(LINK, normal, (), NOW_S + 400) is None
    assert state_of(LINK, (normal,), (), NOW_S + 400).is_lost
    assert default_event(LINK, dataclasses.replace(DR, default_limit_w=None), (), NOW_S + 400) is None


def test_a_source_that_was_never_heard_is_lost_after_the_same_time():
    assert lost_at_s(Link("vtn", ("dr",), NOW_S), DR) == NOW_S + 300


def test_a_default_that_the_source_told_holds_instead_of_the_configured_one():
    told = dataclasses.replace(LINK, defaults_w=(("dr", 7000.0),))
    assert default_event(told, DR, (), NOW_S + 400).limit_w == 7000.0


def test_it_is_over_with_the_first_sign_of_life():
    heard = dataclasses.replace(LINK, heard_s=NOW_S + 1000)
    state = state_of(heard, (DR,), (), NOW_S + 1000)
    assert (state.is_lost, state.defaults, state.silent_s) == (False, (), 0.0)


@given(st.floats(0, 5000), st.floats(0, 5000), st.floats(1, 5000))
def test_silence_never_takes_a_known_limit_away(silent_s, start_in_s, length_s):
    """Unreachable is never over: what a call asks for is the same however long its source is silent."""
    known = kept(interval(start_in_s, length_s))
    event = default_event(LINK, DR, (known,), NOW_S + silent_s)
    assert known.end_s == NOW_S + start_in_s + length_s
    assert event is None or event.start_s >= known.end_s
