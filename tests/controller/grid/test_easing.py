import math

import pytest

from controller.errors import CallRefused
from controller.grid.easing import MAX_EASINGS, Easing, check_floor, eased, ended, pieces, present, raised
from controller.model.grid import GridEvent
from controller.model.programme import Programme

EVENT = GridEvent("e", 12_000.0, 1000.0, 2000.0, 900.0)
HELD = (Easing(30_000.0, "a launch", 1200.0),)


@pytest.mark.parametrize("floor_w", [0.0, -1.0, math.nan, math.inf, 999.0, 50_001.0])
def test_a_floor_that_is_no_power_or_not_sane_is_refused(floor_w):
    with pytest.raises(CallRefused, match=r"down to .* W, which is not above 0 and within 1000 to 50000 W") as caught:
        check_floor("c", floor_w, Programme("dr", least_w=1000.0, most_w=50_000.0))
    assert caught.value.cause == "out_of_bounds"


def test_a_floor_within_the_bounds_is_taken():
    for floor_w in (1000.0, 50_000.0):
        check_floor("c", floor_w, Programme("dr", least_w=1000.0, most_w=50_000.0))


def test_another_choice_ends_the_one_before_it_and_the_same_says_nothing_new():
    assert eased((), 30_000.0, "a launch", 1200.0) == HELD
    assert eased(HELD, 30_000.0, "a launch", 1300.0) is HELD
    other = eased(HELD, 25_000.0, "a launch", 1300.0)
    assert [(each.floor_w, each.from_s, each.until_s) for each in other] == [
        (30_000.0, 1200.0, 1300.0),
        (25_000.0, 1300.0, None),
    ]
    assert present(other) == other[-1]
    assert present(ended(other, 1400.0)) is None
    assert ended((), 5.0) == ()


def test_a_choice_that_never_held_is_forgotten_also_where_the_clock_was_set_back():
    assert eased(HELD, 25_000.0, "typo", 1200.0) == (Easing(25_000.0, "typo", 1200.0),)
    assert ended(HELD, 1100.0) == ()


def test_so_many_choices_are_remembered():
    easings = ()
    for n in range(3 * MAX_EASINGS):
        easings = eased(easings, 20_000.0 + n, "again", 1000.0 + n)
    assert len(easings) == MAX_EASINGS
    assert present(easings).floor_w == 20_000.0 + 3 * MAX_EASINGS - 1


def test_a_limit_is_raised_by_what_holds_and_tells_what_was_asked_for():
    limit = raised(EVENT, HELD)
    assert (limit.limit_w, limit.asked_limit_w, limit.due_w) == (30_000.0, 12_000.0, 12_000.0)
    assert raised(EVENT, ()) is EVENT
    assert (EVENT.asked_limit_w, EVENT.due_w) == (None, 12_000.0)


def test_a_limit_that_is_no_lower_stays_as_it_is():
    assert raised(EVENT, (Easing(12_000.0, "as asked", 1200.0),)) is EVENT


def test_what_was_over_before_the_choice_stays_as_it_was():
    assert raised(EVENT, (Easing(30_000.0, "late", 2000.0),)) is EVENT
    assert raised(EVENT, (Easing(30_000.0, "taken back", 1200.0, 1300.0),)) is EVENT
    assert raised(EVENT, (Easing(30_000.0, "then", 1200.0, 2000.0),)).limit_w == 30_000.0


def test_each_time_of_a_limit_has_what_held_then():
    easings = (*ended(HELD, 1300.0), Easing(10_000.0, "nothing", 1400.0, 1500.0), Easing(20_000.0, "less", 1800.0))
    told = [(each.start_s, each.end_s, each.limit_w, each.due_w) for each in pieces(raised(EVENT, easings), easings)]
    assert told == [
        (1000.0, 1200.0, 12_000.0, 12_000.0),
        (1200.0, 1300.0, 30_000.0, 12_000.0),
        (1300.0, 1400.0, 12_000.0, 12_000.0),
        (1400.0, 1500.0, 12_000.0, 12_000.0),
        (1500.0, 1800.0, 12_000.0, 12_000.0),
        (1800.0, 2000.0, 20_000.0, 12_000.0),
    ]
    assert pieces(EVENT, ()) == (EVENT,)
