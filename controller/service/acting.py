"""Where a service acts: who is told its tables, and who carries out its commands to instances."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from controller.actuators.allocation_http import AllocationBoard
from controller.actuators.allocation_redis import RedisPublisher
from controller.actuators.engines import EngineDriver
from controller.actuators.instance_tasks import InstanceTasks
from controller.actuators.supervisor import SupervisorDriver
from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import ActuationError, ConfigError
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.policy import Mode
from controller.lifecycle.roster import place_of
from controller.loop.custody import Custody, CustodyOptions, firm_limit_of
from controller.model.grid import GridEvent
from controller.model.plan import InstanceCommand
from controller.ports import Actuator, InstanceDriver
from controller.service.options import Endpoints, Frame

if TYPE_CHECKING:
    from controller.kubernetes.marks import Marks
    from controller.kubernetes.release import Release

log = logging.getLogger(__name__)

RESTORE_S = 0.5
"""Time between two looks whether Redis has the table."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Where tables are told.

    Attributes:
        board: for routers that ask.
        redis: None where there is none.
    """

    board: AllocationBoard
    redis: RedisPublisher | None

    @property
    def publishers(self) -> tuple[Actuator, ...]:
        """All of them."""
        return (self.board,) if self.redis is None else (self.board, self.redis)


@contextlib.asynccontextmanager
async def opened_tables(endpoints: Endpoints, clock: Clock, identity: str | None = None) -> AsyncIterator[Tables]:
    """Where tables are told, until the end; `identity` is that of one controller among several."""
    redis = _redis(endpoints, clock, identity)
    try:
        yield Tables(AllocationBoard(), redis)
    finally:
        if redis is not None:
            await redis.close()


@contextlib.asynccontextmanager
async def restoring_tables(
    tables: Tables, may_act: Callable[[], bool], clock: Clock, works: Works
) -> AsyncIterator[None]:
    """Have a Redis that comes back, empty or as another, hold the last table, sooner than the next tick writes it."""
    redis = tables.redis
    if redis is None:
        yield
        return

    async def restore() -> None:
        is_told = False
        while True:
            await clock.sleep(RESTORE_S)
            if not may_act():
                continue
            try:
                if await redis.restore():
                    log.warning("redis lacked the last table, and has it now")
            except ActuationError as error:
                if not is_told:
                    log.warning("it is not seen whether redis has the table", extra={"reason": str(error)})
                is_told = True
            else:
                is_told = False

    async with in_background(restore, Work.TABLE, works=works):
        yield


def _require_lightkube() -> None:
    if importlib.util.find_spec("lightkube") is None:
        raise ConfigError("plan.pools.NAME.workload: lightkube is not installed; pip install 'wattroute[kubernetes]'")


@dataclass(frozen=True, slots=True)
class Starting:
    """What starts and stops instances.

    Attributes:
        driver: a supervisor of processes, replicas of workloads, or both; None where there is neither.
        marks: those of the pods whose replicas are written, which are to see each table; None where none are.
    """

    driver: InstanceDriver | None = None
    marks: Marks | None = None


@contextlib.asynccontextmanager
async def opened_starting(
    frame: Frame, session: aiohttp.ClientSession, may_act: Callable[[], bool] = lambda: True
) -> AsyncIterator[Starting]:
    """What starts and stops instances, until the end; `may_act` says whether this controller leads.

    Raises:
        ConfigError: a pool has a workload, and lightkube is not installed or there is no cluster.
    """
    endpoints, present = frame.endpoints, frame.present.site
    supervisor = None
    if endpoints.supervisor_url is not None:
        supervisor = SupervisorDriver(session, endpoints.supervisor_url, headers=endpoints.supervisor_headers)
    if not endpoints.workloads:
        yield Starting(supervisor)
        return
    _require_lightkube()
    from controller.kubernetes.client import opened_client
    from controller.kubernetes.marks import Marks, opened_marks
    from controller.kubernetes.scale import ScaleDriver, placed

    async with opened_client() as client:
        pools = placed(endpoints.workloads, client.namespace)
        acted = {pool_id: each.workload for pool_id, each in pools.items() if not frame.site.pool(pool_id).is_held}
        async with opened_marks(Marks(client, acted, present, frame.clock)) as marks:
            driver = ScaleDriver(client, pools, present, marks, others=supervisor, may_act=may_act)
            yield Starting(driver, marks if frame.policy.mode is Mode.ACT else None)


@contextlib.asynccontextmanager
async def opened_releasing(frame: Frame) -> AsyncIterator[Release | None]:
    """What lets pods go for an autoscaler, until the end; None where this controller does not act, or none follows.

    Raises:
        ConfigError: a pod has to be marked, and lightkube is not installed or there is no cluster.
    """
    followed = frame.endpoints.followed
    if not followed or frame.policy.mode is not Mode.ACT:
        yield None
        return
    _require_lightkube()
    from controller.kubernetes.client import opened_client
    from controller.kubernetes.release import Release, opened_release
    from controller.kubernetes.scale import placed

    async with opened_client() as client:
        workloads = {pool_id: each.workload for pool_id, each in placed(followed, client.namespace).items()}
        async with opened_release(Release(client, workloads, frame.present.site, frame.clock)) as release:
            yield release


def instance_tasks(frame: Frame, starting: Starting, release: Release | None = None) -> InstanceTasks:
    """What carries commands out.

    Args:
        frame: of the service.
        starting: starts and stops instances.
        release: lets them go for an autoscaler; None where none follows.
    """
    endpoints, options = frame.endpoints, frame.options
    engines = EngineDriver(
        endpoints.engines,
        frame.present.site,
        frame.clock,
        sleep_level=options.sleep_level,
        model=options.model,
        headers=endpoints.engine_headers,
    )
    drivers: tuple[InstanceDriver, ...] = (engines,) if starting.driver is None else (engines, starting.driver)
    if release is not None:
        drivers = (*drivers, release.driver(engines, starting.driver))
    forgets = () if starting.marks is None else (starting.marks.forget,)
    leaves = functools.partial(_is_for_others, frame)
    present = frame.present
    return InstanceTasks(
        drivers, frame.clock, leaves=leaves, kept=release, forgets=forgets, is_whole=lambda: present.is_whole
    )


def custody_of(
    frame: Frame,
    tasks: InstanceTasks,
    sleepers: tuple[Sleeper, ...],
    events: Callable[[float], tuple[GridEvent, ...]],
) -> Custody:
    """What gives back the instances that sleep by the controller's command.

    Args:
        frame: the site, and what becomes of the instances at the end.
        tasks: carry commands out.
        sleepers: those of a former process.
        events: those in force at a time; what is left beneath their limits is given back.
    """
    options, import_limit_w, precedence = frame.options, frame.site.import_limit_w, frame.policy.precedence
    return Custody(
        frame.present,
        tasks,
        frame.telemetry,
        CustodyOptions(options.on_exit, options.exit_wait_s),
        sleepers,
        firm_w=lambda now_s: firm_limit_of(events(now_s), import_limit_w, precedence, now_s),
    )


def _redis(endpoints: Endpoints, clock: Clock, identity: str | None) -> RedisPublisher | None:
    if endpoints.redis is None:
        return None
    return RedisPublisher(endpoints.redis, clock, key=endpoints.redis_key, identity=identity)


def _is_for_others(frame: Frame, command: InstanceCommand) -> bool:
    """Whether it is for others to obey: a place is filled by whoever scales its pool."""
    place = place_of(command.instance_id)
    return place is not None and place[0] not in frame.endpoints.workloads
