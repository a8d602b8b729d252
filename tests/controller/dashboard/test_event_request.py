import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dashboard.event_request import EventRequest, OptOut, chosen_id, read_opt_out, read_request
from controller.errors import CallRefused
from controller.model.call import Asked, Commitment
from controller.signals.calls import CallBook
from tests.fakes.controller_parts import NOW_S, ListRecorder

CAP = ((Commitment(Asked.AT_MOST_W, 9000.0), 600.0),)


def test_the_json_form_with_its_defaults():
    assert read_request({"limit_w": 9000, "duration_s": 600}) == EventRequest(CAP)


@pytest.mark.parametrize(
    ("key", "value", "asked"),
    [
        ("limit_w", 5.0, Asked.AT_MOST_W),
        ("below_baseline_w", 5.0, Asked.BELOW_BASELINE_W),
        ("below_baseline_frac", 0.25, Asked.BELOW_BASELINE_FRAC),
        ("below_present_w", 5.0, Asked.BELOW_PRESENT_W),
        ("level", 2, Asked.LEVEL),
        ("level", -10, Asked.LEVEL),
    ],
)
def test_every_form_of_commitment(key, value, asked):
    read = read_request({key: value, "duration_s": 60})
    assert read.stretches == ((Commitment(asked, value), 60.0),)


def test_a_schedule_follows_one_interval_after_the_other():
    intervals = [{"limit_w": 900, "duration_s": 60}, {"duration_s": 30}, {"level": 1, "duration_s": 60}]
    call = read_request({"intervals": intervals, "start_in_s": 10}).call("e", NOW_S)
    assert [(i.start_s - NOW_S, i.end_s - NOW_S) for i in call.intervals] == [(10, 70), (70, 100), (100, 160)]
    assert [i.commitment.asked for i in call.intervals] == [Asked.AT_MOST_W, Asked.NOTHING, Asked.LEVEL]


def test_a_start_on_the_wall_clock():
    read = read_request({"limit_w": 1, "duration_s": 60, "start": "2026-07-14T17:00:00+02:00"})
    assert read.start_s == 1_784_041_200.0
    with pytest.raises(CallRefused, match="s ahead, more than"):
        read.call("e", 1_784_041_200.0 - 40 * 86_400)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "a JSON object is expected, not list"),
        ({}, "limit_w is missing; write one of"),
        ({"limit_w": 1}, "duration_s is missing"),
        ({"limit_w": "9kW", "duration_s": 1}, "limit_w is '9kW'"),
        ({"limit_w": True, "duration_s": 1}, "limit_w is True"),
        ({"limit_w": float("nan"), "duration_s": 1}, "limit_w is nan"),
        ({"limit_w": -1, "duration_s": 1}, "limit_w is -1, outside 0 to 1e"),
        ({"limit_w": 1, "level": 2, "duration_s": 1}, "limit_w and level both say"),
        ({"level": 1.5, "duration_s": 1}, "level is 1.5; write a whole number from -100 to 100"),
        ({"level": -101, "duration_s": 1}, "level is -101, outside -100 to 100"),
        ({"below_baseline_frac": 25, "duration_s": 1}, "below_baseline_frac is 25, outside 0 to 1"),
        ({"limit_w": 1, "duration_s": 0}, "duration_s is 0, outside 1 to 604800"),
        ({"limit_w": 1, "duration_s": 1, "ramp_s": 1e9}, "ramp_s is 1000000000.0, outside"),
        ({"limit_w": 1, "duration_s": 300, "ramp_s": 300}, "ramp_s is 300, but the event lasts 300 s"),
        ({"limit_w": 1, "duration_s": 1, "limit_kw": 2}, "unknown key 'limit_kw'; known are"),
        ({"limit_w": 1, "duration_s": 1, "event_id": "a b"}, "event_id 'a b' is not a name"),
        ({"limit_w": 1, "duration_s": 1, "dry_run": "yes"}, "dry_run is 'yes'; write true or false"),
        ({"limit_w": 1, "duration_s": 1, "programme": 7}, "programme is 7"),
        ({"limit_w": 1, "duration_s": 1, "start": "17:00"}, "start is '17:00'; write a time with its offset"),
        ({"limit_w": 1, "duration_s": 1, "start": "2026-07-14T17:00:00"}, "with its offset"),
        ({"limit_w": 1, "duration_s": 1, "start": "2026-07-14T17:00:00Z", "start_in_s": 1}, "leave one out"),
        ({"intervals": []}, "write a list of 1 to"),
        ({"intervals": [{"limit_w": 1, "duration_s": 1}], "limit_w": 1}, "stands beside intervals"),
        ({"intervals": [{"limit_w": 1}]}, r"intervals\[0\].duration_s is missing"),
        ({"intervals": [7]}, r"intervals\[0\]: a JSON object is expected"),
        ({"intervals": [{"duration_s": 1, "start": 2}]}, r"intervals\[0\].unknown key 'start'"),
    ],
)
def test_a_wrong_request_names_key_value_and_remedy(data, problem):
    with pytest.raises(CallRefused, match=problem) as caught:
        read_request(data)
    assert not caught.value.is_conflict


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["limit_w", "level", "duration_s", "start", "start_in_s", "ramp_s", "intervals", "priority"])


@given(data=JSON | st.dictionaries(KEYS, JSON, max_size=4))
def test_nothing_that_is_sent_does_more_than_be_refused(data):
    try:
        read_request(data).call("e", NOW_S)
    except CallRefused:
        return


def test_names_are_made_up_and_never_twice():
    book, names = CallBook(ListRecorder()), set()
    for _ in range(5):
        name = chosen_id(EventRequest(CAP), book.calls(NOW_S), NOW_S)
        book.submit(EventRequest(CAP).call(name, NOW_S), NOW_S)
        names.add(name)
    assert len(names) == 5
    with pytest.raises(CallRefused, match="exists already") as caught:
        chosen_id(EventRequest(CAP, event_id=names.pop()), book.calls(NOW_S), NOW_S)
    assert caught.value.is_conflict


def test_an_opt_out_is_read_whole_or_in_part():
    assert read_opt_out({"reason": "a launch"}) == OptOut("a launch")
    assert read_opt_out({"reason": "a launch", "down_to_w": 30_000}) == OptOut("a launch", 30_000.0)
    with pytest.raises(CallRefused, match="unknown key 'down_to'"):
        read_opt_out({"reason": "a launch", "down_to": 30_000})
