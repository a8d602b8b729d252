from __future__ import annotations

import copy

import pytest
import yaml

from controller.errors import ConfigError
from controller.study.batching.settings import BatchingSettings
from controller.study.scenario_file import SHIPPED_DIR
from controller.study.settings import parse

SHIPPED = yaml.safe_load((SHIPPED_DIR / "batching.yaml").read_text())


@pytest.mark.parametrize(
    ("section", "key", "value", "told"),
    [
        ("shaping", "rates_rps", [-1], r"shaping\.rates_rps\.0: .*\(got -1\)"),
        ("shaping", "rates_rps", [float("nan")], r"shaping\.rates_rps\.0"),
        ("shaping", "rates_rps", [], r"shaping\.rates_rps"),
        ("shaping", "flex_shares_frac", [50], r"flex_shares_frac\.0: .*less than or equal to 1 \(got 50\)"),
        ("shaping", "holds_s", [0], r"holds_s\.0: .*greater than 0"),
        ("shaping", "duration_s", 0, r"shaping\.duration_s"),
        ("shaping", "profiles", ["qwen/int2"], r"no built-in curves are called 'qwen/int2'; choose of qwen3"),
        ("shaping", "hold_s", [1], r"unknown key 'shaping\.hold_s'; did you mean 'holds_s'\?"),
        ("", "concurrency", [0], r"concurrency\.0: .*greater than 0"),
        ("", "pairs", [], "pairs"),
    ],
)
def test_wrong_values_are_told_by_place_and_value(section: str, key: str, value: object, told: str) -> None:
    document = copy.deepcopy(SHIPPED)
    (document[section] if section else document)[key] = value
    with pytest.raises(ConfigError, match=told):
        parse(yaml.safe_dump(document), BatchingSettings, "x")


def test_pairs_have_names_of_their_own() -> None:
    document = copy.deepcopy(SHIPPED)
    document["pairs"][1]["name"] = document["pairs"][0]["name"]
    with pytest.raises(ConfigError, match="appears more than once"):
        parse(yaml.safe_dump(document), BatchingSettings, "x")
