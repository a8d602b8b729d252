from __future__ import annotations

import pytest

from controller.signals.feeds.mapped import MappedFeed
from tests.fakes.controller_files import refusal
from tests.fakes.feed_settings import CARBON, MAPPED, PRICE, config, opened


@pytest.mark.parametrize(
    ("signal", "text", "source"),
    [
        (CARBON, MAPPED + ", unit: lb/MWh, basis: marginal", "mapped http://x (marginal)"),
        (PRICE, "kind: promql, url: 'http://p', query: 'x[5m]', unit: USD/MWh, currency: USD", "promql x[5m]"),
        (
            PRICE,
            "kind: mapped, path: a.csv, format: csv, time: t, value: v, unit: $/kWh, currency: USD",
            "mapped file:a.csv",
        ),
    ],
)
def test_each_kind_opens(tmp_path, signal, text, source):
    assert opened(tmp_path, signal, text).spec().provider.source == source


def test_a_file_is_read_without_a_network(tmp_path):
    text = "kind: mapped, path: a.csv, format: csv, time: t, value: v, unit: g/kWh, basis: average"
    assert opened(tmp_path, CARBON, text).spec().web is None


def test_units_become_a_factor(tmp_path):
    provider = opened(tmp_path, PRICE, MAPPED + ", unit: ct/kWh, usd_per_unit: 1.1").provider()
    assert isinstance(provider, MappedFeed)
    assert provider.factor == pytest.approx(11.0)


@pytest.mark.parametrize(
    ("signal", "text", "says"),
    [
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
    ],
)
def test_what_cannot_work_is_refused_with_the_remedy(tmp_path, signal, text, says):
    message = refusal(tmp_path, config(signal, text))
    assert says in message
    assert "pw@" not in message
