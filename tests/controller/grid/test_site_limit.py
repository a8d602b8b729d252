import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from controller.grid.site_limit import site_limit
from controller.model.grid import GridEvent, limit_at


def event(name="e", limit_w=100.0, start_s=10.0, end_s=20.0, priority=None):
    return GridEvent(name, limit_w, start_s, end_s, notice_s=0.0, priority=priority)


EVENTS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 30), st.integers(0, 5), st.none() | st.integers(0, 3)), max_size=8
).map(
    lambda rows: tuple(
        event(f"e{n}", 100.0 * limit, start, start + length, priority)
        for n, (start, length, limit, priority) in enumerate(rows)
    )
)
STANDING = st.none() | st.integers(0, 5).map(lambda n: 100.0 * n)


def test_the_course_of_a_limit():
    limit = site_limit((event(), event("deep", 50.0, 12.0, 15.0)), 200.0, 0.0, 30.0)
    told = [(s.start_s, s.end_s, s.limit_w, s.event and s.event.event_id) for s in limit.stretches]
    assert told == [
        (0.0, 10.0, 200.0, None),
        (10.0, 12.0, 100.0, "e"),
        (12.0, 15.0, 50.0, "deep"),
        (15.0, 20.0, 100.0, "e"),
        (20.0, 30.0, 200.0, None),
    ]
    assert limit.next_change(11.0).limit_w == 50.0
    assert limit.next_change(25.0) is None
    assert limit.at(30.0) is None


def test_without_any_limit():
    (only,) = site_limit((), None, 0.0, 10.0).stretches
    assert (only.limit_w, only.event) == (None, None)


def test_of_equal_limits_the_highest_priority_is_told():
    ties = (event("none"), event("low", priority=5), event("high", priority=0))
    assert site_limit(ties, None, 10.0, 20.0).at(10.0).event.event_id == "high"
    assert site_limit(ties, 100.0, 10.0, 20.0).at(10.0).event.event_id == "high"
    assert site_limit(ties, 99.0, 10.0, 20.0).at(10.0).event is None


@given(EVENTS, STANDING)
def test_it_is_what_the_planner_goes_by_at_every_instant(events, standing_w):
    limit = site_limit(events, standing_w, 0.0, 90.0)
    assert limit.stretches[0].start_s == 0.0
    assert limit.stretches[-1].end_s == 90.0
    for before, after in zip(limit.stretches, limit.stretches[1:], strict=False):
        assert before.end_s == after.start_s
    for half in range(180):
        assert limit.at(half / 2).limit_w == limit_at(events, standing_w, half / 2)


@given(EVENTS, STANDING, EVENTS)
def test_one_more_call_never_raises_the_limit(events, standing_w, more):
    renamed = tuple(dataclasses.replace(each, event_id=f"more-{each.event_id}") for each in more)
    before, after = site_limit(events, standing_w, 0.0, 90.0), site_limit(events + renamed, standing_w, 0.0, 90.0)
    for time_s in range(90):
        old, new = before.at(time_s).limit_w, after.at(time_s).limit_w
        assert old is None or (new is not None and new <= old)


@given(EVENTS, STANDING, st.randoms(use_true_random=False))
def test_the_order_in_which_calls_came_changes_nothing(events, standing_w, chance):
    shuffled = list(events)
    chance.shuffle(shuffled)
    assert site_limit(tuple(shuffled), standing_w, 0.0, 90.0) == site_limit(events, standing_w, 0.0, 90.0)
