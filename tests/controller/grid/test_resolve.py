import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.grid.resolve import References, by_programme, event_ids, resolve
from controller.model.call import Asked, Call, CallInterval, Commitment, call_key
from controller.model.grid import Precedence
from controller.model.programme import Programme

QUARTER = Commitment(Asked.BELOW_BASELINE_FRAC, 0.25)
TERMS = Programme("p", levels=((1, QUARTER), (9, Commitment(Asked.LEVEL, 1.0))), ramp_s=60.0, restore_w_per_s=10.0)


def call(*commitments: Commitment, **changes) -> Call:
    intervals = tuple(CallInterval(100.0 + 60.0 * n, 160.0 + 60.0 * n, asked) for n, asked in enumerate(commitments))
    return Call(
        **{
            "call_id": "c",
            "source": "operator",
            "programme": "p",
            "received_s": 50.0,
            "modified_s": 50.0,
            "intervals": intervals,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("commitment", "limit_w"),
    [
        (Commitment(Asked.AT_MOST_W, 400.0), 400.0),
        (Commitment(Asked.BELOW_BASELINE_W, 300.0), 700.0),
        (QUARTER, 750.0),
        (Commitment(Asked.BELOW_PRESENT_W, 100.0), 800.0),
        (Commitment(Asked.LEVEL, 1.0), 750.0),
        (Commitment(Asked.BELOW_BASELINE_W, 5000.0), 0.0),
    ],
)
def test_each_form_comes_to_a_limit(commitment, limit_w):
    [event] = resolve(call(commitment), TERMS, References(1000.0, ((100.0, 900.0),))).events
    assert event.limit_w == pytest.approx(limit_w)
    assert (event.start_s, event.end_s, event.notice_s, event.ramp_s) == (100.0, 160.0, 50.0, 60.0)
    assert (event.programme, event.precedence, event.restore_w_per_s) == ("p", Precedence.CONTRACT, 10.0)
    assert event.baseline_w == 1000.0


def test_an_interval_of_normal_operation_has_no_limit():
    resolved = resolve(call(QUARTER, Commitment(Asked.NOTHING), QUARTER), TERMS, References(1000.0))
    assert [event.start_s for event in resolved.events] == [100.0, 220.0]
    assert [event.event_id for event in resolved.events] == ["c#0", "c#2"]
    assert not resolved.unresolved


def test_what_cannot_be_told_is_told_so():
    resolved = resolve(call(QUARTER, Commitment(Asked.LEVEL, 7.0), Commitment(Asked.LEVEL, 9.0)), TERMS, References())
    assert not resolved.events
    assert [entry.reason.split(";")[0] for entry in resolved.unresolved] == [
        "the baseline is not known",
        "programme p does not say what level 7 asks for",
        "programme p does not say what level 9 asks for",
    ]


def test_a_limit_below_the_sane_is_raised_and_told():
    resolved = resolve(call(QUARTER), Programme("p", least_w=900.0), References(1000.0))
    assert [event.limit_w for event in resolved.events] == [900.0]
    assert resolved.clipped == ("c",)


def test_who_opted_out_is_not_limited():
    assert not resolve(call(QUARTER, opted_out="maintenance"), TERMS, References(1000.0)).events


def test_the_calls_own_ramp_goes_before_the_programmes():
    [event] = resolve(call(QUARTER, ramp_s=5.0), TERMS, References(1000.0)).events
    assert event.ramp_s == 5.0


def test_a_limit_tells_by_which_intervals_it_is_settled():
    told = [
        resolve(call(QUARTER), Programme("p", **terms), References(5000.0)).events[0]
        for terms in ({}, {"settles_on_clock": True}, {"settles_instantaneous": True})
    ]
    assert [(each.settlement_interval_s, each.settles_on_clock) for each in told] == [
        (300.0, False),
        (300.0, True),
        (None, False),
    ]


def test_calls_find_their_programmes():
    known, stranger = call(QUARTER), call(QUARTER, programme="q")
    assert by_programme((known, stranger), {"p": TERMS}) == ((known, TERMS),)
    assert event_ids(known) == ("c",)


@pytest.mark.parametrize("source", ["operator", "load_target", "openadr:vtn"])
@pytest.mark.parametrize("count", [1, 2])
def test_what_is_kept_of_a_call_is_found_by_each_of_its_events(source, count):
    asked = call(*[QUARTER] * count, source=source)
    assert {call_key(source, event_id) for event_id in event_ids(asked)} == {call_key(source, asked.call_id)}


def test_calls_of_two_sources_never_share_the_id_of_an_event():
    one, other = (call(QUARTER, source=f"openadr:{name}") for name in "ab")
    assert [event_ids(each) for each in (one, other)] == [("openadr:a/c",), ("openadr:b/c",)]
    assert event_ids(call(QUARTER, QUARTER, source="load_target"))[1] == "load_target/c#1"


@given(baseline_w=st.floats(0.0, 1e9), share=st.floats(0.0, 1.0), less_w=st.floats(0.0, 1e9))
def test_a_reduction_never_lets_draw_more_than_the_baseline(baseline_w, share, less_w):
    asked = (Commitment(Asked.BELOW_BASELINE_FRAC, share), Commitment(Asked.BELOW_BASELINE_W, less_w))
    for event in resolve(call(*asked), TERMS, References(baseline_w)).events:
        assert 0.0 <= event.limit_w <= baseline_w
