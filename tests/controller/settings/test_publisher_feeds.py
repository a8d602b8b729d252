from __future__ import annotations

import pytest

from controller.signals.feeds.electricity_maps import CarbonIntensity, DayAheadPrice
from tests.fakes.controller_files import refusal
from tests.fakes.feed_settings import CARBON, PRICE, config, opened


@pytest.mark.parametrize(
    ("signal", "text", "source"),
    [
        (CARBON, "kind: watttime, region: CAISO_NORTH, user: me, token_file: p", "watttime CAISO_NORTH (marginal)"),
        (CARBON, "kind: electricity_maps, zone: DE, token_env: T", "electricity_maps DE (average, lifecycle)"),
        (CARBON, "kind: uk_carbon_intensity, region: 13", "uk_carbon_intensity region 13 (average)"),
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
    ],
)
def test_each_kind_opens(tmp_path, signal, text, source):
    assert opened(tmp_path, signal, text).spec().provider.source == source


def test_one_name_is_a_price_or_a_rate_by_its_signal(tmp_path):
    carbon = opened(tmp_path, CARBON, "kind: electricity_maps, zone: DE, token_env: T").provider()
    price = opened(tmp_path, PRICE, "kind: electricity_maps, zone: DE, token_env: T, usd_per_unit: 1").provider()
    assert (type(carbon), type(price)) == (CarbonIntensity, DayAheadPrice)


@pytest.mark.parametrize(
    ("signal", "text", "says"),
    [
        (PRICE, "kind: octopus_agile, tariff: E-1R-AGILE-24-10-01-C", "how many USD one GBP is"),
        (PRICE, "kind: octopus_agile, tariff: AGILE, usd_per_unit: 1", "no electricity tariff"),
        (PRICE, "kind: entsoe, zone: DE, token_file: t, usd_per_unit: 1", "zone"),
        (PRICE, "kind: entsoe, zone: 10Y1001A1001A82H, usd_per_unit: 1", "wants a token"),
        (PRICE, "kind: watttime, region: X, user: me, token_file: p", "watttime"),
        (CARBON, "kind: watttime, region: X, user: me", "write token_file, or token_env"),
        (CARBON, "kind: uk_carbon_intensity, region: 3, postcode: SW1", "one of them is enough"),
        (CARBON, "kind: uk_carbon_intensity, region: 18", "17"),
        (CARBON, "kind: entsoe, zone: 10Y1001A1001A82H, token_file: t", "entsoe"),
        (PRICE, "kind: energy_charts, zone: DE-LU, usd_per_unit: 1, url: 'http://me:pw@x'", "no password belongs"),
    ],
)
def test_what_cannot_work_is_refused_with_the_remedy(tmp_path, signal, text, says):
    message = refusal(tmp_path, config(signal, text))
    assert says in message
    assert "pw@" not in message
