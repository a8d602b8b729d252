import itertools

from hypothesis import given
from hypothesis import strategies as st

from controller.grid.courses import MAX_COURSES, SAME_S, span_at, spans, stepped
from controller.model.grid import FOREVER_S

steps = st.lists(st.floats(-1e6, 1e6), max_size=8)


def test_a_clock_set_back_leaves_its_former_course_and_its_return_takes_it_away():
    assert stepped((), -7200.0) == (-7200.0,)
    assert stepped((-7200.0,), 7200.0) == ()
    assert stepped((-7200.0,), 3600.0) == (-3600.0, 3600.0)
    assert stepped((-3600.0, 3600.0), 3600.0) == ()
    assert stepped((), SAME_S / 2) == ()


def test_of_many_courses_the_oldest_and_the_latest_are_kept():
    courses = ()
    for _ in range(20):
        courses = stepped(courses, 100.0)
    assert courses == (2000.0, 300.0, 200.0, 100.0)
    assert len(courses) == MAX_COURSES


def test_spans_that_meet_are_one():
    assert spans(100.0, 200.0, (-50.0,)) == ((50.0, 200.0),)
    assert spans(100.0, 200.0, (-100.0,)) == ((0.0, 200.0),)
    assert spans(1000.0, 1200.0, (-500.0,)) == ((500.0, 700.0), (1000.0, 1200.0))
    assert spans(1000.0, FOREVER_S, (500.0,)) == ((1000.0, FOREVER_S),)
    assert [span_at(1000.0, 1200.0, (-500.0,), now_s) for now_s in (0.0, 700.0, 1200.0)] == [
        (500.0, 700.0),
        (1000.0, 1200.0),
        (1000.0, 1200.0),
    ]


@given(steps)
def test_it_holds_by_the_present_course_and_by_the_first(jumps):
    courses, shown_s = (), 0.0
    for jump_s in jumps:
        courses = stepped(courses, jump_s)
        shown_s += jump_s
    start_s, end_s = 1e7, 1e7 + 600.0
    held = spans(start_s, end_s, courses)
    assert any(a <= start_s and end_s <= b for a, b in held)
    slack_s = 1e-6 + SAME_S * len(jumps)
    assert any(a <= start_s + shown_s + slack_s and end_s + shown_s - slack_s <= b for a, b in held)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(held))
