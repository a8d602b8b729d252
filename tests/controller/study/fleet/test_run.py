from __future__ import annotations

import json

import pytest

from controller.study.figures import as_json
from controller.study.fleet.result import FleetResult
from controller.study.fleet.run import STUDY
from tests.fakes.fleet_cases import fleet_settings


def test_a_run_gives_figures_that_fit_together() -> None:
    told: list[float] = []
    outcome = STUDY.run(fleet_settings(), lambda done, _: told.append(done))
    result = outcome.figures["result"]
    assert isinstance(result, FleetResult)
    assert result.gpus == 160
    assert result.same_tokens
    assert result.rows[0].saving_frac == 0.0
    assert result.rows[-1].saving_frac == pytest.approx(1 - result.rows[-1].usd / result.rows[0].usd)
    assert result.kept_frac is not None
    assert 0.5 < result.kept_frac <= 1.0
    assert told[-1] == 1.0
    assert told == sorted(told)
    assert json.loads(as_json(outcome.figures))["result"]["rows"][0]["name"].startswith("bf16")
