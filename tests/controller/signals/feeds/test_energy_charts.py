import contextlib
import json

import pytest
from hypothesis import given

from controller.errors import FeedRefused, SignalError
from controller.signals.feeds.energy_charts import EnergyCharts, parse
from controller.signals.feeds.units import Money
from tests.fakes.feed_parts import NINE_S, CannedWeb, known, sample
from tests.fakes.feed_strategies import damaged

PRICES = sample("energy_charts_price.json")
FEED = EnergyCharts("DE-LU", Money("EUR", 1.1))


def test_quarter_hours_in_usd_up_to_the_price_that_is_not_told():
    told = parse(PRICES, NINE_S, FEED)
    series = known(told)
    assert series.values == pytest.approx((45.32, 0.0, -28.325))
    assert series.end_s == NINE_S + 2700
    assert told.series(NINE_S + 2800) is None
    assert told.series(NINE_S + 3600).values == pytest.approx((13.75,))


def test_the_licence_of_the_zone_is_told():
    assert "CC BY 4.0" in parse(PRICES, NINE_S, FEED).remark


def test_a_licence_cannot_write_on_the_operators_terminal():
    body = json.dumps({**json.loads(PRICES), "license_info": "free\x1b[2J\n" + "x" * 9000}).encode()
    remark = parse(body, NINE_S, FEED).remark
    assert remark.startswith("licence: free[2J x")
    assert len(remark) < 220


async def test_it_is_asked_around_today_by_bidding_zone():
    web = CannedWeb({"https://": PRICES})
    await FEED.ask(web, NINE_S)
    assert web.asked[0].params == {"bzn": "DE-LU", "start": "2026-03-28", "end": "2026-03-31"}


@pytest.mark.parametrize(("status", "says"), [(404, "or there is no such zone"), (429, "status 429")])
async def test_days_without_prices_are_told_as_such_and_other_refusals_as_they_are(status, says):
    with pytest.raises(FeedRefused, match=says) as refused:
        await FEED.ask(CannedWeb({"https://": status}), NINE_S)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"price": [1.0]}, "5 times for 1 prices"),
        ({"unit": None}, "unit is None"),
        ({"unit": "DKK / MWh"}, "prices come in DKK"),
        ({"unix_seconds": [], "price": []}, "holds no interval"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(change, says):
    with pytest.raises(SignalError, match=says):
        parse(json.dumps({**json.loads(PRICES), **change}).encode(), NINE_S, FEED)


@given(damaged(PRICES))
def test_a_damaged_answer_is_told_and_breaks_nothing(body):
    with contextlib.suppress(SignalError):
        parse(body, NINE_S, FEED)
