from __future__ import annotations

import pytest
import yaml

from controller.errors import ConfigError
from controller.study.fleet.settings import FleetSettings
from controller.study.scenario_file import SHIPPED_DIR
from controller.study.settings import parse
from tests.fakes.fleet_cases import fleet_document, fleet_settings


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("days",), 0, r"days: .*greater than 0"),
        (("days",), 0.26, "days 0.26 is no whole number of intervals"),
        (("start",), "2022-07-12T12:00:00", "this time has no zone"),
        (("sites", 0, "gpus"), -8, r"sites\.0\.gpus: .*\(got -8\)"),
        (("sites", 0, "price_zone"), "LZ_EAST", r"sites\.0\.price_zone"),
        (("sites", 1, "name"), "a", "'a' appears more than once"),
        (("sites", 0, "pue"), 0.9, r"sites\.0\.pue: .*greater than or equal to 1"),
        (("models", 0, "pools", 0, "precision"), "bf17", r"models\.0\.pools\.0\.precision"),
        (("models", 0, "pools", 0, "profile"), "qwen/bf16", "no built-in curves are called 'qwen/bf16'; choose one of"),
        (("models", 0, "pools", 0, "precision"), "fp8", "model 'm' has no bf16 pool"),
        (("classes", 0, "demand", "mean_tokens_per_s"), -1, r"mean_tokens_per_s: .*\(got -1\)"),
        (("classes", 0, "demand", "mean_tokens_per_s"), float("nan"), r"mean_tokens_per_s"),
        (("classes", 0, "model"), "x", "'exact' asks for model 'x'; known are m"),
        (("plan", "every_s"), 1000, "plan.every_s 1000 is no multiple of step_s 900"),
        (("plan", "peak_frac"), 0.5, "plan.peak_frac is below plan.utilisation_frac"),
        (("classes", 0, "demand"), {}, "write mean_tokens_per_s for a daily wave, or series"),
        (("classes", 0, "demand"), {"series": {"path": "d.csv"}, "daily_frac": 0.1}, "daily_frac shapes the wave"),
        (("sites", 0, "price"), {"path": "p.csv"}, "site 'a': write either price_zone or price"),
        (("step",), 900, r"unknown key 'step'; did you mean 'steps?_?s?'|unknown key 'step'"),
    ],
)
def test_wrong_values_are_told_by_place_and_value(path: tuple[str | int, ...], value: object, told: str) -> None:
    document = fleet_document()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ConfigError, match=told):
        parse(yaml.safe_dump(document), FleetSettings, "x")


def test_times_are_taken_in_utc() -> None:
    assert fleet_settings(start="2022-07-12T07:00:00-05:00").start.isoformat() == "2022-07-12T12:00:00+00:00"


@pytest.mark.parametrize("name", ["paper-dr", "storm", "flat"])
def test_shipped_scenarios_are_valid(name: str) -> None:
    parse((SHIPPED_DIR / f"{name}.yaml").read_text(), FleetSettings, name)
