import math
from dataclasses import replace
from datetime import UTC
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.forecast.bank import (
    MIN_SCORED,
    BankState,
    Rules,
    lasting,
    memory_intervals,
    planned,
    say,
    take_in,
)
from controller.forecast.record import MAX_RESIDUALS, ladder
from controller.forecast.scale import Scale
from controller.forecast.season import Season
from controller.forecast.smoothing import Grid, SmoothingSpec
from controller.store.decisions import to_plain
from controller.store.plain import from_plain

HOURLY = SmoothingSpec.seasonal_naive("same_time_yesterday", Season.DAY)


def rules(quantile=0.9, margin_frac=0.05, steps=6, scale=Scale.ROOT):
    return Rules(
        given=("persistence",),
        specs=(SmoothingSpec("level", None, level_gain=0.2), HOURLY),
        grid=Grid(3600.0, UTC),
        scale=scale,
        leads=ladder(steps),
        quantile=quantile,
        margin_frac=margin_frac,
        memory_intervals=memory_intervals(3600.0),
    )


def run(values, how, state=None, start=0):
    """The bank after the values of successive intervals; None is a missing one."""
    state = state or BankState.initial(how)
    for index, value in enumerate(values, start):
        if value is not None:
            state = say(take_in(state, how, index, value), how, (lasting(value),))
    return state


def days(count, seed=0):
    rng = np.random.default_rng(seed)
    return [max(0.0, 1.0 + 0.8 * math.sin(2 * math.pi * k / 24) + rng.normal(0, 0.02)) for k in range(24 * count)]


def name(state, how):
    return how.names[state.chosen]


def test_before_enough_outcomes_nothing_but_a_point_is_known():
    how = rules()
    assert planned(BankState.initial(how), how, range(1, 3), (lasting(2.0),)) == (None, None)
    assert planned(run([1.0] * 5, how), how, range(5, 7), (lasting(1.0),)) == (None, None)


def test_persistence_is_in_use_until_another_has_a_record():
    how = rules()
    assert name(run(days(1), how), how) == "persistence"


def test_days_that_repeat_are_best_foreseen_by_yesterday():
    how = rules()
    assert name(run(days(5), how), how) == "same_time_yesterday"


def test_persistence_comes_back_when_days_stop_repeating():
    how = rules()
    state = run(days(5), how)
    rng = np.random.default_rng(3)
    walk = np.abs(1.0 + np.cumsum(rng.normal(0, 0.2, 24 * 8)))
    assert name(run(list(walk), how, state, start=120), how) in ("persistence", "level")


def test_noise_around_a_level_is_best_foreseen_by_smoothing():
    how = rules()
    rng = np.random.default_rng(1)
    assert name(run(list(rng.poisson(30, 200) / 3600.0), how), how) == "level"


def test_a_small_advantage_does_not_change_the_forecaster():
    values = list(np.random.default_rng(2).poisson(30, 400) / 3600.0)
    keen, steady = rules(margin_frac=0.0), rules(margin_frac=0.5)

    def switches(how):
        state, count = BankState.initial(how), 0
        for index, value in enumerate(values):
            after = run([value], how, state, start=index)
            count += after.chosen != state.chosen
            state = after
        return count

    assert switches(steady) <= switches(keen)
    assert name(run(values, rules(margin_frac=0.5)), steady) == "persistence"


def test_those_that_are_asked_next_do_not_change_places_for_little():
    how, rng = replace(rules(), given=("persistence", "feed"), initial=1), np.random.default_rng(6)
    state, rankings = BankState.initial(how), []
    for index, count in enumerate(rng.poisson(30, 400)):
        state = take_in(state, how, index, count / 3600.0)
        state = say(state, how, (lasting(count / 3600.0), lambda _target: None))
        rankings.append(state.ranking)
    assert {ranking[0] for ranking in rankings} == {1}
    assert sum(a != b for a, b in pairwise(rankings)) < 12


def test_the_share_of_outcomes_under_the_quantile_is_the_quantile():
    how, rng = rules(quantile=0.9), np.random.default_rng(5)
    state, under, told, before = BankState.initial(how), 0, 0, 0.0
    for index, count in enumerate(rng.poisson(40, 900)):
        value = count / 3600.0
        if state.last is not None:
            (plan,) = planned(state, how, range(index, index + 1), (lasting(before),))
            if plan is not None:
                told += 1
                under += value <= plan
        state, before = run([value], how, state, start=index), value
    assert told > 800
    assert under / told == pytest.approx(0.9, abs=0.03)


def test_missing_intervals_are_neither_scored_nor_taken_for_zero():
    how = rules()
    state = run(days(4), how)
    silent = run([None] * 10 + days(1)[10:12], how, state, start=96)
    assert silent.records[0].scored <= state.records[0].scored + 2
    assert planned(silent, how, range(108, 114), (lasting(1.5),)) == pytest.approx(days(1)[12:18], abs=0.2)


def test_an_outcome_of_the_past_is_ignored():
    how = rules()
    state = run(days(2), how)
    assert take_in(state, how, 10, 99.0) == state


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_constant_series_is_planned_as_it_is(value):
    how = rules()
    state = run([value] * 100, how)
    assert planned(state, how, range(100, 106), (lasting(value),)) == pytest.approx((value,) * 6, abs=1e-9)
    assert name(state, how) == "persistence"


def test_what_one_forecaster_does_not_know_the_next_best_is_asked():
    how = rules()
    state = run(days(4), how)
    forgetful = run([None] * 5, how, state, start=96)
    assert None not in planned(forgetful, how, range(101, 140), (lasting(1.0),))
    assert state.ranking[0] == state.chosen


def test_plain_values_are_planned_without_a_quantile():
    how = rules(quantile=None, scale=Scale.PLAIN)
    state = run([-5.0, 40.0], how)
    assert planned(state, how, range(2, 4), (lasting(-7.0),)) == (-7.0, -7.0)


def test_the_state_is_plain_values_and_reads_back():
    how = rules()
    state = run(days(2), how)
    assert from_plain(BankState, to_plain(state)) == state


def test_the_state_does_not_grow_without_bound():
    how = rules()
    state = run(days(40), how)
    assert all(len(seen) <= MAX_RESIDUALS for record in state.records for seen in record.residuals)
    assert all(
        len(waiting) <= lead for record in state.records for lead, waiting in zip(how.leads, record.said, strict=True)
    )


def test_a_record_counts_from_enough_intervals_on():
    how = rules()
    state = run(days(1), how)
    assert state.records[1].scored < MIN_SCORED
    assert state.ranking == (0,)


@settings(max_examples=60)
@given(st.lists(st.one_of(st.none(), st.floats(0.0, 1e4)), min_size=1, max_size=120))
def test_whatever_comes_plans_are_finite_and_no_rate_negative(values):
    how = rules()
    state = run(values, how)
    last = next((value for value in reversed(values) if value is not None), 0.0)
    for plan in planned(state, how, range(len(values), len(values) + 6), (lasting(last),)):
        assert plan is None or (math.isfinite(plan) and plan >= 0.0)
