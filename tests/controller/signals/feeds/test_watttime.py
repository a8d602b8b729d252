import contextlib
import json

import pytest
from hypothesis import given

from controller.errors import FeedRefused, SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.watttime import TOKEN_S, WattTime, parse
from tests.fakes.feed_parts import NINE_S, CannedWeb, known, sample, utc_s
from tests.fakes.feed_strategies import damaged

FORECAST = sample("watttime_forecast.json")
LOGIN = b'{"token": "made-up-token"}'


def feed() -> WattTime:
    return WattTime("CAISO_NORTH", "operator")


def test_pounds_become_kilograms_and_the_forecast_says_when_it_was_made():
    series = known(parse(FORECAST, NINE_S, feed()))
    assert series.values == pytest.approx((870.5 * 0.45359237, 860 * 0.45359237, 0.0, 912 * 0.45359237))
    assert series.at(NINE_S) == pytest.approx(394.85, abs=0.01)
    assert series.end_s == NINE_S + 1200
    assert series.unit == "kg_per_mwh"
    assert series.issued_at_s == utc_s("2026-03-29T08:59:00+00:00")
    assert series.quality is SeriesQuality.FORECAST
    assert "marginal" in series.source


def test_an_average_rate_is_told_to_be_one():
    assert "average" in WattTime("CAISO_NORTH", "operator", "co2_aoer").source


def test_the_percentile_of_the_index_is_not_taken_for_a_rate():
    with pytest.raises(SignalError, match="ranks the present rate"):
        parse(sample("watttime_index.json"), NINE_S, feed())


@pytest.mark.parametrize(
    ("key", "value"), [("region", "PJM_DC"), ("signal_type", "health_damage"), ("units", "GBP/MWh")]
)
def test_an_answer_of_something_else_is_refused(key, value):
    answer = json.loads(FORECAST)
    answer["meta"][key] = value
    with pytest.raises(SignalError, match=value):
        parse(json.dumps(answer).encode(), NINE_S, feed())


async def test_a_token_is_used_until_its_end_and_then_renewed():
    web = CannedWeb({"https://api.watttime.org/login": LOGIN, "https://api.watttime.org/v3": FORECAST})
    one = feed()
    await one.ask(web, NINE_S)
    await one.ask(web, NINE_S + 600)
    assert [ask.url.rpartition("/")[2] for ask in web.asked] == ["login", "forecast", "forecast"]
    assert web.asked[1].headers == {"Authorization": "Bearer made-up-token"}
    assert web.asked[0].user == "operator"
    await one.ask(web, NINE_S + TOKEN_S)
    assert [ask.url.rpartition("/")[2] for ask in web.asked][3:] == ["login", "forecast"]
    assert "made-up-token" in web.hidden


async def test_a_token_that_is_refused_early_is_renewed_once():
    web = CannedWeb({"https://api.watttime.org/login": LOGIN, "https://api.watttime.org/v3": [FORECAST, 401, FORECAST]})
    one = feed()
    await one.ask(web, NINE_S)
    assert known(await one.ask(web, NINE_S + 60))
    assert len(web.asked) == 5


async def test_what_is_refused_right_after_the_login_is_not_tried_again():
    web = CannedWeb({"https://api.watttime.org/login": LOGIN, "https://api.watttime.org/v3": 401})
    with pytest.raises(FeedRefused):
        await feed().ask(web, NINE_S)
    assert len(web.asked) == 2


async def test_an_account_without_a_subscription_is_told_what_it_may_read():
    web = CannedWeb({"https://api.watttime.org/login": LOGIN, "https://api.watttime.org/v3": 403})
    with pytest.raises(FeedRefused, match="without a subscription only CAISO_NORTH"):
        await feed().ask(web, NINE_S)


@pytest.mark.parametrize("answer", [b"{}", b'{"token": 5}', b'{"token": "a\\nb"}', b"<html>"])
async def test_a_login_without_a_token_is_told(answer):
    with pytest.raises(SignalError):
        await feed().ask(CannedWeb({"https://": answer}), NINE_S)


@given(damaged(FORECAST))
def test_a_damaged_answer_is_told_and_breaks_nothing(body):
    with contextlib.suppress(SignalError):
        parse(body, NINE_S, feed())
