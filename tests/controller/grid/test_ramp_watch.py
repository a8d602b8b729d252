import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.grid.ramp_watch import SETTLE_S, Kind, Look, Watch, watch

DOWN_STARTED, DOWN_ENDED, UP_STARTED, UP_ENDED = (
    Kind.DOWN_STARTED,
    Kind.DOWN_ENDED,
    Kind.UP_STARTED,
    Kind.UP_ENDED,
)


def play(looks, state=None):
    """All that is told over looks of (time, limit, due, power), after a first one without a limit."""
    state, out = state or Watch(None), []
    for look in looks:
        state, told = watch(state, Look(*look))
        out += [(event.at_s, event.kind, event.met) for event in told]
    return out


def test_the_first_look_of_all_tells_nothing():
    assert watch(None, Look(0.0, 9e3, 30.0, 12e3)) == (Watch(9e3), ())


def test_down_to_a_limit_and_up_again():
    looks = [(0, 9e3, 30, 12e3), (10, 9e3, 30, 10e3), (20, 9e3, 30, 9e3), (30, 9e3, 30, 8.9e3)]
    looks += [(100, None, None, 8.9e3), (110, None, None, 10e3), (120, None, None, 12e3)]
    looks += [(120 + SETTLE_S - 1, None, None, 12e3), (120 + SETTLE_S, None, None, 12e3)]
    assert play(looks) == [
        (0, DOWN_STARTED, None),
        (20, DOWN_ENDED, True),
        (100, UP_STARTED, None),
        (120 + SETTLE_S, UP_ENDED, None),
    ]


def test_a_limit_that_is_not_met_in_time_ends_its_ramp_unmet_once():
    looks = [(0, 9e3, 30, 12e3), (29, 9e3, 30, 10e3), (30, 9e3, 30, 9.1e3), (60, 9e3, 30, 9.1e3)]
    assert play(looks) == [(0, DOWN_STARTED, None), (30, DOWN_ENDED, False)]


def test_without_power_it_is_not_said_whether_the_limit_was_met():
    looks = [(0, 9e3, 30, None), (29, 9e3, 30, None), (30, 9e3, 30, None)]
    assert play(looks) == [(0, DOWN_STARTED, None), (30, DOWN_ENDED, None)]
    ups = [(0, None, None, None), (SETTLE_S - 1, None, None, None), (SETTLE_S, None, None, None)]
    assert play(ups, Watch(9e3)) == [(0, UP_STARTED, None), (SETTLE_S, UP_ENDED, None)]


def test_a_site_below_the_limit_is_down_at_once():
    assert play([(0, 9e3, 30, 5e3)]) == [(0, DOWN_STARTED, None), (0, DOWN_ENDED, True)]


def test_a_ramp_up_ends_near_its_limit():
    assert play([(0, 10e3, None, 5e3), (5, 10e3, None, 9.4e3), (9, 10e3, None, 9.5e3)], Watch(5e3)) == [
        (0, UP_STARTED, None),
        (9, UP_ENDED, None),
    ]


def test_another_limit_supersedes_a_ramp():
    state, told = watch(Watch(None), Look(0.0, 9e3, 30.0, 12e3))
    _, told = watch(state, Look(5.0, 7e3, 35.0, 8e3))
    assert [(event.kind, event.limit_w, event.met, event.is_superseded) for event in told] == [
        (DOWN_ENDED, 9e3, True, True),
        (DOWN_STARTED, 7e3, None, False),
    ]
    assert told[1].due_s == 35.0


@pytest.mark.parametrize("due_s", [None, -5.0])
def test_a_limit_that_is_due_at_once_is_judged_at_once(due_s):
    assert play([(0, 9e3, due_s, 12e3)]) == [(0, DOWN_STARTED, None), (0, DOWN_ENDED, False)]


powers = st.one_of(st.none(), st.floats(0, 2e4))
limits = st.sampled_from([None, 5e3, 9e3, 1.2e4])


@given(st.lists(st.tuples(st.floats(0.1, 40.0), limits, powers), max_size=40))
def test_starts_and_ends_alternate_and_every_ramp_ends(steps):
    now_s, state, open_kinds = 0.0, Watch(None), []
    for pause_s, limit_w, power_w in steps:
        now_s += pause_s
        state, told = watch(state, Look(now_s, limit_w, now_s + 30.0, power_w))
        for event in told:
            if event.kind in (DOWN_STARTED, UP_STARTED):
                assert not open_kinds
                open_kinds.append(event.kind)
            else:
                assert event.kind is (DOWN_ENDED if open_kinds.pop() is DOWN_STARTED else UP_ENDED)
    for _ in range(2):
        now_s += SETTLE_S + 40.0
        state, told = watch(state, Look(now_s, state.limit_w, now_s, 0.0))
    assert state.direction is None
