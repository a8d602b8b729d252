import math
from datetime import UTC

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.forecast.season import Season
from controller.forecast.smoothing import MAX_SLOTS, Grid, SmoothingSpec, SmoothingState, ahead, learn

HOURS = Grid(3600.0, UTC)
LEVEL = SmoothingSpec("level", None, level_gain=0.2)
YESTERDAY = SmoothingSpec.seasonal_naive("yesterday", Season.DAY)
HOLT_WINTERS = SmoothingSpec.holt_winters("holt_winters", Season.DAY)
DAY = [10.0 + 5.0 * math.sin(2 * math.pi * hour / 24) for hour in range(24)]


def taught(spec, values, start=0):
    """State after (interval, value) pairs, or values of successive intervals; None is a gap."""
    state = SmoothingState()
    for index, value in enumerate(values, start):
        if value is not None:
            state = learn(spec, state, HOURS, index, value)
    return state


def test_nothing_is_foreseen_before_anything_was_seen():
    assert ahead(HOLT_WINTERS, SmoothingState(), HOURS, 5) is None


def test_one_sample_is_the_level():
    assert ahead(LEVEL, taught(LEVEL, [7.0]), HOURS, 9) == pytest.approx(7.0)


def test_a_slot_never_seen_is_not_foreseen():
    state = taught(YESTERDAY, DAY[:3])
    assert ahead(YESTERDAY, state, HOURS, 24) == pytest.approx(DAY[0])
    assert ahead(YESTERDAY, state, HOURS, 3) is None


@pytest.mark.parametrize("spec", [YESTERDAY, HOLT_WINTERS])
def test_days_that_repeat_are_foreseen_exactly(spec):
    state = taught(spec, DAY * 3)
    assert [ahead(spec, state, HOURS, 72 + hour) for hour in range(24)] == pytest.approx(DAY)


@pytest.mark.parametrize("spec", [LEVEL, YESTERDAY, HOLT_WINTERS])
@pytest.mark.parametrize("value", [0.0, 3.0, -40.0])
def test_a_constant_series_stays_constant(spec, value):
    state = taught(spec, [value] * 60)
    assert ahead(spec, state, HOURS, 61) == pytest.approx(value)


def test_a_gap_changes_neither_level_nor_season():
    whole, broken = taught(HOLT_WINTERS, DAY * 3), taught(HOLT_WINTERS, [*DAY, *[None] * 24, *DAY])
    assert broken.level == pytest.approx(whole.level)
    assert broken.season == pytest.approx(whole.season)


def test_an_interval_missed_yesterday_is_as_the_day_before():
    state = taught(YESTERDAY, [*DAY, *DAY[:5], None, *DAY[6:]])
    assert ahead(YESTERDAY, state, HOURS, 48 + 5) == pytest.approx(DAY[5])


def test_a_surprise_fades():
    state = taught(HOLT_WINTERS, [*DAY * 3, DAY[0] + 4.0])
    surplus = [ahead(HOLT_WINTERS, state, HOURS, 73 + h) - DAY[(1 + h) % 24] for h in range(20)]
    assert surplus[0] > 2.5
    assert surplus == sorted(surplus, reverse=True)
    assert surplus[-1] < 0.6


def test_holt_winters_agrees_with_its_textbook_form():
    # l' = l + α·(x - s - l), s' = s + γ·(x - l - s): the additive form without trend, e = x - l - s.
    spec = SmoothingSpec("textbook", Season.DAY, level_gain=0.1, season_gain=0.3)
    rng = np.random.default_rng(1)
    series = [DAY[k % 24] + rng.normal() for k in range(240)]
    level, season = series[0], [x - series[0] for x in series[:24]]
    for k in range(24, 240):
        error = series[k] - level - season[k % 24]
        level, season[k % 24] = level + 0.1 * error, season[k % 24] + 0.3 * error
    state = taught(spec, series)
    assert ahead(spec, state, HOURS, 245) == pytest.approx(level + season[5])


def test_seasons_too_long_or_of_one_slot_are_left_out():
    assert not SmoothingSpec.seasonal_naive("week", Season.WEEK).fits(10.0)
    assert SmoothingSpec.seasonal_naive("week", Season.WEEK).fits(60.0)
    assert not YESTERDAY.fits(86_400.0)
    assert LEVEL.fits(0.1)


@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=80),
    spec=st.sampled_from([LEVEL, YESTERDAY, HOLT_WINTERS]),
)
def test_what_is_learnt_is_finite_and_bounded(values, spec):
    state = taught(spec, values)
    told = [ahead(spec, state, HOURS, len(values) + h) for h in range(30)]
    assert all(value is None or math.isfinite(value) for value in told)
    assert len(state.season) <= MAX_SLOTS
