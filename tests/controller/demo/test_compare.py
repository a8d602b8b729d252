from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.demo import compare, fleet, stage
from controller.demo.addresses import Addresses
from controller.demo.compare import Replayed, Stopped
from controller.demo.options import DemoOptions
from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.service.compose import build_site
from controller.settings import file as settings_file
from controller.simulation.trace import Slice, read_trace
from tests.fakes import scenarios

NOW_S = 1_700_000_000.0


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


async def test_a_run_is_simulated_as_it_was_played(tmp_path: Path) -> None:
    prepared = stage.prepare(DemoOptions(headless=True, seconds=20.0, data_dir=tmp_path), NOW_S)
    event = GridEvent("e", 1000.0, NOW_S + 7.0, NOW_S + 18.0, NOW_S + 3.0, ramp_s=1.0)
    calm, called = [
        await compare.compared(prepared, Replayed(NOW_S, seen), SystemClock(), lambda: False) for seen in (None, event)
    ]
    assert calm is not None
    assert called is not None
    asked = sum(request.output_tokens for request in prepared.requests)
    assert calm.same.outcome.tokens_served == called.same.outcome.tokens_served == asked
    # Who is called draws less for the same demand.
    assert min(called.same.outcome.power_w[10:18]) < min(calm.same.outcome.power_w[10:18])


@pytest.mark.parametrize(
    ("without", "told"), [("bf16", "no comparison: "), (None, "the comparison was left out")], ids=["BF16", "time"]
)
async def test_why_there_is_no_comparison_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, without: str | None, told: str
) -> None:
    prepared = stage.prepare(DemoOptions(headless=True, seconds=20.0, data_dir=tmp_path), NOW_S)
    pools = tuple(pool for pool in prepared.site.pools if pool.precision.value != without)
    changed = dataclasses.replace(prepared, site=dataclasses.replace(prepared.site, pools=pools))
    with caplog.at_level(logging.INFO):
        found = await compare.compared(changed, Replayed(NOW_S, None), SystemClock(), lambda: without is None)
    assert found is None
    assert any(message.startswith(told) for message in caplog.messages)
