"""The same run under a virtual clock: the demo's own fleet, to check the simulator, and BF16 alone, to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.model.fleet import Site
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.planner import Planner
from controller.settings.file import Settings
from controller.simulation import scenario
from controller.simulation.scenario import Run, Scenario
from router.contract import InstanceId


class Stopped(BaseException):
    """The user does not want to wait for the comparison; no fault, which the ladder of plans would step down from."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both simulated runs."""

    same: Run
    bf16_alone: Run


def compare(played: Scenario, make_planner: Callable[[], Planner], is_stopped: Callable[[], bool]) -> Comparison:
    """Simulate a run, and its demand with BF16 alone. Each has its own planner, as each had its own past.

    Raises:
        ConfigError: the fleet has no BF16 pool.
        Stopped: `is_stopped` became true.
    """
    alone = scenario.with_bf16_alone(played)
    return Comparison(
        scenario.run(played, _StoppablePlanner(make_planner(), is_stopped)),
        scenario.run(alone, _StoppablePlanner(make_planner(), is_stopped)),
    )


def sleeping_at_start(settings: Settings, site: Site) -> frozenset[InstanceId]:
    """Instances that the emulator starts asleep."""
    on = settings.emulator.initially_on
    return frozenset(
        instance.instance_id
        for pool in site.pools
        for n, instance in enumerate(pool.instances)
        if n >= on.get(pool.pool_id, len(pool.instances))
    )


class _StoppablePlanner:
    """A planner that looks, before each plan, whether anyone still waits for it."""

    def __init__(self, planner: Planner, is_stopped: Callable[[], bool]) -> None:
        self._planner = planner
        self._is_stopped = is_stopped

    def plan(self, data: ProblemData, *, time_limit_s: float) -> Plan:
        """As the planner within."""
        self._look()
        return self._planner.plan(data, time_limit_s=time_limit_s)

    def dispatch(self, data: ProblemData, on: tuple[int, ...]) -> Plan:
        """As the planner within."""
        self._look()
        return self._planner.dispatch(data, on)

    def _look(self) -> None:
        if self._is_stopped():
            raise Stopped
