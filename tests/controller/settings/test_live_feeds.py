from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from controller.settings.file import load
from controller.settings.live_feeds import LiveCarbon, LiveFeed, LivePrice
from controller.settings.signals import SignalSettings
from controller.signals.feeds.electricity_maps import CarbonIntensity, DayAheadPrice
from controller.signals.feeds.mapped import MappedFeed
from tests.fakes.controller_files import MINIMAL, refusal, write

PRICE, CARBON = "price_usd_per_mwh", "carbon_kg_per_mwh"
MAPPED = "kind: mapped, url: 'http://x', format: json, time: t, value: v"


REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "feeds.md"


def config(signal: str, feed: str) -> str:
    return MINIMAL + f"signals: {{{signal}: {{{feed}}}}}\n"


def feed(tmp_path: Path, signal: str, text: str) -> LiveFeed:
    found = getattr(load(write(tmp_path, config(signal, text))).signals, signal)
    assert isinstance(found, LiveFeed)
    return found


@pytest.mark.parametrize(
    ("signal", "text", "source"),
    [
        (CARBON, "kind: watttime, region: CAISO_NORTH, user: me, token_file: p", "watttime CAISO_NORTH (marginal)"),
        (CARBON, "kind: electricity_maps, zone: DE, token_env: T", "electricity_maps DE (average, lifecycle)"),
        (CARBON, "kind: uk_carbon_intensity, region: 13", "uk_carbon_intensity region 13 (average)"),
        (CARBON, MAPPED + ", unit: lb/MWh, basis: marginal", "mapped http://x (marginal)"),
        (PRICE, "kind: electricity_maps, zone: DE, token_env: T, usd_per_unit: 1.1", "electricity_maps DE day-ahead"),
        (PRICE, "kind: energy_charts, zone: DE-LU, usd_per_unit: 1.1", "energy_charts DE-LU day-ahead"),
        (
            PRICE,
            "kind: octopus_agile, tariff: E-1R-AGILE-24-10-01-C, usd_per_unit: 1.25",
            "octopus_agile E-1R-AGILE-24-10-01-C (without VAT)",
        ),
        (
            PRICE,
            "kind: entsoe, zone: 10Y1001A1001A82H, token_file: t, usd_per_unit: 1.1",
            "entsoe 10Y1001A1001A82H day-ahead",
        ),
        (PRICE, "kind: promql, url: 'http://p', query: 'x[5m]', unit: USD/MWh, currency: USD", "promql x[5m]"),
        (
            PRICE,
            "kind: mapped, path: a.csv, format: csv, time: t, value: v, unit: $/kWh, currency: USD",
            "mapped file:a.csv",
        ),
    ],
)
def test_each_kind_opens(tmp_path, signal, text, source):
    spec = feed(tmp_path, signal, text).spec()
    assert spec.provider.source == source
    assert spec.rules.stale_s == 3 * spec.rules.refresh_s


def test_one_name_is_a_price_or_a_rate_by_its_signal(tmp_path):
    carbon = feed(tmp_path, CARBON, "kind: electricity_maps, zone: DE, token_env: T").provider()
    price = feed(tmp_path, PRICE, "kind: electricity_maps, zone: DE, token_env: T, usd_per_unit: 1").provider()
    assert (type(carbon), type(price)) == (CarbonIntensity, DayAheadPrice)


def test_units_become_a_factor(tmp_path):
    text = MAPPED + ", unit: ct/kWh, usd_per_unit: 1.1"
    provider = feed(tmp_path, PRICE, text).provider()
    assert isinstance(provider, MappedFeed)
    assert provider.factor == pytest.approx(11.0)


@pytest.mark.parametrize(
    ("signal", "text", "says"),
    [
        (PRICE, "kind: energy_charts, zone: DE-LU", "write usd_per_unit, how many USD one EUR is"),
        (PRICE, "kind: octopus_agile, tariff: E-1R-AGILE-24-10-01-C", "how many USD one GBP is"),
        (PRICE, "kind: octopus_agile, tariff: AGILE, usd_per_unit: 1", "no electricity tariff"),
        (PRICE, "kind: energy_charts, zone: DE-LU, currency: USD, usd_per_unit: 2", "one USD is one USD"),
        (PRICE, "kind: energy_charts, zone: DE-LU, usd_per_unit: 0", "greater than 0"),
        (PRICE, "kind: entsoe, zone: DE, token_file: t, usd_per_unit: 1", "zone"),
        (PRICE, "kind: entsoe, zone: 10Y1001A1001A82H, usd_per_unit: 1", "wants a token"),
        (PRICE, "kind: watttime, region: X, user: me, token_file: p", "watttime"),
        (CARBON, "kind: watttime, region: X, user: me", "write token_file, or token_env"),
        (CARBON, "kind: watttime, region: X, user: me, token_file: p, token_env: T", "one of them is enough"),
        (CARBON, "kind: uk_carbon_intensity, region: 3, postcode: SW1", "one of them is enough"),
        (CARBON, "kind: uk_carbon_intensity, region: 18", "17"),
        (CARBON, "kind: uk_carbon_intensity, least: 5, most: 5", "not below most"),
        (CARBON, "kind: uk_carbon_intensity, stale_s: 5", "less than refresh_s"),
        (CARBON, "kind: entsoe, zone: 10Y1001A1001A82H, token_file: t", "entsoe"),
        (PRICE, MAPPED + ", unit: EUR/MW, usd_per_unit: 1", "price of power, not of energy"),
        (PRICE, MAPPED + ", unit: EUR/MWh, currency: GBP, usd_per_unit: 1", "prices come in EUR"),
        (PRICE, MAPPED + ", unit: EUR/MWh, usd_per_unit: 1, path: a", "write one of them"),
        (PRICE, MAPPED + ", unit: EUR/MWh, usd_per_unit: 1, timezone: Mars", "no time zone"),
        (
            PRICE,
            "kind: mapped, path: a, format: csv, time: t, value: v, rows: x, unit: $/kWh, currency: USD",
            "of JSON",
        ),
        (CARBON, MAPPED + ", unit: g/kWh", "basis"),
        (CARBON, MAPPED + ", unit: EUR/kWh, basis: average", "no emission rate"),
        (PRICE, "kind: promql, url: 'http://p', query: x, unit: $/kWh, currency: USD", "range selector"),
        (PRICE, "kind: energy_charts, zone: DE-LU, usd_per_unit: 1, url: 'http://me:pw@x'", "no password belongs"),
    ],
)
def test_what_cannot_work_is_refused_with_the_remedy(tmp_path, signal, text, says):
    message = refusal(tmp_path, config(signal, text))
    assert says in message
    assert "pw@" not in message


def test_the_examples_of_the_reference_are_valid():
    blocks = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert SignalSettings(**yaml.safe_load(block)["signals"]).price_usd_per_mwh is not None


def test_the_reference_tells_each_kind_and_key():
    text = REFERENCE.read_text()
    for kind in (*LivePrice.__args__, *LiveCarbon.__args__):
        for name, field in kind.model_fields.items():
            value = field.annotation.__args__[0] if name == "kind" else name
            assert f"`{value}`" in text, f"{kind.__name__}.{name}"
