import math

import numpy as np
import pytest

from controller.forecast.policy import ForecastPolicy
from controller.forecast.signals import FEED, forecast, mean_over, watch_signal
from controller.model.grid import Series
from controller.model.observation import Missing
from controller.model.plan import Horizon

HORIZON = Horizon(1000.0, 60.0, 4)


def prices(starts, values, end_s):
    return Series(starts, values, end_s, "usd_per_mwh", "feed")


def test_an_interval_has_the_feeds_mean_and_the_first_one_the_value_in_force():
    known = forecast(prices((0.0, 1090.0), (40.0, 90.0), 5000.0), HORIZON, 1.0, 0.0)
    assert known.values == (40.0, 65.0, 90.0, 90.0)
    assert known.fallback is None


def test_the_last_value_persists_for_a_while_and_then_the_default_holds():
    ends = forecast(prices((0.0,), (40.0,), 1010.0), HORIZON, 1.0, stale_s=100.0)
    assert ends.values == (40.0, 40.0, 1.0, 1.0)
    assert ends.fallback is None


@pytest.mark.parametrize(
    ("signal", "value", "says"),
    [
        (Missing("feed", "refused", 0.0), 1.0, "feed is missing: refused"),
        (prices((0.0,), (40.0,), 990.0), 40.0, "ended 10 s ago; its last value persists"),
        (prices((0.0,), (40.0,), 500.0), 1.0, "ended 500 s ago; the configured value holds"),
        (prices((2000.0,), (40.0,), 3000.0), 1.0, "begins 1000 s from now"),
    ],
)
def test_what_stands_in_for_the_feed_is_told(signal, value, says):
    known = forecast(signal, HORIZON, 1.0, stale_s=400.0)
    assert known.values[0] == value
    assert says in known.fallback


def test_a_negative_price_is_a_price():
    assert forecast(prices((0.0,), (-12.0,), 5000.0), HORIZON, 1.0, 0.0).values == (-12.0,) * 4


def hours(values, first=0):
    """An hourly feed that tells its values."""
    return Series(
        tuple(3600.0 * (first + k) for k in range(len(values))),
        tuple(values),
        3600.0 * (first + len(values)),
        "usd_per_mwh",
        "feed",
    )


def followed(truth, told, steps=6):
    """State after every hour of `truth`, where `told(hour)` is the feed at that hour; and the last feed."""
    state = None
    for hour in range(len(truth)):
        state = watch_signal(state, told(hour), Horizon(3600.0 * hour, 3600.0, steps), HOW)
    return state


HOW = ForecastPolicy()
DAY = [30.0 + 20.0 * math.sin(2 * math.pi * hour / 24) for hour in range(24)]


def test_a_feed_that_tells_the_future_is_believed():
    truth = DAY * 6
    state = followed(truth[:120], lambda hour: hours(truth[hour : hour + 10], hour))
    now = Horizon(3600.0 * 120, 3600.0, 6)
    known = forecast(hours(truth[120:130], 120), now, 1.0, 0.0, (state, HOW))
    assert known.forecaster == "feed"
    assert known.values == pytest.approx(truth[120:126])


def test_a_feed_that_does_worse_than_its_present_value_is_asked_for_the_present_only():
    rng = np.random.default_rng(0)
    truth = list(50.0 + np.cumsum(rng.normal(0, 1.0, 200)))
    state = followed(truth[:120], lambda hour: hours([truth[hour], *[200.0] * 9], hour))
    now = Horizon(3600.0 * 120, 3600.0, 6)
    known = forecast(hours([truth[120], *[200.0] * 9], 120), now, 1.0, 0.0, (state, HOW))
    assert known.forecaster != "feed"
    assert known.values[0] == truth[120]
    assert max(known.values) < 100.0
    assert known.fallback is None


def test_beyond_the_feed_days_come_again():
    truth = DAY * 6
    state = followed(truth[:120], lambda hour: hours(truth[hour : hour + 2], hour))
    now = Horizon(3600.0 * 120, 3600.0, 6)
    known = forecast(hours(truth[120:122], 120), now, 1.0, 0.0, (state, HOW))
    assert known.values == pytest.approx(truth[120:126], abs=1.0)


def test_a_missing_feed_teaches_nothing_and_what_was_learnt_stays():
    truth = DAY * 6
    state = followed(truth[:48], lambda hour: hours(truth[hour : hour + 2], hour))
    missing = Missing("feed", "refused", 0.0)
    assert watch_signal(state, missing, Horizon(3600.0 * 48, 3600.0, 6), HOW) == state
    later = watch_signal(state, hours(truth[60:62], 60), Horizon(3600.0 * 60, 3600.0, 6), HOW)
    assert later.bank.last == 47


def test_a_constant_price_stays_with_its_feed():
    state = followed([40.0] * 100, lambda hour: hours([40.0] * 24, hour))
    assert state.bank.chosen == FEED


def test_ticks_within_an_interval_are_averaged():
    state = None
    for now_s, value in ((0.0, 10.0), (20.0, 20.0), (40.0, 60.0), (60.0, 5.0)):
        signal = Series((now_s,), (value,), now_s + 10.0, "usd_per_mwh", "feed")
        state = watch_signal(state, signal, Horizon(now_s, 60.0, 4), HOW)
    level = state.bank.models[1].level
    assert level == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("start_s", "end_s", "mean"),
    [(0.0, 3600.0, 10.0), (1800.0, 5400.0, 20.0), (5400.0, 9999.0, 30.0), (8000.0, 9000.0, None)],
)
def test_the_mean_is_over_what_the_series_covers(start_s, end_s, mean):
    assert mean_over(hours([10.0, 30.0]), start_s, end_s) == (None if mean is None else pytest.approx(mean))
