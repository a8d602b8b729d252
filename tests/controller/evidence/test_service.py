import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.evidence.service import MAX_BYTES, ServiceClock, ServiceMinute, pack, unpack
from controller.model.service import ClassService, Latencies
from tests.fakes.played_event import LENGTH_S, START_S, Player, event


class Counted:
    is_whole = True

    def __init__(self):
        self.requests = 0.0

    @property
    def totals(self):
        return {"chat": ClassService(requests=self.requests)}


def cut(looks, step_s=60.0):
    """Minutes of a class that gets one request between two looks; of each look its time and the events known then."""
    clock, counted, found = ServiceClock(), Counted(), []
    for at_s, edges_s in looks:
        minute = clock.take(at_s, counted, edges_s=edges_s, step_s=step_s)
        found += [] if minute is None else [minute]
        counted.requests += 1
    return found


def test_a_minute_ends_with_the_first_look_of_the_next_one_and_where_an_event_begins():
    found = cut([(at_s, (90.0, 500.0)) for at_s in [30.0, 45.0, 60.0, 75.0, 90.0, 105.0, 120.0]])
    assert [(each.from_s, each.until_s, each.looks) for each in found] == [(30, 60, 2), (60, 90, 2), (90, 120, 2)]
    assert [each.classes["chat"].requests for each in found] == [2, 2, 2]


def test_an_event_that_comes_to_be_known_after_it_began_cuts_its_minute_then():
    found = cut([(60.0, ()), (75.0, ()), (90.0, (80.0,)), (105.0, (80.0,)), (120.0, (80.0,))])
    assert [(each.from_s, each.until_s) for each in found] == [(60.0, 90.0), (90.0, 120.0)]


def test_a_clock_that_is_set_back_begins_anew():
    found = cut([(at_s, ()) for at_s in [100.0, 110.0, 50.0, 59.0, 61.0]])
    assert [(each.from_s, each.until_s) for each in found] == [(50.0, 61.0)]


def test_looks_at_which_a_router_was_silent_are_told():
    clock, counted = ServiceClock(), Counted()
    clock.take(0.0, counted)
    counted.is_whole = False
    clock.take(30.0, counted)
    counted.is_whole = True
    assert clock.take(60.0, counted).heard_frac == 0.5


NUMBERS = st.integers(0, 10_000).map(float)
LATENCIES = st.builds(
    lambda sum_s, counts: Latencies(
        float(f"{sum_s:.6g}"),
        tuple((float(n), math.inf if n == 3 else n + 1.0, count) for n, count in enumerate(counts) if count),
    ),
    NUMBERS,
    st.lists(NUMBERS, max_size=4),
).map(lambda each: each if each.buckets else Latencies())
SERVICE = st.builds(
    ClassService,
    requests=NUMBERS,
    finished=NUMBERS,
    refused=NUMBERS,
    input_tokens=NUMBERS,
    output_tokens=NUMBERS,
    outcomes=st.dictionaries(st.sampled_from(["ok", "reset"]), NUMBERS),
    ttft=LATENCIES,
    itl=LATENCIES,
)


@given(st.dictionaries(st.text(max_size=5), SERVICE, max_size=3))
def test_what_is_packed_comes_back(classes):
    minute = ServiceMinute(100.0, 160.0, 12, 11, classes)
    assert unpack(json.loads(json.dumps(pack(minute)))) == minute


@pytest.mark.parametrize(
    ("classes", "left_out"), [(400, ["ttft_s"]), (5000, ["ttft_s", "itl_s", "outcomes", "classes"])]
)
def test_it_is_bounded_and_says_what_was_left_out(classes, left_out):
    service = ClassService(1.0, 1.0, ttft=Latencies(1.0, ((0.0, 0.1, 1.0), (0.1, 0.2, 1.0), (0.2, 0.3, 1.0))))
    packed = pack(ServiceMinute(0.0, 60.0, 1, 1, {f"class-{n:030}": service for n in range(classes)}))
    assert len(json.dumps(packed)) <= MAX_BYTES
    assert packed["left_out"] == left_out
    assert unpack(packed).left_out == tuple(left_out)


def test_minutes_from_before_an_event_are_kept_and_its_start_and_end_cut_them(tmp_path):
    player = Player(tmp_path, START_S - 3600.0)
    player.play(START_S - 100.0)
    player.play(START_S + LENGTH_S + 130.0, event(notice_s=START_S - 100.0))
    rows = player.ledger.records("service")
    player.close()
    minutes = [unpack(packed) for row in rows for packed in row.payload["minutes"]]
    assert minutes[0].until_s >= START_S - 100.0 - 900.0
    assert [b.from_s for b in minutes[1:]] == [a.until_s for a in minutes[:-1]]
    edges = {each.from_s for each in minutes}
    assert {START_S, START_S + LENGTH_S} <= edges
    assert all(each.heard_frac == 1.0 for each in minutes)
    during = [each for each in minutes if START_S <= each.from_s < START_S + LENGTH_S]
    assert sum(each.classes["premium"].requests for each in during) == 2 * LENGTH_S
