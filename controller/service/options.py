"""What the controller's service is put together from: where it reads and acts, and what an operator chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from controller.background import Works
from controller.clock import Clock
from controller.kubernetes.owners import Scaled
from controller.lifecycle.handback import OnExit
from controller.lifecycle.joules import JoulePolicy
from controller.loop.clock_judge import ClockWatch
from controller.loop.runner import RunnerOptions
from controller.loop.succession_parts import Candidate
from controller.metrics.telemetry import Telemetry
from controller.model.call import OPERATOR
from controller.model.fleet import Site
from controller.model.gpu_limit import GpuLimit
from controller.model.programme import Programme
from controller.openadr.specs import VenSpec
from controller.openadr2.specs import Ven2Spec
from controller.ports import EngineClient
from controller.service.proof import ProofOptions
from controller.signals.canary_setup import CanarySetup
from controller.signals.feeds import Feed
from controller.signals.power.specs import PowerSpecs, ZeusdSpec
from controller.signals.present import Present, RosterSource
from controller.store.meter_file import Retention
from controller.tick import Planner, TickPolicy
from router.contract import PoolId
from router.transport.redis_place import RedisPlace


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the controller reads and acts; None and empty mean that there is none.

    Attributes:
        engines: asks the engines of the pools.
        rosters: finds the instances of pools that do not list theirs.
        power: sources of GPU power and of the site's meter.
        supervisor_headers: that the supervisor wants to be shown.
        zeusd: daemons that may limit GPUs.
        redis: that the table goes through.
        workloads: of pools whose replicas this controller writes.
        followed: of pools whose pods are let go for an autoscaler that follows what is told.
        engine_headers: that engines of each pool want to be shown, such as their key.
    """

    engines: EngineClient
    power: PowerSpecs = field(default_factory=PowerSpecs)
    router_urls: tuple[str, ...] = ()
    supervisor_url: str | None = None
    supervisor_headers: Mapping[str, str] = field(default_factory=dict)
    zeusd: tuple[ZeusdSpec, ...] = ()
    redis: RedisPlace | None = None
    redis_key: str = "wattroute:allocation"
    rosters: RosterSource | None = None
    workloads: Mapping[PoolId, Scaled] = field(default_factory=dict)
    followed: Mapping[PoolId, Scaled] = field(default_factory=dict)
    engine_headers: Mapping[PoolId, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feeds:
    """One feed a signal."""

    price_usd_per_mwh: Feed
    carbon_kg_per_mwh: Feed

    @property
    def both(self) -> tuple[Feed, Feed]:
        """That of the price, then that of carbon."""
        return self.price_usd_per_mwh, self.carbon_kg_per_mwh


@dataclass(frozen=True, slots=True)
class ElectionSpec:
    """How this service stands for election among several.

    Attributes:
        identity: unique to this process.
        address: where it is reached while it leads.
        namespace: of the lease; None for the pod's own.
        stand: enters the election: given this, both clocks, where background work is counted, and what is called when
            something has changed.
    """

    name: str
    namespace: str | None
    identity: str
    address: str
    stand: Stand
    lease_s: float = 10.0
    renew_deadline_s: float = 7.0
    renew_every_s: float = 2.0


Stand = Callable[[ElectionSpec, Clock, Works, Callable[[], None]], AbstractAsyncContextManager[Candidate]]


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The rest of what an operator chooses.

    Attributes:
        timeout_s: longest wait for one signal.
        token: what changing requests must carry; None lets only this machine make them.
        keep_records: records kept in the ledger: one a second, and one of some 10 kB a decision.
        on_exit: what becomes of the instances that sleep by the controller's command when it lets go of them.
        exit_wait_s: longest wait for them at the end.
        canary: how pools' answers are tested.
        joules: how energy is told off to requests.
        programmes: terms of calls, by name.
        retention: how long the site's power is kept.
        vens: OpenADR servers to follow.
        proof: how long evidence of events is kept, and where the heads of the records are told.
        load_target_programme: whose terms hold for load targets.
        vens2: the same of OpenADR 2.0b.
        clock: how the machine's clock is watched.
        gpu_limits: limits on GPUs, in the order in which they are set as the last means.
        election: how this service and others choose the one that acts; None where it is alone.
        shed_planner: finds what can be shed, beside the loop's own planner; None tells nothing.
    """

    data_dir: Path
    token: str | None = None
    model: str | None = None
    sleep_level: int = 1
    timeout_s: float = 1.5
    keep_records: int | None = 500_000
    on_exit: OnExit = OnExit.WAKE
    exit_wait_s: float = 20.0
    canary: CanarySetup = field(default_factory=CanarySetup)
    joules: JoulePolicy = field(default_factory=JoulePolicy)
    programmes: Mapping[str, Programme] = field(default_factory=lambda: {OPERATOR: Programme(OPERATOR)})
    retention: Retention = field(default_factory=Retention)
    vens: tuple[VenSpec, ...] = ()
    proof: ProofOptions = field(default_factory=ProofOptions)
    load_target_programme: str = OPERATOR
    vens2: tuple[Ven2Spec, ...] = ()
    shed_planner: Planner | None = None
    gpu_limits: tuple[GpuLimit, ...] = ()
    election: ElectionSpec | None = None
    clock: ClockWatch = field(default_factory=ClockWatch)
    pace: RunnerOptions = field(default_factory=RunnerOptions)


@dataclass(frozen=True, slots=True)
class Frame:
    """What all parts of a service are put together for.

    Attributes:
        site: as configured.
        present: with the instances there are.
        works: where background work is counted.
        telemetry: whose registry the parts' metrics go to.
    """

    site: Site
    present: Present
    policy: TickPolicy
    endpoints: Endpoints
    feeds: Feeds
    options: ServiceOptions
    works: Works
    clock: Clock
    telemetry: Telemetry
