from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from controller.errors import ConfigError
from controller.study.drawing import svg
from controller.study.figures import as_json
from controller.study.page import page
from controller.study.sensitivity.run import STUDY
from controller.study.sensitivity.settings import SensitivitySettings
from tests.fakes.fleet_cases import fleet_document, rich_document


def settings(of: Path, **changes: object) -> SensitivitySettings:
    document = {"kind": "sensitivity", "title": "x", "of": str(of), "days": 0.125, "first_day": 0.0625}
    return SensitivitySettings.model_validate({**document, "vary": {"reward_usd_per_mwh": [0, 5000]}, **changes})


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet") / "fleet.yaml"
    path.write_text(yaml.safe_dump(rich_document()))
    return path


def test_every_variation_is_played_and_told(fleet: Path) -> None:
    told: list[float] = []
    outcome = STUDY.run(settings(fleet), lambda done, _: told.append(done))
    results = outcome.figures["results"]
    assert isinstance(results, tuple)
    assert [(each.what, each.value) for each in results] == [
        ("as written", None),
        ("reward_usd_per_mwh", 0.0),
        ("reward_usd_per_mwh", 5000.0),
    ]
    assert results[1].totals.bill.reward == 0.0
    assert results[2].totals.bill.reward > results[0].totals.bill.reward > 0.0
    assert results[2].saving_frac > results[1].saving_frac
    assert all(each.same_tokens for each in results)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert json.loads(as_json(outcome.figures))["fleet"]["title"] == "small"
    assert "<svg" in page(outcome.report, "test", svg)


def test_days_beyond_the_fleets_are_refused(fleet: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 0\.25 days, 3 are asked for; choose fewer"):
        STUDY.run(settings(fleet, days=3, first_day=0), lambda *_: None)


def test_a_scenario_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no study 'batching'"):
        STUDY.run(settings(Path("batching")), lambda *_: None)


def test_a_variation_that_the_gpus_cannot_carry_is_told_before_anything_is_played(tmp_path: Path) -> None:
    document = fleet_document()
    document["sites"] = [{"name": "a", "gpus": 24, "price_zone": "LZ_HOUSTON"}]
    document["classes"] = [
        {**document["classes"][0], "demand": {"mean_tokens_per_s": 6000, "daily_frac": 0, "noise_frac": 0}}
    ]
    path = tmp_path / "tight.yaml"
    path.write_text(yaml.safe_dump(document))
    told: list[float] = []
    with pytest.raises(ConfigError, match=r"vary: daily_frac 1: sites: 'a' has 24 GPUs"):
        STUDY.run(settings(path, vary={"daily_frac": [1.0]}), lambda done, _: told.append(done))
    assert told == []
