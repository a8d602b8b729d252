from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from controller.errors import ConfigError
from controller.study.offline_routing.settings import OfflineRoutingSettings
from controller.study.scenario_file import SHIPPED_DIR
from controller.study.settings import parse

SHIPPED = yaml.safe_load((SHIPPED_DIR / "offline-routing.yaml").read_text())


def changed(path: str, value: object) -> str:
    document = copy.deepcopy(SHIPPED)
    *into, last = path.split(".")
    place = document
    for key in into:
        place = place[int(key)] if key.isdigit() else place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return yaml.safe_dump(document, sort_keys=False)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("zetas", [0, 1.5], r"x:\d+: zetas\.1: .*less than or equal to 1 \(got 1\.5\)"),
        ("zetas", [-0.1, 1], r"zetas\.0: .*greater than or equal to 0"),
        ("zetas", [0, float("nan")], "zetas.1"),
        ("zetas", [0.5, 0.5], "zetas must rise"),
        ("zetas", [1], "zetas"),
        ("queries", {"source": "synthetic", "count": 0}, r"queries\.synthetic\.count: .*greater than or equal to 1"),
        ("queries", {"source": "synthetic", "count": -5}, r"queries\.synthetic\.count: .*\(got -5\)"),
        ("queries.first", 0, r"queries\.trace\.first: .*greater than or equal to 1"),
        ("queries.speed", -1, r"queries\.trace\.speed: .*\(got -1\)"),
        ("queries.source", "guess", r"queries: .*'guess'"),
        ("models.0.accuracy_frac", 50.97, r"models\.0\.accuracy_frac: .*less than or equal to 1 \(got 50\.97\)"),
        ("models.0.energy_j.output", float("nan"), r"models\.0\.energy_j\.output: .*\(got nan\)"),
        ("models.0.servers", 0, r"models\.0\.servers"),
        ("models.0.min_share_frac", 1.2, r"models\.0\.min_share_frac"),
        ("models.0.max_share_frac", 0.01, "min_share_frac 0.0125 is above max_share_frac 0.01"),
        ("models.0.input_tokens", [2048, 8], r"input_tokens: 2048 is above 8; write \[least, most\]"),
        ("models.0.runtime_s", None, "give energy_j and runtime_s, or measured"),
        ("models.0.name", "llama-2-13b", "models: 'llama-2-13b' appears more than once"),
        ("models", [], r"models"),
        ("choose.price_usd_per_mwh", -50, r"choose\.price_usd_per_mwh: .*\(got -50\)"),
        ("choose.energy_budget_kwh", 0, r"choose\.energy_budget_kwh"),
        ("online.wait_limit_s", 0, r"online\.wait_limit_s"),
        ("online.wait_limit", 5, r"unknown key 'online.wait_limit'; did you mean 'wait_limit_s'\?"),
    ],
)
def test_wrong_values_are_told_by_place_and_value(path: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(changed(path, value), OfflineRoutingSettings, "x")


def test_measured_figures_and_written_ones_exclude_each_other() -> None:
    measured = {"model_id": "m", "weight_precision": "fp8", "gpu": "H100", "gpus": 1, "max_num_seqs": 8}
    with pytest.raises(ConfigError, match=r"give energy_j and runtime_s, or measured|remove them"):
        parse(changed("models.0.measured", measured), OfflineRoutingSettings, "x")


@pytest.mark.parametrize("path", sorted(SHIPPED_DIR.glob("offline-*.yaml")), ids=lambda path: path.stem)
def test_shipped_scenarios_name_the_source_of_every_model(path: Path) -> None:
    settings = parse(path.read_text(), OfflineRoutingSettings, path.name)
    assert all(model.source for model in settings.models)
