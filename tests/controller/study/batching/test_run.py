from __future__ import annotations

import json

import pytest
import yaml

from controller.errors import ConfigError
from controller.study.batching.arrivals import Pattern
from controller.study.batching.result import Result, Shaped
from controller.study.batching.run import STUDY, policies
from controller.study.batching.settings import BatchingSettings
from controller.study.batching.shaping import Hold, Policy
from controller.study.figures import as_json
from controller.study.scenario_file import SHIPPED_DIR
from controller.study.settings import parse
from controller.study.study import Outcome

SHIPPED = yaml.safe_load((SHIPPED_DIR / "batching.yaml").read_text())


def ran(told: list[float] | None = None, pairs: object = None, **shaping: object) -> Outcome:
    document = {**SHIPPED, "shaping": {**SHIPPED["shaping"], **shaping}, "pairs": pairs or SHIPPED["pairs"]}
    settings = parse(yaml.safe_dump(document), BatchingSettings, "batching")
    return STUDY.run(settings, lambda done, _: None if told is None else told.append(done))


SMALL = {"profiles": ["qwen3-235b-a22b/fp8/4xh100"], "rates_rps": [0.1, 4], "duration_s": 120}


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return ran(**SMALL)


def result(outcome: Outcome) -> Result:
    found = outcome.figures["result"]
    assert isinstance(found, Result)
    return found


def shaped(outcome: Outcome, rate_rps: float, share: float, policy: Policy) -> Shaped:
    return next(
        s
        for s in result(outcome).shaped
        if (s.demand.rate_rps, s.demand.flex_share_frac, s.policy) == (rate_rps, share, policy)
    )


def test_holding_pays_while_the_instance_is_nearly_empty_and_hardly_once_it_is_not(outcome: Outcome) -> None:
    gathered = Policy(Hold.GATHER, 120.0)
    sparse, dense = (shaped(outcome, rate_rps, 1.0, gathered) for rate_rps in (0.1, 4.0))
    assert sparse.change_frac < -0.2
    assert sparse.change_frac < shaped(outcome, 0.1, 0.5, gathered).change_frac
    assert shaped(outcome, 4.0, 0.5, gathered).change_frac > 0
    assert dense.served.held_mean_s is not None


def test_every_run_of_a_demand_serves_the_same_tokens(outcome: Outcome) -> None:
    by_demand: dict[object, set[int]] = {}
    for s in result(outcome).shaped:
        by_demand.setdefault(s.demand, set()).add(s.served.output_tokens)
    assert all(len(tokens) == 1 for tokens in by_demand.values())


def test_spread_matters_while_sparse_and_not_while_dense(outcome: Outcome) -> None:
    changes = {(s.demand.rate_rps, s.demand.pattern): s.change_frac for s in result(outcome).patterns}
    assert changes[0.1, Pattern.BURSTS] < -0.1
    assert abs(changes[4.0, Pattern.BURSTS]) < 0.02
    assert abs(changes[4.0, Pattern.PACED]) < 0.02


def test_sleeping_is_tried_only_where_all_may_be_held() -> None:
    assert any(policy.sleeps for policy in policies((30.0, 120.0), all_flex=True))
    assert not any(policy.sleeps for policy in policies((30.0, 120.0), all_flex=False))


def test_equal_settings_give_equal_figures_and_progress_only_grows(outcome: Outcome) -> None:
    told: list[float] = []
    assert as_json(ran(told, **SMALL).figures) == as_json(outcome.figures)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_figures_are_plain_json(outcome: Outcome) -> None:
    document = json.loads(as_json(outcome.figures))
    assert document["result"]["rankings"][0]["at_concurrency"][0]["concurrency"] == 8


def test_an_unknown_configuration_is_told() -> None:
    pair = {"name": "x", "base": SHIPPED["pairs"][0]["base"], "other": {**SHIPPED["pairs"][0]["base"], "gpus": 3}}
    with pytest.raises(ConfigError, match="no such configuration"):
        ran(pairs=[pair], **SMALL)
