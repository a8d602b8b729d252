"""Answers of publishers of prices and carbon: any bytes are an outlook whose series can be read, or a told fault."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from controller.errors import SignalError
from controller.signals.feeds import electricity_maps, energy_charts, entsoe, mapped, octopus_agile, promql, uk_carbon
from controller.signals.feeds import watttime as watttime_feed
from controller.signals.feeds.outlook import Outlook
from controller.signals.feeds.units import Money
from tests.fakes.feed_parts import NINE_S, sample

EUR, TARIFF = Money("EUR", 1.1), "E-1R-AGILE-24-10-01-C"
WATTTIME = watttime_feed.WattTime("CAISO_NORTH", "operator")
INTENSITY = electricity_maps.CarbonIntensity("DE")
DAY_AHEAD = electricity_maps.DayAheadPrice("DE", EUR)
CHARTS, ENTSOE = energy_charts.EnergyCharts("DE-LU", EUR), entsoe.EntsoePrices("10Y1001A1001A82H", EUR)
AGILE = octopus_agile.OctopusAgile(TARIFF, Money("GBP", 1.25))
PROMQL = promql.PromqlFeed("http://prometheus:9090", "price[5m]", "usd_per_mwh", 1.0)
PATHS = mapped.Mapping("json", "t", "rate.g", rows="out", issued_at="meta.generated", times="unix_ms")
COLUMNS = mapped.Mapping("csv", "start", "price", zone=ZoneInfo("Europe/Berlin"), delimiter=";")

PARSERS: tuple[tuple[str, Callable[[bytes], Outlook]], ...] = (
    ("watttime_forecast.json", lambda body: watttime_feed.parse(body, NINE_S, WATTTIME)),
    ("electricity_maps_latest.json", lambda body: electricity_maps.parse_carbon(body, None, NINE_S, INTENSITY)),
    ("electricity_maps_price_latest.json", lambda body: electricity_maps.parse_price(body, None, NINE_S, DAY_AHEAD)),
    ("uk_carbon_fw48h.json", lambda body: uk_carbon.parse(body, NINE_S, uk_carbon.UkCarbon())),
    ("energy_charts_price.json", lambda body: energy_charts.parse(body, NINE_S, CHARTS)),
    ("octopus_agile_2.json", lambda body: octopus_agile.parse([body], NINE_S, AGILE)),
    ("entsoe_a44.xml", lambda body: entsoe.parse(body, NINE_S, ENTSOE)),
    ("prometheus_range.json", lambda body: promql.parse(body, NINE_S, PROMQL)),
    ("mapped_rates.json", lambda body: mapped.parse(body, NINE_S, mapped.MappedFeed("x", PATHS, "x", 1.0))),
    ("mapped_prices.csv", lambda body: mapped.parse(body, NINE_S, mapped.MappedFeed("x", COLUMNS, "x", 1.0))),
)


def check_feeds(data: bytes) -> None:
    """The first byte chooses the publisher, the rest is its answer."""
    if not data:
        return
    _, parse = PARSERS[data[0] % len(PARSERS)]
    intervals, fault = (), ""
    try:
        told = parse(data[1:])
        intervals = told.intervals
    except SignalError as error:
        fault = str(error)
    assert fault.isprintable(), fault
    for one in intervals:
        series = told.series(one.start_s)
        assert series is not None
        assert series.at(one.start_s) == one.value


def feed_seeds() -> list[bytes]:
    """A sample of each publisher."""
    return [bytes([place]) + sample(name) for place, (name, _) in enumerate(PARSERS)]
