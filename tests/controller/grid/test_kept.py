import dataclasses

from controller.grid.easing import Easing
from controller.grid.kept import KeptCall, asks, from_present, needs_baseline
from controller.grid.resolve import References
from controller.model.call import Asked, CallState, Commitment
from controller.model.programme import Programme
from controller.store.plain import from_plain, to_plain
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S

TERMS = Programme("operator", levels=((1, Commitment(Asked.BELOW_BASELINE_FRAC, 0.1)),))


def test_the_states_of_a_call():
    kept = KeptCall(call("c", interval(10.0, 10.0), interval(40.0, 10.0)))
    at = {0: CallState.PENDING, 10: CallState.ACTIVE, 30: CallState.ACTIVE, 50: CallState.ENDED}
    assert {t: kept.state(NOW_S + t) for t in at} == at
    out = KeptCall(call(opted_out="no"), opted_out_s=NOW_S)
    assert (out.state(NOW_S), out.state(NOW_S + 600)) == (CallState.OPTED_OUT, CallState.ENDED)
    assert KeptCall(call(), cancelled_s=NOW_S).state(NOW_S + 1) is CallState.CANCELLED


def test_a_cancelled_call_is_cut_off_then():
    kept = KeptCall(call("c", interval(0.0, 10.0), interval(20.0, 10.0)), cancelled_s=NOW_S + 5)
    events = kept.resolved(TERMS, References()).events
    assert [(e.start_s - NOW_S, e.end_s - NOW_S) for e in events] == [(0.0, 5.0), (5.0, 5.0)]
    assert kept.end_s == NOW_S + 5
    assert kept.is_over(NOW_S + 5)


def test_an_end_is_not_put_off_by_a_late_cancellation():
    assert KeptCall(call(), cancelled_s=NOW_S + 9999).end_s == NOW_S + 600


def test_what_needs_which_reference():
    level = call("c", interval(0.0, 60.0, Asked.LEVEL, 1))
    assert asks(TERMS, level.intervals[0]) is Asked.BELOW_BASELINE_FRAC
    assert asks(TERMS, interval(0.0, 60.0, Asked.LEVEL, 7)) is Asked.NOTHING
    assert needs_baseline(level, TERMS)
    assert not needs_baseline(call(), TERMS)
    present = call("c", interval(), interval(600.0, 60.0, Asked.BELOW_PRESENT_W, 10.0))
    assert from_present(present, TERMS) == present.intervals[1:]


def test_it_survives_its_record():
    kept = KeptCall(call("c", priority=0, ramp_s=5.0), 3.5, 10.0, cancelled_s=NOW_S)
    assert from_plain(KeptCall, to_plain(kept)) == kept
    assert dataclasses.replace(kept, cancelled_s=None) != kept


def test_where_it_is_followed_in_part_its_limits_are_the_raised_ones():
    easings = (Easing(12_000.0, "a launch", NOW_S + 15),)
    asked = call("c", interval(0.0, 10.0), interval(20.0, 10.0), interval(40.0, 10.0, value=15_000.0))
    events = KeptCall(asked, easings=easings).resolved(TERMS, References()).events
    assert [(e.limit_w, e.asked_limit_w) for e in events] == [(9e3, None), (12e3, 9e3), (15e3, None)]
    cut = KeptCall(asked, cancelled_s=NOW_S + 25, easings=easings).resolved(TERMS, References()).events
    assert [(e.limit_w, e.end_s - NOW_S) for e in cut] == [(9e3, 10.0), (12e3, 25.0), (15e3, 25.0)]


def test_a_record_from_before_calls_were_followed_in_part_is_read():
    kept = KeptCall(call("c"), easings=(Easing(12_000.0, "a launch", NOW_S),))
    plain = to_plain(kept)
    assert from_plain(KeptCall, plain) == kept
    del plain["easings"]
    assert from_plain(KeptCall, plain) == KeptCall(call("c"))
