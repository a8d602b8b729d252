"""The wall clocks of a router, of Redis, and of the controller that leads, are set to other times under load.

Real processes and a real Redis; their clocks are moved by libfaketime. Engines and GPUs are EMULATED, the API server is
`tests.fakes.kube`.
"""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.controller_pair import Controllers, Monitor
from tests.fakes.moved_clock import LIBRARY, MovedClock
from tests.fakes.system import System, get
from tests.integration.test_high_availability import STEP_FRAC, Crowd, play, settled_pair, steps

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("system"),
    pytest.mark.timeout(280),
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed: make servers"),
]
JUMPS_S = (7200.0, -7200.0, 0.0)
NOTICED_S = 1.5
"""After which a process has seen that its clock was moved."""


def table(system: System) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(f"{system.admin}/state")[1])["table"]
    return found


def stays_fresh(system: System, seconds: float) -> None:
    """The router goes by the controller's table all the time, and takes new ones."""
    before, end_s = table(system)["sequence"], time.monotonic() + seconds
    while time.monotonic() < end_s:
        assert table(system)["state"] == "fresh"
        time.sleep(0.1)
    assert table(system)["sequence"] >= before


async def test_a_router_whose_clock_is_set_goes_by_the_same_table_and_loses_no_request(tmp_path: Path) -> None:
    moved = MovedClock(tmp_path / "router-clock")

    def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
        system = controllers.system
        system.until(lambda: table(system)["state"] == "fresh", "the table is obeyed")
        for offset_s in JUMPS_S:
            moved.move(offset_s)
            stays_fresh(system, NOTICED_S + 5.0)
            assert abs(table(system)["clock_ahead_s"]) < 5.0, "it goes by a clock that was not set"
        assert set(crowd.statuses) == {200}
        assert controllers.state("a")["election"]["role"] == "leader"

    await play(tmp_path, act, environments={"router": moved.environment}, threads=16)


async def test_a_redis_whose_clock_is_set_costs_no_request_and_no_table(tmp_path: Path) -> None:
    moved = MovedClock(tmp_path / "redis-clock")

    def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
        system = controllers.system
        system.until(lambda: table(system)["state"] == "fresh", "the table is obeyed")
        for offset_s in JUMPS_S:
            before = table(system)["sequence"]
            moved.move(offset_s)
            stays_fresh(system, NOTICED_S + 5.0)
            system.until(functools.partial(is_newer, system, before), f"tables arrive, set to {offset_s:+g} s", 60.0)
        assert set(crowd.statuses) == {200}
        assert controllers.state("a")["election"]["role"] == "leader"

    await play(tmp_path, act, redis_environment=moved.environment, threads=16)


def is_newer(system: System, sequence: int) -> bool:
    return bool(table(system)["sequence"] > sequence)


async def test_a_router_that_starts_with_another_clock_goes_by_the_table_as_the_others_do(tmp_path: Path) -> None:
    moved = MovedClock(tmp_path / "router-clock")

    def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
        system = controllers.system
        crowd.close()
        for offset_s in (7200.0, -7200.0):
            system.stop("router")
            moved.move(offset_s)
            system.start("router")
            system.until(lambda: table(system)["state"] == "fresh", f"the table is obeyed, {offset_s:+g} s apart")
            assert table(system)["clock_ahead_s"] == pytest.approx(offset_s, abs=5.0)
            stays_fresh(system, 5.0)

    await play(tmp_path, act, environments={"router": moved.environment})


async def test_a_leader_whose_clock_is_set_goes_on_to_lead_and_its_tables_are_obeyed(tmp_path: Path) -> None:
    moved = MovedClock(tmp_path / "leader-clock")

    def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
        system = controllers.system
        settled_pair(controllers, monitor)
        limit_w, settled = controllers.state("a")["power"]["limit_w"], monitor.publications[-1]

        def is_as_before(before: int) -> bool:
            after = monitor.publications[before:]
            is_limited = controllers.state("a")["power"]["limit_w"] == limit_w
            return is_limited and bool(after) and steps(settled, after[-1]) <= STEP_FRAC

        for offset_s in JUMPS_S:
            before = len(monitor.publications)
            moved.move(offset_s)
            stays_fresh(system, NOTICED_S + 6.0)
            system.until(
                functools.partial(is_as_before, before), f"limit and weights hold, set to {offset_s:+g} s", 30.0
            )
        assert monitor.turns == ["a"]
        sequences = [published.sequence for published in monitor.publications]
        assert sequences == sorted(sequences)
        assert set(crowd.statuses) == {200}

    await play(tmp_path, act, environments={"a": moved.environment})
