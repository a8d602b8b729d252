import contextlib
import json

import pytest
from hypothesis import given

from controller.errors import FeedRefused, SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.electricity_maps import CarbonIntensity, DayAheadPrice, parse_carbon, parse_price
from controller.signals.feeds.units import Money
from tests.fakes.feed_parts import NINE_S, CannedWeb, known, sample
from tests.fakes.feed_strategies import damaged

LATEST, FORECAST = sample("electricity_maps_latest.json"), sample("electricity_maps_forecast.json")
PRICE, AHEAD = sample("electricity_maps_price_latest.json"), sample("electricity_maps_price_forecast.json")
CARBON = CarbonIntensity("DE")
DAY_AHEAD = DayAheadPrice("DE", Money("EUR", 1.1))


def test_the_present_estimate_stands_before_the_forecast_that_was_made_earlier():
    series = known(parse_carbon(LATEST, FORECAST, NINE_S, CARBON))
    assert series.values == (302.0, 280.0, 251.0)
    assert series.end_s == NINE_S + 3 * 3600
    assert series.quality is SeriesQuality.FORECAST
    assert "average" in series.source


def test_the_present_alone_is_an_estimate_of_one_hour():
    series = known(parse_carbon(LATEST, None, NINE_S, CARBON))
    assert (series.values, series.end_s, series.quality) == ((302.0,), NINE_S + 3600, SeriesQuality.ESTIMATED)


async def test_a_plan_without_forecast_gives_the_present_and_says_so():
    web = CannedWeb({f"{CARBON.url}/carbon-intensity/latest": LATEST, CARBON.url: 403})
    told = await CARBON.ask(web, NINE_S)
    assert known(told).values == (302.0,)
    assert "is it in your plan" in told.remark
    assert all(ask.secret_header == "auth-token" for ask in web.asked)


async def test_another_refusal_is_none_of_the_plan():
    web = CannedWeb({f"{CARBON.url}/carbon-intensity/latest": LATEST, CARBON.url: 500})
    with pytest.raises(FeedRefused):
        await CARBON.ask(web, NINE_S)


async def test_negative_prices_are_prices_in_usd():
    web = CannedWeb({f"{CARBON.url}/price-day-ahead/latest": PRICE, CARBON.url: AHEAD})
    series = known(await DAY_AHEAD.ask(web, NINE_S))
    assert series.values == pytest.approx((-3.85, -13.2, 45.375))
    assert web.asked[1].params["start"] == "2026-03-29T09:00Z"
    assert web.asked[1].params["end"] == "2026-03-31T09:00Z"


def test_another_zone_and_another_currency_are_refused():
    with pytest.raises(SignalError, match=r"of zone 'DE', asked was 'FR'"):
        parse_carbon(LATEST, None, NINE_S, CarbonIntensity("FR"))
    body = json.dumps({**json.loads(PRICE), "unit": "GBP/MWh"}).encode()
    with pytest.raises(SignalError, match="prices come in GBP"):
        parse_price(body, None, NINE_S, DAY_AHEAD)


@given(damaged(LATEST), damaged(FORECAST))
def test_a_damaged_intensity_is_told_and_breaks_nothing(latest, forecast):
    with contextlib.suppress(SignalError):
        parse_carbon(latest, forecast, NINE_S, CARBON)


@given(damaged(AHEAD))
def test_a_damaged_price_is_told_and_breaks_nothing(ahead):
    with contextlib.suppress(SignalError):
        parse_price(PRICE, ahead, NINE_S, DAY_AHEAD)
