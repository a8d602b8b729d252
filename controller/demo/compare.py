"""The same run under a virtual clock: the demo's own fleet, to check the simulator, and BF16 alone, to compare with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from controller.clock import Clock
from controller.demo.stage import Stage
from controller.errors import ConfigError
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.model.plan import Plan
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData
from controller.optimizer.planner import Planner
from controller.service import compose, feed_setup
from controller.settings.file import Settings
from controller.settings.signals import SignalSettings
from controller.signals.feeds.feed import AbsentFeed, Feed
from controller.simulation import scenario
from controller.simulation.replay import Timing
from controller.simulation.scenario import Run, Scenario
from controller.simulation.site import Signals
from router.contract import InstanceId

log = logging.getLogger("wattroute.demo")


class Stopped(BaseException):
    """The user does not want to wait for the comparison; no fault, which the ladder of plans would step down from."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both simulated runs."""

    same: Run
    bf16_alone: Run


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a run came to that a simulation of it must know.

    Attributes:
        start_s: wall clock of its first request.
        event: as the controller took it; None where there was none.
    """

    start_s: float
    event: GridEvent | None


async def compared(stage: Stage, replayed: Replayed, clock: Clock, is_stopped: Callable[[], bool]) -> Comparison | None:
    """Simulate a run that was played, in a thread; None, with a log line, where that cannot be or was given up.

    Args:
        stage: what was played.
        replayed: what it came to.
        clock: times the planners.
        is_stopped: whether nobody waits for it any more; asked from the thread.
    """
    events = () if replayed.event is None else (replayed.event,)
    played = scenario_of(stage, replayed.start_s, events)
    try:
        return await asyncio.to_thread(compare, played, lambda: CvxpyPlanner(clock.monotonic_s), is_stopped)
    except ConfigError as error:
        log.warning("no comparison: %s", error)
    except Stopped:
        log.info("the comparison was left out")
    return None


def scenario_of(stage: Stage, start_s: float, events: tuple[GridEvent, ...]) -> Scenario:
    """What was prepared, from a wall clock on and with these events, under a virtual clock."""
    settings = stage.settings
    price, carbon = (_still(settings.signals, name, start_s) for name in feed_setup.NAMES)
    return Scenario(
        site=stage.site,
        policy=compose.build_policy(settings),
        requests=stage.requests,
        signals=Signals(price.read(start_s), carbon.read(start_s), events),
        timing=Timing(start_s, stage.options.seconds, settings.controller.tick_s),
        sleeping=sleeping_at_start(settings, stage.site),
    )


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


def _still(told: SignalSettings, name: str, started_at_s: float) -> Feed:
    """A feed for the comparison in simulated time, which what is read live cannot be part of."""
    feed = feed_setup.still_feed(told, name, started_at_s)
    if feed is None:
        log.info("the comparison goes without %s, which is read live", name)
    return AbsentFeed(name) if feed is None else feed


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
