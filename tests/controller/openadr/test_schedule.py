import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.model.grid import FOREVER_S
from controller.openadr.messages_read import read_event
from controller.openadr.schedule import DAY_S, MAX_SLOTS, Hearing, in_force, schedule
from tests.fakes.vtn.server import interval

FIVE = 1_782_925_200.0
"""2026-07-01T17:00:00Z."""
AT_FIVE = "2026-07-01T17:00:00Z"
HEARD = Hearing(FIVE - 600, FIVE - 600)


def slots(*intervals, hearing=HEARD, **fields):
    event = read_event({"id": "e", "programID": "p", "intervals": list(intervals), **fields})
    return [(slot.start_s - FIVE, slot.end_s - FIVE) for slot in schedule(event, hearing).slots]


def plain(number, **period):
    return interval(number, "SIMPLE", 1, **period)


def test_intervals_follow_each_other_by_the_event_s_defaults():
    period = {"start": AT_FIVE, "duration": "PT1H"}
    assert slots(plain(0), plain(1), intervalPeriod=period) == [(0, 3600), (3600, 7200)]


def test_an_interval_s_own_period_counts_before_the_event_s():
    period = {"start": AT_FIVE, "duration": "PT1H"}
    own = [plain(0), plain(1, duration="PT2H"), plain(2, start="2026-07-01T22:00:00Z"), plain(3)]
    assert slots(*own, intervalPeriod=period) == [(0, 3600), (3600, 10_800), (18_000, 21_600), (21_600, 25_200)]


def test_now_is_when_the_event_was_first_heard_of():
    period = {"start": "0001-01-01", "duration": "P9999Y"}
    assert slots(plain(0), intervalPeriod=period) == [(-600, FOREVER_S - FIVE)]
    assert slots(plain(0, start="0000-00-00", duration="PT1H")) == [(-600, 3000)]


def test_now_in_a_later_interval_is_after_the_one_before():
    first = plain(0, start=AT_FIVE, duration="PT1H")
    assert slots(first, plain(1, start="0001-01-01", duration="PT30M")) == [(0, 3600), (3600, 5400)]


def test_now_in_the_first_interval_is_the_event_s_start_where_it_has_one():
    period = {"start": AT_FIVE, "duration": "PT1H"}
    assert slots(plain(0, start="0001-01-01"), intervalPeriod=period) == [(0, 3600)]


def test_an_event_that_does_not_say_when_it_begins_is_refused():
    with pytest.raises(MessageError, match=r"event\.intervals\[0\]\.intervalPeriod\.start"):
        slots(plain(0, duration="PT1H"))


def test_without_a_length_an_interval_is_open_and_with_none_it_is_empty():
    event = {"id": "e", "programID": "p", "intervalPeriod": {"start": AT_FIVE}, "intervals": [plain(0)]}
    (slot,) = schedule(read_event(event), HEARD).slots
    assert slot.is_open
    event["intervalPeriod"]["duration"] = "PT0S"
    (slot,) = schedule(read_event(event), HEARD).slots
    assert not slot.is_open
    assert slot.start_s == slot.end_s


@pytest.mark.parametrize(
    "over", [{"intervalPeriod": {"start": "0001-01-01", "duration": "PT0S"}}, {"duration": "PT0S"}]
)
def test_an_event_of_no_length_is_cancelled_whatever_its_intervals_say_of_themselves(over):
    event = {"intervalPeriod": {"start": AT_FIVE, "duration": "PT1H"}} | over
    assert slots(plain(0, start=AT_FIVE, duration="PT1H"), plain(1, duration="PT2H"), **event) == []


@pytest.mark.parametrize(
    ("fields", "begins_s", "ends_s"),
    [
        ({}, 0, 7200),
        ({"duration": "PT90M"}, 0, 5400),
        ({"duration": "PT5H"}, 0, 18_000),
        ({"duration": "P9999Y"}, 0, FOREVER_S - FIVE),
        ({"intervalPeriod": {"start": AT_FIVE}}, 0, FOREVER_S - FIVE),
    ],
)
def test_an_event_is_in_force_as_long_as_its_intervals_and_its_loop(fields, begins_s, ends_s):
    event = {"intervalPeriod": {"start": AT_FIVE, "duration": "PT1H"}} | fields
    read = read_event({"id": "e", "programID": "p", "intervals": [plain(0), plain(1)], **event})
    for now_s in (FIVE - 600, FIVE + 600, FIVE + 20 * DAY_S):
        assert in_force(read, Hearing(FIVE - 600, now_s)) == (FIVE + begins_s, FIVE + ends_s)


def test_an_event_that_was_cancelled_or_has_no_intervals_is_never_in_force():
    for fields in ({"duration": "PT0S", "intervals": [plain(0)]}, {}):
        event = {"id": "e", "programID": "p", "intervalPeriod": {"start": AT_FIVE, "duration": "PT1H"}, **fields}
        assert in_force(read_event(event), HEARD) is None


def test_a_shorter_event_duration_cuts():
    period = {"start": AT_FIVE, "duration": "PT1H"}
    cut = slots(plain(0), plain(1), plain(2), intervalPeriod=period, duration="PT90M")
    assert cut == [(0, 3600), (3600, 5400)]


def test_a_longer_event_duration_loops():
    period = {"start": AT_FIVE, "duration": "PT1H"}
    looped = slots(plain(0), plain(1), intervalPeriod=period, duration="PT5H")
    assert looped == [(n * 3600, (n + 1) * 3600) for n in range(5)]


def test_a_loop_without_end_is_told_around_now_and_moves_on_with_the_day():
    period = {"start": AT_FIVE, "duration": "PT12H"}
    event = {"id": "e", "programID": "p", "intervalPeriod": period, "intervals": [plain(0), plain(1)]}
    read = read_event({**event, "duration": "P9999Y"})
    for day in (0, 1, 400):
        now_s = FIVE + day * DAY_S + 100
        timed = schedule(read, Hearing(FIVE, now_s))
        assert timed.day == day
        assert timed.is_looped
        assert timed.slots[0].start_s <= now_s
        assert timed.slots[-1].end_s >= now_s + 2 * DAY_S
        assert len(timed.slots) <= 10


def test_a_loop_of_instants_is_refused():
    with pytest.raises(MessageError, match=f"repeat more than {MAX_SLOTS} times"):
        slots(plain(0), intervalPeriod={"start": AT_FIVE, "duration": "PT1S"}, duration="P9999Y")


@pytest.mark.parametrize(("chance", "shift_s"), [(0.0, 0.0), (1.0, 300.0), (-0.5, -150.0)])
def test_a_randomised_start_shifts_the_whole_chain(chance, shift_s):
    period = {"start": AT_FIVE, "duration": "PT1H", "randomizeStart": "PT5M"}
    own = [plain(0), plain(1), plain(2, start="2026-07-01T22:00:00Z")]
    shifted = slots(*own, intervalPeriod=period, hearing=Hearing(FIVE - 600, FIVE - 600, chance))
    assert [start_s for start_s, _ in shifted] == [shift_s, 3600 + shift_s, 18_000 + shift_s]


def test_an_interval_s_own_range_counts_from_there_on():
    period = {"start": AT_FIVE, "duration": "PT1H", "randomizeStart": "PT5M"}
    own = [plain(0), plain(1, start="2026-07-01T22:00:00Z", randomizeStart="PT10M"), plain(2)]
    shifted = slots(*own, intervalPeriod=period, hearing=Hearing(FIVE - 600, FIVE - 600, 1.0))
    assert [start_s for start_s, _ in shifted] == [300.0, 18_600.0, 22_200.0]


def test_what_begins_now_never_begins_before_it_was_heard():
    period = {"start": "0001-01-01", "duration": "PT1H", "randomizeStart": "PT5M"}
    assert slots(plain(0), intervalPeriod=period, hearing=Hearing(FIVE, FIVE, -1.0)) == [(300, 3900)]


@given(st.floats(-1, 1), st.lists(st.integers(1, 7200), min_size=1, max_size=6), st.integers(0, 3600))
def test_the_length_of_an_event_does_not_depend_on_chance(chance, lengths_s, range_s):
    period = {"start": AT_FIVE, "randomizeStart": f"PT{range_s}S"}
    intervals = [plain(n, duration=f"PT{length_s}S") for n, length_s in enumerate(lengths_s)]
    found = slots(*intervals, intervalPeriod=period, hearing=Hearing(FIVE - 9999, FIVE - 9999, chance))
    assert found[-1][1] - found[0][0] == pytest.approx(sum(lengths_s), abs=1e-5)
    assert abs(found[0][0]) <= range_s + 1e-5
