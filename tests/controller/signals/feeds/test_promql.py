import contextlib
import json

import aiohttp
import pytest
from hypothesis import given

from controller.clock import SystemClock
from controller.errors import SignalError
from controller.signals.feeds.fetch import HttpWeb, Pacer, WebOptions
from controller.signals.feeds.promql import PromqlFeed, parse
from tests.fakes.feed_parts import NINE_S, CannedWeb, known, sample
from tests.fakes.feed_strategies import damaged
from tests.fakes.http_stub import http_stub
from tests.fakes.prometheus import running_prometheus

SAMPLES = sample("prometheus_range.json")
FEED = PromqlFeed("http://prometheus:9090/", "grid_price_ct_kwh[30m]", "usd_per_mwh", 11.0, hold_s=600.0)


def test_each_sample_holds_until_the_next_and_the_last_for_a_while():
    told = parse(SAMPLES, NINE_S, FEED)
    assert known(told).values == pytest.approx((-5.5,))
    assert known(told).end_s == NINE_S - 60 + 600
    assert told.series(NINE_S - 100).at(NINE_S - 100) == pytest.approx(45.1)


def test_a_sample_that_is_too_old_is_nothing_and_not_a_zero():
    assert parse(SAMPLES, NINE_S, FEED).series(NINE_S + 600) is None


async def test_it_asks_the_api():
    web = CannedWeb({"http://": SAMPLES})
    await FEED.ask(web, NINE_S)
    assert (web.asked[0].url, web.asked[0].params) == (
        "http://prometheus:9090/api/v1/query",
        {"query": "grid_price_ct_kwh[30m]"},
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"status": "error", "error": "parse error"}, "parse error"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "0 series"),
        ({"status": "success", "data": {"resultType": "string", "result": "x"}}, "malformed"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [NINE_S + 900, "1"]}}, "900 s ahead"),
    ],
)
def test_what_cannot_be_used_is_told(body, says):
    with pytest.raises(SignalError, match=says):
        parse(json.dumps(body).encode(), NINE_S, FEED)


@given(damaged(SAMPLES))
def test_a_damaged_answer_is_told_and_breaks_nothing(body):
    with contextlib.suppress(SignalError):
        parse(body, NINE_S, FEED)


async def test_a_real_prometheus_is_read_with_the_times_of_its_samples(tmp_path):
    exposition = '# TYPE grid_price_ct_kwh gauge\ngrid_price_ct_kwh{zone="DE"} -1.5\n'
    async with (
        http_stub() as stub,
        running_prometheus(tmp_path, f"{stub.url}/metrics") as prometheus,
        aiohttp.ClientSession() as session,
    ):
        stub.set("/metrics", exposition)
        await prometheus.until("grid_price_ct_kwh", bool)
        clock = SystemClock()
        feed = PromqlFeed(prometheus.url, 'grid_price_ct_kwh{zone="DE"}[1m]', "usd_per_mwh", 11.0, hold_s=600.0)
        now_s = clock.wall_s()
        series = known(await feed.ask(HttpWeb(session, WebOptions(), Pacer(clock)), now_s), now_s)
    assert series.at(now_s) == pytest.approx(-16.5)
    assert 540 < series.end_s - now_s <= 600
