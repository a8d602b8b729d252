from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from controller.settings.feeds import LiveCarbon, LivePrice
from controller.settings.signals import SignalSettings
from controller.signals.feeds.live import FeedRules
from tests.fakes.controller_files import refusal
from tests.fakes.feed_settings import CARBON, PRICE, config, opened

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "feeds.md"


def test_staleness_follows_the_time_between_questions_and_never_outlasts_the_age(tmp_path):
    assert opened(tmp_path, CARBON, "kind: uk_carbon_intensity, refresh_s: 100").spec().rules == FeedRules(
        100.0, 300.0, 86_400.0, 0.0, 3000.0
    )
    rules = opened(tmp_path, CARBON, "kind: uk_carbon_intensity, refresh_s: 100, max_age_s: 200").spec().rules
    assert rules.stale_s == 200.0


@pytest.mark.parametrize(
    ("signal", "text", "says"),
    [
        (PRICE, "kind: energy_charts, zone: DE-LU", "write usd_per_unit, how many USD one EUR is"),
        (PRICE, "kind: energy_charts, zone: DE-LU, currency: USD, usd_per_unit: 2", "one USD is one USD"),
        (PRICE, "kind: energy_charts, zone: DE-LU, usd_per_unit: 0", "greater than 0"),
        (PRICE, "kind: energy_charts, zone: DE-LU, usd_per_unit: 1, least: 9, most: 8", "not below most"),
        (CARBON, "kind: uk_carbon_intensity, least: 5, most: 5", "not below most"),
        (CARBON, "kind: uk_carbon_intensity, stale_s: 5", "less than refresh_s"),
        (CARBON, "kind: uk_carbon_intensity, token_file: p, token_env: T", "one of them is enough"),
        (
            CARBON,
            "kind: watttime, region: X, user: me, token_file: p, url: 'http://w.example'",
            "token_file would go there",
        ),
        (
            PRICE,
            "kind: mapped, url: 'http://p', format: json, time: t, value: v, unit: $/kWh, currency: USD, token_env: T",
            "'http://p': T would go there unencrypted; write https://",
        ),
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
