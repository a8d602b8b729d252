from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from controller.errors import ConfigError
from controller.study.figures import as_json
from controller.study.offline_routing.result import Result
from controller.study.offline_routing.run import STUDY
from controller.study.offline_routing.settings import OfflineRoutingSettings
from controller.study.scenario_file import SHIPPED_DIR
from controller.study.settings import parse
from controller.study.study import Outcome


def ran(name: str, told: list[tuple[float, str]] | None = None, **changes: object) -> Outcome:
    document = yaml.safe_load((SHIPPED_DIR / f"{name}.yaml").read_text())
    settings = parse(yaml.safe_dump({**document, **changes}), OfflineRoutingSettings, name)
    progress = (lambda *_: None) if told is None else (lambda done, doing: told.append((done, doing)))
    return STUDY.run(settings, progress)


def result(outcome: Outcome) -> Result:
    found = outcome.figures["result"]
    assert isinstance(found, Result)
    return found


FEW = {"source": "trace", "first": 1500, "outside": "leave_out"}
ZETAS = [0, 0.25, 0.5, 1]


@pytest.fixture(scope="module", params=["offline-routing", "offline-routing-measured"])
def outcome(request: pytest.FixtureRequest) -> Outcome:
    choose = {"accuracy_usd_per_mtoken_point": 0.1}
    return ran(request.param, queries=FEW, zetas=ZETAS, choose=choose)


def test_more_weight_on_energy_never_takes_more_of_it(outcome: Outcome) -> None:
    energies = [swept.point.energy_j for swept in result(outcome).sweep]
    assert energies == sorted(energies, reverse=True)


def test_every_query_is_served_once_in_every_row(outcome: Outcome) -> None:
    found = result(outcome)
    assert found.online is not None
    rows = [s.point.queries for s in found.sweep] + [c.point.queries for c in found.choices]
    rows += [flow.queries for flow in found.online.flows]
    rows += [flow.queries for s in found.online.sweep for flow in (s.unaware, s.aware)]
    assert {sum(row) for row in rows} == {found.queries}
    assert found.queries + found.queries_left_out == 1500


def test_sight_of_the_queues_never_lengthens_the_wait(outcome: Outcome) -> None:
    online = result(outcome).online
    assert online is not None
    assert all(s.aware.wait_mean_s <= s.unaware.wait_mean_s + 1e-9 for s in online.sweep)


def test_figures_are_plain_json(outcome: Outcome) -> None:
    document = json.loads(as_json(outcome.figures))
    assert document["result"]["sweep"][0]["point"]["zeta"] == 0


def test_progress_only_grows() -> None:
    told: list[tuple[float, str]] = []
    ran("offline-routing", told, queries={**FEW, "first": 200}, zetas=[0, 1], choose={})
    shares = [done for done, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_queries_that_no_model_may_serve_are_refused_unless_left_out() -> None:
    with pytest.raises(ConfigError, match="may be served by no model"):
        ran("offline-routing", queries={**FEW, "outside": "refuse"}, choose={})


def test_a_missing_trace_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv: no such trace file"):
        ran("offline-routing", queries={**FEW, "path": str(tmp_path / "none.csv")})


def test_an_unknown_model_is_told() -> None:
    document = yaml.safe_load((SHIPPED_DIR / "offline-routing-measured.yaml").read_text())
    document["models"][0]["measured"]["model_id"] = "meta-llama/Llama-3.1-7B-Instruct"
    with pytest.raises(ConfigError, match=r"Llama-3\.1-7B.*no such configuration.*Llama-3\.1-8B"):
        ran("offline-routing-measured", models=document["models"])
