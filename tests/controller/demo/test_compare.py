from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.demo import compare, fleet
from controller.demo.addresses import Addresses
from controller.demo.compare import Stopped
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.service.compose import build_site
from controller.settings import file as settings_file
from controller.simulation.trace import Slice, read_trace
from tests.fakes import scenarios


def test_both_runs_serve_the_same_tokens_and_bf16_alone_uses_no_other() -> None:
    played = scenarios.mixed(seconds=20.0)
    both = compare.compare(played, lambda: CvxpyPlanner(lambda: 0.0), lambda: False)
    asked = sum(request.output_tokens for request in played.requests)
    assert both.same.outcome.tokens_served == both.bf16_alone.outcome.tokens_served == asked
    assert set(both.bf16_alone.outcome.tokens_by_pool) == {"bf16"}
    assert len(both.same.outcome.tokens_by_pool) == 2


def test_nobody_waits_for_a_comparison_that_was_stopped() -> None:
    with pytest.raises(Stopped):
        compare.compare(scenarios.mixed(seconds=20.0), lambda: CvxpyPlanner(lambda: 0.0), lambda: True)


@pytest.mark.parametrize("on", [{}, {"bf16": 1, "fp8": 0}])
def test_instances_beyond_those_initially_on_sleep(tmp_path: Path, on: dict[str, Any]) -> None:
    path = tmp_path / "wattroute.yaml"
    ports = Addresses(20_000, 20_001, 20_002, 20_003, tuple(range(20_004, 20_004 + fleet.ENGINES)))
    fleet.write(path, ports, read_trace(), Slice(0.0, 60.0, 5.0), 0)
    settings = settings_file.load(path)
    emulator = settings.emulator.model_copy(update={"initially_on": on})
    changed = settings.model_copy(update={"emulator": emulator})
    sleeping = compare.sleeping_at_start(changed, build_site(changed))
    pools = {spec.precision.value: spec.instances for spec in fleet.POOLS}
    assert len(sleeping) == sum(pools[name] - count for name, count in on.items())
    assert all(int(name.rpartition("-")[2]) >= on[name.rpartition("-")[0]] for name in sleeping)
