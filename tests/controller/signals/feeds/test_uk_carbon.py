import contextlib

import pytest
from hypothesis import given

from controller.errors import SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.uk_carbon import UkCarbon, parse
from tests.fakes.feed_parts import NINE_S, CannedWeb, known, sample
from tests.fakes.feed_strategies import damaged

AHEAD = sample("uk_carbon_fw48h.json")
GB = UkCarbon()


def test_what_has_not_been_has_its_forecast_and_not_a_zero():
    told = parse(AHEAD, NINE_S, GB)
    series = known(told)
    assert series.values == (140.0, 120.0)
    assert series.quality is SeriesQuality.FORECAST


def test_the_half_hour_that_ends_now_is_not_the_one_in_force():
    told = parse(AHEAD, NINE_S, GB)
    assert told.series(NINE_S - 1).at(NINE_S - 1) == 149.0
    assert known(told).starts_s[0] == NINE_S


def test_a_half_hour_that_is_left_out_is_a_gap():
    told = parse(AHEAD, NINE_S, GB)
    assert told.gap(NINE_S) == (NINE_S + 3600, NINE_S + 5400)
    assert told.series(NINE_S + 3700) is None


def test_a_region_is_told_one_level_deeper():
    series = known(parse(sample("uk_carbon_regional.json"), NINE_S, UkCarbon(region=13)))
    assert series.values == (101.0,)
    assert "region 13 (average)" in series.source


@pytest.mark.parametrize(
    ("feed", "path"),
    [
        (GB, "intensity/2026-03-29T09:01Z/fw48h"),
        (UkCarbon(region=13), "regional/intensity/2026-03-29T09:01Z/fw48h/regionid/13"),
        (UkCarbon(postcode="SW1"), "regional/intensity/2026-03-29T09:01Z/fw48h/postcode/SW1"),
    ],
)
async def test_it_is_asked_for_the_half_hour_in_force(feed, path):
    web = CannedWeb({"https://": sample("uk_carbon_fw48h.json")})
    await feed.ask(web, NINE_S + 700)
    assert web.asked[0].url == f"https://api.carbonintensity.org.uk/{path}"


@given(damaged(AHEAD))
def test_a_damaged_answer_is_told_and_breaks_nothing(body):
    with contextlib.suppress(SignalError):
        parse(body, NINE_S, GB)
