from __future__ import annotations

import pytest

from controller.errors import ConfigError
from controller.study.scenario_file import SHIPPED_DIR
from controller.study.sensitivity.settings import SensitivitySettings
from controller.study.settings import parse

GOOD = "kind: sensitivity\ntitle: x\nof: paper-dr\nvary:\n  start_usd: [1]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("[1]", "[]"), "vary names no values; give some to reward_usd_per_mwh, carbon_usd_per_kg"),
        (GOOD.replace("[1]", "[-1]"), "start_usd"),
        (GOOD.replace("start_usd", "start_eur"), "start_eur"),
        (GOOD + "days: 0\n", "days"),
        (GOOD + "first_day: -1\n", "first_day"),
    ],
)
def test_wrong_values_are_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(text, SensitivitySettings, "x")


def test_the_shipped_scenario_is_valid() -> None:
    path = SHIPPED_DIR / "paper-dr-sensitivity.yaml"
    assert parse(path.read_text(), SensitivitySettings, path.name).of == "paper-dr"
