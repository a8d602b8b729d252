"""A service among several: its candidacy, and the parts of it that run on the leader alone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.actuators.allocation_redis import RedisPublisher
from controller.actuators.instance_tasks import InstanceTasks
from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import ConfigError
from controller.lifecycle.handback import Sleeper
from controller.loop.leadership import Leadership, SoleLeader
from controller.loop.succession import Succession
from controller.loop.succession_parts import Candidate, Gpus, SuccessionParts
from controller.metrics.leadership import LeadershipFigures, LeadershipMetrics
from controller.service.acting import Tables
from controller.service.options import ElectionSpec, Frame
from controller.signals import asked
from controller.signals.calls import CallBook
from controller.signals.derates import DerateBook
from controller.signals.quality_book import QualityBook

_LOOK_S = 0.5


class Announcement:
    """Passes on to others that something has changed; they are named once they exist."""

    def __init__(self) -> None:
        self._told: list[Callable[[], None]] = []

    def tell(self, whom: Callable[[], None]) -> None:
        """Pass it on to this one, too."""
        self._told.append(whom)

    def __call__(self) -> None:
        """It has changed."""
        for whom in self._told:
            whom()


@contextlib.asynccontextmanager
async def lease_candidate(
    spec: ElectionSpec, clock: Clock, works: Works, on_change: Callable[[], None]
) -> AsyncIterator[Candidate]:
    """Stand for election by a Lease until the end.

    Raises:
        ConfigError: lightkube is not installed, there is no cluster, or the lease may not be had.
    """
    try:
        from controller.kubernetes.client import opened_client
        from controller.kubernetes.election import LeaseElection, LeasePlace
        from controller.kubernetes.lease import Election, LeaseTimes
    except ImportError as error:
        raise ConfigError(
            "controller.election: lightkube is not installed; pip install 'wattroute[kubernetes]'"
        ) from error
    times = LeaseTimes(spec.lease_s, spec.renew_every_s, spec.renew_deadline_s, min(2.0, spec.renew_every_s))
    async with opened_client(spec.namespace) as client:
        place = LeasePlace(spec.name, spec.namespace or client.namespace)
        election = LeaseElection(client, place, Election(spec.identity, times), clock, Random(), on_change=on_change)
        await election.begin()
        async with in_background(election.run, Work.ELECTION, works=works):
            yield election


@dataclass(frozen=True, slots=True)
class Charge:
    """What changes hands with the lead.

    Attributes:
        take: called with the instances that sleep by the controllers' command.
        gpus: that are limited.
    """

    tables: Tables
    tasks: InstanceTasks
    book: CallBook
    quality: QualityBook
    derates: DerateBook
    take: Callable[[tuple[Sleeper, ...]], None]
    gpus: Gpus


@contextlib.asynccontextmanager
async def opened_leadership(frame: Frame, charge: Charge, changed: Announcement) -> AsyncIterator[Leadership]:
    """Who may act: this service alone, or the one of several that leads.

    Raises:
        ConfigError: it cannot stand for election.
    """
    spec, redis = frame.options.election, charge.tables.redis
    if spec is None or redis is None or redis.shared is None:
        yield SoleLeader()
        return
    async with spec.stand(spec, frame.clock, frame.works, changed) as candidate:

        def lost() -> None:
            charge.tables.board.clear()
            charge.tasks.give_up()

        parts = SuccessionParts(
            site=frame.site,
            candidate=candidate,
            shared=redis.shared,
            address=spec.address,
            asked=lambda now_s: asked.asked_of(charge.book, charge.quality, charge.derates, now_s),
            adopt_asked=lambda theirs, now_s, leads: asked.adopt(
                theirs, charge.book, charge.quality, charge.derates, now_s, leads=leads
            ),
            sleep=frame.clock.sleep,
            take_charge=charge.take,
            let_go=charge.tasks.adopt,
            on_followed=charge.tasks.doubt,
            on_lost=lost,
            gpus=charge.gpus,
        )
        succession = Succession(parts)
        LeadershipMetrics(frame.telemetry.registry, lambda: _figures(succession))
        yield succession


def _figures(succession: Succession) -> LeadershipFigures:
    told = succession.status
    return LeadershipFigures(
        succession.may_act(),
        told.has_standby,
        told.failure is not None,
        succession.takeovers,
        succession.handover_bytes or None,
    )


class LeadersRegistry(Collector):
    """Metrics of what runs on the leader alone; none while it does not run.

    Attributes:
        present: where those of the present run go.
    """

    def __init__(self) -> None:
        self.present = CollectorRegistry()

    def describe(self) -> list[Metric]:
        """Nothing: what runs changes."""
        return []

    def collect(self) -> list[Metric]:
        """All of the present ones."""
        return list(self.present.collect())


Begin = Callable[[CollectorRegistry], contextlib.AbstractAsyncContextManager[object]]


@contextlib.asynccontextmanager
async def on_the_leader(
    frame: Frame, leadership: Leadership, begin: Begin, end: Callable[[], None]
) -> AsyncIterator[None]:
    """Run something while this controller leads; without an election, all the time.

    Args:
        frame: of the service.
        leadership: whether it leads.
        begin: what is to run, given where its metrics go.
        end: called when it has ended because the lead was lost.

    Raises:
        ControllerError: of `begin`, without an election; with one it is told, and begun again.
    """
    if leadership.status is None:
        async with begin(frame.telemetry.registry):
            yield
        return
    metrics = LeadersRegistry()
    frame.telemetry.registry.register(metrics)

    async def run() -> None:
        while True:
            while not leadership.may_act():
                await frame.clock.sleep(_LOOK_S)
            metrics.present = CollectorRegistry()
            try:
                async with begin(metrics.present):
                    while leadership.may_act():
                        await frame.clock.sleep(_LOOK_S)
            finally:
                metrics.present = CollectorRegistry()
                end()

    async with in_background(run, Work.LEADING, works=frame.works):
        yield


class LeadersRates:
    """Energy rates for routers, written by the leader alone."""

    def __init__(self, redis: RedisPublisher, leadership: Leadership) -> None:
        self._redis = redis
        self._leadership = leadership

    async def put_rates(self, body: bytes, ttl_s: float) -> None:
        """Write them where this controller leads; raises `ActuationError` where that fails."""
        if self._leadership.may_act():
            await self._redis.put_rates(body, ttl_s)


class LeadersLoads:
    """Engines' loads for routers, written by the leader alone."""

    def __init__(self, redis: RedisPublisher, leadership: Leadership) -> None:
        self._redis = redis
        self._leadership = leadership

    async def put_loads(self, body: bytes, ttl_s: float) -> None:
        """Write them where this controller leads; raises `ActuationError` where that fails."""
        if self._leadership.may_act():
            await self._redis.put_loads(body, ttl_s)
