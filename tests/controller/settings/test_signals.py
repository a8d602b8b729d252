from __future__ import annotations

from pathlib import Path

import pytest

from controller.settings.file import load
from tests.fakes.controller_files import MINIMAL, refusal, write


def test_addresses_of_exporters_are_short_for_a_source_before_the_others(tmp_path: Path) -> None:
    text = MINIMAL + "signals: {dcgm_urls: ['http://a:9400/metrics'], power: [{kind: nvml}]}\n"
    first, second = load(write(tmp_path, text)).signals.power_specs().gpus
    assert "a:9400" in str(first)
    assert "a:9400" not in str(second)


def test_nothing_is_read_where_nothing_is_named(tmp_path: Path) -> None:
    specs = load(write(tmp_path, MINIMAL)).signals.power_specs()
    assert (specs.gpus, specs.meters) == ((), ())


@pytest.mark.parametrize(
    ("signals", "says"),
    [
        ("{power: [{kind: ipmi}]}", "signals.power"),
        ("{stale_s: 0}", "signals.stale_s"),
        ("{fallback_price_usd_per_mwh: -5}", "signals.fallback_price_usd_per_mwh"),
        ("{price_usd_per_mwh: {kind: constant, value: .inf}}", "signals.price_usd_per_mwh"),
        ("{dcgm_url: x}", "did you mean 'dcgm_urls'?"),
        ("{dcgm_urls: ['10.0.0.7:9400/metrics']}", "signals.dcgm_urls.0"),
        ("{router_urls: ['http://a:8081', 'localhost:8081']}", "signals.router_urls.1"),
    ],
)
def test_a_signal_that_cannot_be_read_is_refused(tmp_path: Path, signals: str, says: str) -> None:
    assert says in refusal(tmp_path, f"{MINIMAL}signals: {signals}\n")
