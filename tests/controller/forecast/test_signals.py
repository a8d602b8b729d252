import pytest

from controller.forecast.signals import forecast
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
