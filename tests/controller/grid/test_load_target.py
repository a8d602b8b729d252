import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.grid.load_target import (
    MAX_TARGETS,
    Following,
    Target,
    as_call,
    current,
    end_of,
    following,
    later_than,
    replaced,
    schedule_of,
    spliced,
    upcoming,
)
from controller.grid.resolve import event_ids
from controller.model.call import Asked, CallState
from controller.model.grid import FOREVER_S

NOW_S = 1000.0


def target(start_s, end_s, value_w, name=None):
    return Target(float(start_s), float(end_s), value_w, name)


def at(schedule, time_s):
    found = current(schedule, time_s)
    return None if found is None else found.value_w


spans = st.tuples(st.integers(900, 1100), st.integers(1, 120), st.sampled_from([None, 5e3, 6e3, 7e3]))


@given(st.lists(st.tuples(spans, st.integers(0, 20)), max_size=12), st.integers(0, 300))
def test_the_latest_target_wins_over_what_it_covers_and_null_gives_the_default_back(changes, ahead):
    now_s, schedule, wanted = NOW_S, (), {}
    for (start, length, value_w), pause in changes:
        now_s += pause
        if start + length <= now_s:
            continue
        schedule = spliced(schedule, target(start, start + length, value_w), now_s)
        wanted |= dict.fromkeys(range(max(start, int(now_s)), start + length), value_w)
    second = int(now_s) + ahead
    assert at(schedule, second) == wanted.get(second)
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(schedule))
    call = as_call(schedule, "operator", now_s, now_s)
    assert schedule_of(call, CallState.ACTIVE, now_s) == tuple(each for each in schedule if each.end_s > now_s)


def test_a_target_set_again_keeps_its_begin_so_that_its_ramp_goes_on():
    first = spliced((), target(NOW_S, FOREVER_S, 9e3, "a"), NOW_S)
    again = spliced(first, target(NOW_S, FOREVER_S, 9e3, "b"), NOW_S + 20)
    assert again == (target(NOW_S, FOREVER_S, 9e3, "b"),)
    other = spliced(first, target(NOW_S, FOREVER_S, 8e3), NOW_S + 20)
    assert other[0].start_s == NOW_S + 20


def test_targets_to_come_stay_as_they_were_written_though_they_have_the_same_value():
    held = spliced((), target(NOW_S + 10, NOW_S + 20, 9e3, "a"), NOW_S)
    held = spliced(held, target(NOW_S + 20, NOW_S + 30, 9e3, "b"), NOW_S)
    assert [each.correlation_id for each in held] == ["a", "b"]
    assert (current(held, NOW_S), upcoming(held, NOW_S)) == (None, held[0])


@pytest.mark.parametrize(("start_s", "end_s"), [(900, 950), (1010, 1010), (1010, 1005)])
def test_a_target_without_time_left_is_refused(start_s, end_s):
    with pytest.raises(ValueError, match="write a later end"):
        spliced((), target(start_s, end_s, 9e3), NOW_S)


def test_a_schedule_replaces_another_and_lets_go_on_what_it_repeats():
    held = spliced((), target(NOW_S - 60, FOREVER_S, 9e3), NOW_S - 60)
    new = replaced(held, (target(NOW_S, FOREVER_S, 9e3), target(NOW_S + 60, NOW_S + 90, 5e3)), NOW_S)
    assert [(each.start_s, each.value_w) for each in new] == [(NOW_S - 60, 9e3), (NOW_S + 60, 5e3), (NOW_S + 90, 9e3)]
    assert replaced(held, (target(NOW_S, NOW_S + 60, 8e3),), NOW_S)[0].start_s == NOW_S
    assert replaced(held, (), NOW_S) == ()


def test_a_call_asks_for_absolute_limits_and_an_empty_schedule_for_none():
    call = as_call((target(NOW_S, FOREVER_S, 9e3, "x"),), "dr", NOW_S, NOW_S + 1)
    assert (call.source, call.call_id, call.programme, call.modified_s) == ("load_target", "load-target", "dr", 1001.0)
    assert [(i.commitment.asked, i.commitment.value) for i in call.intervals] == [(Asked.AT_MOST_W, 9e3)]
    assert as_call((), "dr", NOW_S, NOW_S) is None
    many = tuple(target(NOW_S + n, NOW_S + n + 1, 9e3) for n in range(MAX_TARGETS + 1))
    with pytest.raises(ValueError, match="257 targets"):
        as_call(many, "dr", NOW_S, NOW_S)


@pytest.mark.parametrize("state", [CallState.ENDED, CallState.CANCELLED, None])
def test_of_a_call_that_is_over_nothing_is_left(state):
    call = as_call((target(NOW_S, FOREVER_S, 9e3),), "dr", NOW_S, NOW_S)
    assert schedule_of(call, state, NOW_S) == ()
    assert len(schedule_of(call, CallState.OPTED_OUT, NOW_S)) == 1


@pytest.mark.parametrize(("before_s", "now_s"), [(10.0, 20.0), (20.0, 20.0), (30.0, 20.0), (1.8e9, 1.7e9)])
def test_changes_are_told_apart_however_the_clock_is_set(before_s, now_s):
    assert later_than(before_s, now_s) > before_s


@pytest.mark.parametrize(
    ("power_w", "after_s", "told"),
    [
        (9e3, 0, Following.FOLLOWING),
        (9.1e3, 29.9, Following.RAMPING),
        (9.1e3, 30, Following.OVER),
        (None, 0, Following.UNKNOWN),
    ],
)
def test_how_the_site_stands(power_w, after_s, told):
    held = target(NOW_S, FOREVER_S, 9e3)
    assert following(held, power_w, 30.0, NOW_S + after_s, is_opted_out=False) is told
    assert following(held, power_w, 30.0, NOW_S + after_s, is_opted_out=True) is Following.OPTED_OUT
    assert following(None, power_w, 30.0, NOW_S, is_opted_out=True) is Following.NO_TARGET


def test_no_end_is_told_as_none():
    assert (end_of(FOREVER_S), end_of(5.0)) == (None, 5.0)


def test_ids_stay_as_other_targets_come_and_go():
    def ids(schedule):
        return dict(zip(event_ids(as_call(schedule, "operator", NOW_S, NOW_S)), schedule, strict=True))

    first = spliced((), target(NOW_S, NOW_S + 100, 9e3), NOW_S)
    both = spliced(first, target(NOW_S + 100, FOREVER_S, 7e3), NOW_S + 1)
    assert set(ids(first)) < set(ids(both))
    earlier = spliced(both, target(NOW_S + 20, NOW_S + 40, 5e3), NOW_S + 2)
    kept = ids(earlier)
    assert {name: kept[name].value_w for name in ids(both)} == {name: each.value_w for name, each in ids(both).items()}
    (last,) = schedule_of(as_call(both, "operator", NOW_S, NOW_S), CallState.ACTIVE, NOW_S + 100)
    assert set(ids((last,))) < set(ids(both))
    assert "load_target/load-target#1100000" in ids((last,))


def test_a_schedule_is_told_by_the_course_of_the_clock_that_holds():
    call = as_call(spliced((), target(NOW_S, NOW_S + 100, 9e3), NOW_S), "operator", NOW_S, NOW_S)
    assert schedule_of(call, CallState.ACTIVE, NOW_S + 7250, (7200.0,)) == (target(NOW_S + 7200, NOW_S + 7300, 9e3),)


def test_a_target_is_followed_down_to_a_floor():
    held = target(NOW_S, FOREVER_S, 9e3)
    assert following(held, 9.1e3, 0.0, NOW_S + 9, is_opted_out=False, floor_w=9.1e3) is Following.FOLLOWING
    assert following(held, 9.2e3, 0.0, NOW_S + 9, is_opted_out=False, floor_w=9.1e3) is Following.OVER
