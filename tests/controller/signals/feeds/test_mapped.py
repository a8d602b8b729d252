import contextlib
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from controller.errors import SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.mapped import MappedFeed, Mapping, parse
from tests.fakes.feed_parts import NINE_S, CannedWeb, known, sample, utc_s
from tests.fakes.feed_strategies import damaged

PRICES, RATES = sample("mapped_prices.csv"), sample("mapped_rates.json")
CSV = Mapping("csv", "start", "price", zone=ZoneInfo("Europe/Berlin"), delimiter=";")
JSON = Mapping("json", "t", "rate.g", rows="out", issued_at="meta.generated", times="unix_ms", step_s=300.0)
ONE_S = utc_s("2026-10-24T23:00+00:00")


def feed(mapping: Mapping, factor: float = 1.0) -> MappedFeed:
    return MappedFeed("https://data.example/x.json?key=secret", mapping, "usd_per_mwh", factor, SeriesQuality.FORECAST)


def test_a_local_clock_that_was_set_back_gives_four_hours_in_a_row():
    series = known(parse(PRICES, ONE_S, feed(CSV)), ONE_S)
    assert series.values == (50.0, 40.0, -30.0, 20.0)
    assert series.end_s == ONE_S + 4 * 3600
    assert series.quality is SeriesQuality.FORECAST


def test_the_same_newest_first():
    lines = PRICES.decode().splitlines()
    body = "\n".join([lines[0], *reversed(lines[1:])]).encode()
    assert known(parse(body, ONE_S, feed(CSV)), ONE_S).values == (50.0, 40.0, -30.0, 20.0)


def test_times_without_a_zone_need_one_to_be_configured():
    with pytest.raises(SignalError, match="tells no time zone; set timezone"):
        parse(PRICES, ONE_S, feed(replace(CSV, zone=None)))


def test_json_by_paths_with_a_value_that_is_not_told():
    told = parse(RATES, NINE_S, feed(JSON, 2.0))
    assert known(told).values == (840.0, 800.0)
    assert known(told).issued_at_s == NINE_S - 600
    assert told.series(NINE_S + 700) is None
    assert told.series(NINE_S + 900).values == (760.0,)


def test_parallel_lists_and_ends():
    body = b'{"s": [1774774800, 1774775700], "e": [1774775000, 1774776600], "v": ["1.5", 2]}'
    told = parse(body, NINE_S, feed(Mapping("json", "s", "v", end="e", rows=None, times="unix_s")))
    assert known(told).end_s == NINE_S + 200
    assert told.series(NINE_S + 900).values == (2.0,)


def test_a_list_as_the_whole_answer_with_offsets():
    body = b'[{"a": "2026-03-29T11:00:00+02:00", "p": [{"x": 7}]}]'
    assert known(parse(body, NINE_S, feed(Mapping("json", "a", "p.0.x")))).values == (7.0,)


@pytest.mark.parametrize(
    ("body", "mapping", "says"),
    [
        (b"a;b\n1;2\n", CSV, "no column 'start'; the file has 'a', 'b'"),
        (b"start;price\n2026-10-25T01:00;much\n", CSV, "price is 'much'"),
        (b"start;price\n2026-10-25T01:00\n", CSV, "holds no interval"),
        (b"start;price\n", CSV, "holds no interval"),
        (b"", CSV, "empty"),
        (b"{}", JSON, "nothing at 'out'"),
        (b'{"out": {}, "meta": {"generated": 0}}', JSON, "not a list"),
        (b'{"s": [1], "v": []}', Mapping("json", "s", "v", rows=None, times="unix_s"), "different lengths"),
        (b"<html>log in</html>", JSON, "HTML"),
    ],
)
def test_what_does_not_fit_the_mapping_is_told(body, mapping, says):
    with pytest.raises(SignalError, match=says):
        parse(body, ONE_S, feed(mapping))


async def test_the_query_of_the_address_is_asked_and_not_shown():
    web = CannedWeb({"https://": RATES})
    one = feed(JSON)
    await one.ask(web, NINE_S)
    assert web.asked[0].url.endswith("?key=secret")
    assert "secret" not in one.source


@given(damaged(RATES))
def test_damaged_json_is_told_and_breaks_nothing(body):
    with contextlib.suppress(SignalError):
        parse(body, NINE_S, feed(JSON))


@given(damaged(PRICES))
def test_damaged_csv_is_told_and_breaks_nothing(body):
    with contextlib.suppress(SignalError):
        parse(body, NINE_S, feed(CSV))
