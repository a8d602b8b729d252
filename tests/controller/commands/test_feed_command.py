import json

import pytest

from controller.clock import VirtualClock
from controller.commands.feed_command import Looked, look, run, thresholds_told, told
from controller.errors import ConfigError
from controller.model.call import Asked, Commitment
from controller.model.grid import Series
from controller.model.observation import Missing
from controller.model.programme import Programme
from controller.model.threshold import FeedSignal, Threshold
from controller.settings.file import load
from controller.settings.signals import SignalSettings
from tests.fakes.controller_files import MINIMAL, write
from tests.fakes.feed_parts import NINE_S, sample
from tests.fakes.http_stub import HttpStub, http_stub

PRICE, CARBON = "price_usd_per_mwh", "carbon_kg_per_mwh"
TARIFF = "E-1R-AGILE-24-10-01-C"
AGILE = f"/v1/products/AGILE-24-10-01/electricity-tariffs/{TARIFF}/standard-unit-rates/"


def played(stub: HttpStub) -> None:
    """Each publisher at its own path, answering with its sample."""
    for path, name in {
        "/v3/forecast": "watttime_forecast.json",
        "/carbon-intensity/latest": "electricity_maps_latest.json",
        "/carbon-intensity/forecast": "electricity_maps_forecast.json",
        "/price-day-ahead/latest": "electricity_maps_price_latest.json",
        "/price-day-ahead/forecast": "electricity_maps_price_forecast.json",
        "/intensity/2026-03-29T09:01Z/fw48h": "uk_carbon_fw48h.json",
        "/price": "energy_charts_price.json",
        "/entsoe": "entsoe_a44.xml",
        "/api/v1/query": "prometheus_range.json",
        "/mapped": "mapped_rates.json",
        AGILE: "octopus_agile_2.json",
    }.items():
        stub.set(path, sample(name).decode())
    stub.set("/login", {"token": "made-up-token"})


@pytest.mark.parametrize(
    ("signal", "feed", "value"),
    [
        (CARBON, {"kind": "watttime", "region": "CAISO_NORTH", "user": "me", "token_env": "TOKEN"}, 394.85),
        (CARBON, {"kind": "electricity_maps", "zone": "DE", "token_env": "TOKEN"}, 302.0),
        (CARBON, {"kind": "uk_carbon_intensity"}, 140.0),
        (PRICE, {"kind": "electricity_maps", "zone": "DE", "token_env": "TOKEN", "usd_per_unit": 1.1}, -3.85),
        (PRICE, {"kind": "energy_charts", "zone": "DE-LU", "usd_per_unit": 1.1}, 45.32),
        (PRICE, {"kind": "octopus_agile", "tariff": TARIFF, "usd_per_unit": 1.25}, 250.0),
        (PRICE, {"kind": "entsoe", "zone": "10Y1001A1001A82H", "token_env": "TOKEN", "usd_per_unit": 1}, 0.0),
        (PRICE, {"kind": "promql", "query": "x[30m]", "unit": "ct/kWh", "usd_per_unit": 1.1}, -5.5),
        (
            CARBON,
            {
                "kind": "mapped",
                "format": "json",
                "rows": "out",
                "time": "t",
                "value": "rate.g",
                "times": "unix_ms",
                "unit": "g/kWh",
                "basis": "average",
            },
            420.0,
        ),
    ],
    ids=lambda item: item["kind"] if isinstance(item, dict) else None,
)
async def test_each_kind_reads_its_publisher(monkeypatch, signal, feed, value):
    monkeypatch.setenv("TOKEN", "made-up-secret")
    paths = {"entsoe": "/entsoe", "mapped": "/mapped"}
    async with http_stub() as stub:
        played(stub)
        settings = SignalSettings(**{signal: {**feed, "url": stub.url + paths.get(feed["kind"], "")}})
        now_s = NINE_S + (60.0 if feed["kind"] == "entsoe" else 0.0)
        (looked,) = await look(settings, VirtualClock(now_s))
    assert isinstance(looked.known, Series), looked
    lines = "\n".join(told(looked, NINE_S + 60.0))
    assert looked.known.at(NINE_S + 60.0) == pytest.approx(value, abs=0.01)
    assert f"{value:.2f} now" in lines
    assert "secret" not in lines + repr(looked)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (500, "status 500"),
        (401, "status 401: configure a token"),
        ("<!doctype html><p>Log in", "a page in HTML"),
        ("", "empty"),
        (sample("energy_charts_price.json").decode()[:150], "cut off"),
        ({"unix_seconds": [NINE_S], "price": [4e9], "unit": "EUR / MWh"}, "is the unit right"),
        ({"unix_seconds": [NINE_S - 9e6], "price": [4], "unit": "EUR / MWh"}, "nothing is told of 2026-03-29T09:00Z"),
    ],
)
async def test_a_publisher_in_trouble_is_told_and_counts_as_not_known(answer, says):
    async with http_stub() as stub:
        stub.set("/price", answer)
        settings = SignalSettings(
            price_usd_per_mwh={"kind": "energy_charts", "zone": "DE-LU", "usd_per_unit": 1.1, "url": stub.url}
        )
        (looked,) = await look(settings, VirtualClock(NINE_S))
    assert isinstance(looked.known, Missing)
    assert looked.known.reason.startswith("energy_charts DE-LU day-ahead: ")
    assert says in told(looked, NINE_S)[0]


def test_the_lines_of_a_feed():
    series = Series((0.0, 3600.0), (40.0, -5.0), 7200.0, PRICE, "market", 60.0)
    assert told(Looked(PRICE, series), 1800.0) == [
        "price_usd_per_mwh: 40.00 now, published, from market",
        "  then -5.00 from 1970-01-01T01:00Z",
        "  known until 1970-01-01T02:00Z (1.5 h ahead): 2 intervals, -5.00 .. 40.00",
        "  issued 1970-01-01T00:01Z",
    ]


def test_the_lines_of_thresholds_tell_when_each_asks_for_less():
    asks = Commitment(Asked.BELOW_BASELINE_FRAC, 0.2)
    terms = Programme("spike", hold_s=0.0, thresholds=(Threshold(FeedSignal.PRICE, 60.0, 60.0, asks),))
    hours = Series((0.0, 3600.0, 7200.0), (50.0, 70.0, 50.0), 10_800.0, "usd_per_mwh", "market")
    (line,) = thresholds_told(Looked(PRICE, hours), (terms,), 60.0)
    told = "from 1970-01-01T01:00Z to 1970-01-01T02:00Z"
    assert line == f"  programme spike, above 60: below_baseline_frac 0.2 {told}"
    (low,) = thresholds_told(Looked(PRICE, Series((0.0,), (1.0,), 9.0, "usd_per_mwh", "market")), (terms,), 1.0)
    assert low.endswith("asks for nothing as far as is known")
    (unknown,) = thresholds_told(Looked(PRICE, Missing(PRICE, "silent", 0.0)), (terms,), 1.0)
    assert unknown.endswith("not known")
    assert thresholds_told(Looked(CARBON, hours), (terms,), 60.0) == []


def test_constant_feeds_are_told_too_and_json_holds_all(tmp_path, capsys):
    settings = load(write(tmp_path, MINIMAL + "signals: {carbon_kg_per_mwh: {kind: constant, value: 300}}\n"))
    assert run(settings, as_json=False) == 0
    assert "carbon_kg_per_mwh: 300.00 now, constant, from constant" in capsys.readouterr().out
    assert run(settings, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["carbon_kg_per_mwh"]["known"]["values"] == [300.0]


def test_without_a_feed_it_says_what_to_add(tmp_path):
    with pytest.raises(ConfigError, match=r"add signals\.price_usd_per_mwh"):
        run(load(write(tmp_path, MINIMAL)), as_json=False)


def test_the_exit_code_says_that_a_feed_is_not_known(tmp_path):
    text = "{kind: mapped, path: %s, format: csv, time: t, value: v, unit: g/kWh, basis: average}" % (
        tmp_path / "no.csv"
    )
    settings = load(write(tmp_path, MINIMAL + f"signals: {{carbon_kg_per_mwh: {text}}}\n"))
    assert run(settings, as_json=False) == 1
