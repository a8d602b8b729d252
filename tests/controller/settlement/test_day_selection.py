from hypothesis import given
from hypothesis import strategies as st

from controller.model.programme import BaselineMethod, BaselineRule
from controller.settlement.day_selection import LOW_USE_FRAC, asked_days, low_use_days, needed_days, selected_days
from controller.settlement.like_days import DayKind

PJM = BaselineRule(BaselineMethod.HIGH_FOUR_OF_FIVE)
USES = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=12)


def test_five_weekdays_and_three_saturdays_or_sundays_are_looked_for_and_one_less_will_do():
    asked = {kind: (asked_days(PJM, kind), needed_days(PJM, kind)) for kind in DayKind}
    assert asked[DayKind.WORKING] == (5, 4)
    assert asked[DayKind.SATURDAY] == asked[DayKind.SUNDAY] == (3, 2)


def test_other_rules_have_the_numbers_of_the_contract():
    rule = BaselineRule(BaselineMethod.TEN_OF_TEN, of_days=8, of_off_days=4, least_days=5)
    assert (asked_days(rule, DayKind.WORKING), needed_days(rule, DayKind.WORKING)) == (8, 5)
    assert (asked_days(rule, DayKind.OFF), needed_days(rule, DayKind.OFF)) == (4, 4)


def test_the_lowest_of_five_is_left_out_and_of_four_none():
    used = selected_days(PJM, DayKind.WORKING, [50.0, 20.0, 40.0, 10.0, 30.0], lambda day: (day, 0.0))
    assert used == (50.0, 40.0, 30.0, 20.0)
    assert selected_days(PJM, DayKind.WORKING, [50.0, 20.0, 40.0, 10.0], lambda day: (day, 0.0))[-1] == 10.0
    assert selected_days(PJM, DayKind.SATURDAY, [50.0, 20.0, 40.0], lambda day: (day, 0.0)) == (50.0, 40.0)


def test_a_day_under_a_quarter_of_the_mean_is_of_low_use():
    """Mean of 100, 100, 100, 100, 20 is 84, a quarter of it 21."""
    assert low_use_days(PJM, [100.0, 100.0, 100.0, 100.0, 20.0], lambda day: day) == [20.0]
    assert low_use_days(PJM, [100.0, 100.0, 100.0, 100.0, 22.0], lambda day: day) == []


def test_days_that_hid_behind_a_lower_one_are_found_too():
    """Mean of 1000, 1000, 190, 0 is 547.5; without the 0 it is 730 with a quarter of 182.5: 180 is less."""
    assert low_use_days(PJM, [1000.0, 1000.0, 190.0, 0.0], lambda day: day) == [0.0]
    assert low_use_days(PJM, [1000.0, 1000.0, 180.0, 0.0], lambda day: day) == [0.0, 180.0]


def test_no_other_rule_asks_for_use():
    rule = BaselineRule(BaselineMethod.TEN_OF_TEN)
    assert low_use_days(rule, [100.0, 1.0], lambda day: day) == []


@given(USES)
def test_what_is_left_draws_a_quarter_of_its_own_mean_at_least(uses):
    low = low_use_days(PJM, uses, lambda use: use)
    kept = [use for use in uses if use not in low]
    assert kept
    assert min(kept) >= LOW_USE_FRAC * sum(kept) / len(kept)


@given(USES, st.sampled_from(list(BaselineMethod)), st.sampled_from(list(DayKind)))
def test_days_are_used_once_and_none_is_made_up(uses, method, kind):
    days = list(enumerate(uses))
    used = selected_days(BaselineRule(method), kind, days, lambda day: (day[1], float(day[0])))
    assert len(set(used)) == len(used) > 0
    assert set(used) <= set(days)
