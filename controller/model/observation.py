"""What the controller knows at a tick: readings with their ages, or why they are missing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.model.fleet import PoolRoster
from controller.model.grid import GridEvent, Series
from router.contract import ClassId, InstanceId, PoolId


class Quality(StrEnum):
    """How a power value came about."""

    DIRECT = "direct"
    ESTIMATED = "estimated"
    EMULATED = "emulated"


@dataclass(frozen=True, slots=True)
class Reading:
    """A power reading of one GPU, or of the site.

    Attributes:
        value_w: power.
        energy_j: counter that only grows, None where the source has none.
        observed_at_s: wall clock.
    """

    value_w: float
    energy_j: float | None
    observed_at_s: float
    source: str
    quality: Quality


@dataclass(frozen=True, slots=True)
class Missing:
    """A reading that could not be had; never the same as zero."""

    source: str
    reason: str
    since_s: float


class Rung(StrEnum):
    """Where the site's power is known from, from the surest to the least sure."""

    METER = "meter"
    """The meter at the site's connection."""
    NVML = "nvml"
    """The boards' own sensors, read on their nodes: NVML, the node agent, zeusd."""
    DCGM = "dcgm"
    """The same sensors, exported and perhaps scraped: older."""
    MODEL = "model"
    """Nothing is measured; the curves tell."""

    @property
    def place(self) -> int:
        """0 for the surest."""
        return list(Rung).index(self)


@dataclass(frozen=True, slots=True)
class PowerConflict:
    """Two sources that disagree on one GPU's power, or on the site's; the higher counts.

    Attributes:
        subject: the GPU's UUID, or ``site``.
        since_s: when they began to.
    """

    subject: str
    higher: str
    higher_w: float
    lower: str
    lower_w: float
    since_s: float


@dataclass(frozen=True, slots=True)
class PowerSourceState:
    """How one configured source of power stands.

    Attributes:
        gpus: GPUs of the site of which it has a fresh reading; 1 for a meter with one.
        age_s: of its oldest reading, fresh or not; None where it has none.
        error: what cannot be read; None where all is well.
    """

    name: str
    rung: Rung
    gpus: int
    age_s: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class PowerLadder:
    """Which step of the ladder of power sources is stood on.

    Attributes:
        rung: in force.
        best: the surest one for which a source is configured.
        reason: why the best is not in force; empty where it is.
        conflicts: those that last.
        error_frac: share by which the meter in force may be off; None where that is not told, or none is in force.
    """

    rung: Rung
    best: Rung
    reason: str = ""
    conflicts: tuple[PowerConflict, ...] = ()
    sources: tuple[PowerSourceState, ...] = ()
    error_frac: float | None = None


class InstanceState(StrEnum):
    """What an instance is doing, as observed."""

    SERVING = "serving"
    SLEEPING = "sleeping"
    WAKING = "waking"
    STARTING = "starting"
    OFF = "off"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class InstanceObservation:
    """One engine's own report.

    Attributes:
        running, waiting: requests in the batch and before it.
        prompt_tokens, generation_tokens: counters since the engine's start.
        since_s: wall clock since when the instance is in this state, as far as known.
        steps: engine steps since the engine's start; None where it counts none.
        cached_tokens: of `prompt_tokens`, those that a prefix cache held, so that they were not computed; None where
            the engine does not tell.
        is_let_go: whether it rests and is the one that goes first, so that an autoscaler may take it away.
        is_unproven: whether it is awake by its own word, but has not answered since it was woken: it counts as asleep,
            though it draws what an idle one does, until it is woken again.
    """

    instance_id: InstanceId
    pool_id: PoolId
    state: InstanceState
    observed_at_s: float
    since_s: float
    running: int = 0
    waiting: int = 0
    prompt_tokens: float = 0.0
    generation_tokens: float = 0.0
    kv_cache_usage_frac: float = 0.0
    steps: float | None = None
    cached_tokens: float | None = None
    is_let_go: bool = False
    is_unproven: bool = False


@dataclass(frozen=True, slots=True)
class ClassDemand:
    """Counters of one class summed over routers; they only grow.

    Attributes:
        requests: requests that arrived, refused ones included.
        finished: requests that ended normally with known usage.
        input_tokens, output_tokens: tokens of the finished ones.
        refused: requests shed by the router.
        rejected: requests that engines found fault with, and which made no tokens.
        output_tokens_by_pool: where the output tokens were served.
    """

    class_id: ClassId
    requests: float
    finished: float
    input_tokens: float
    output_tokens: float
    refused: float = 0.0
    in_flight: int = 0
    queued: int = 0
    output_tokens_by_pool: tuple[tuple[PoolId, float], ...] = ()
    rejected: float = 0.0

    def arrived_since(self, last: ClassDemand) -> float:
        """Requests for tokens that arrived since another look; less than 0 where routers count anew."""
        requests = self.requests - last.requests
        return requests if requests < 0 else max(0.0, requests - max(0.0, self.rejected - last.rejected))


@dataclass(frozen=True, slots=True)
class SpentTokens:
    """Tokens of one class on one instance, summed over routers; they only grow, and hold those of streams under way."""

    instance_id: InstanceId
    class_id: ClassId
    input_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class TenantTokens:
    """Tokens of one tenant by class and pool, of answers that ended; they only grow."""

    tenant: str
    class_id: ClassId
    pool_id: PoolId
    input_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class RouterObservation:
    """What the routers report.

    Attributes:
        acknowledged_sequence: smallest table sequence that any router obeys; -1 while one obeys none.
        highest: the router that obeys the largest sequence, and that; None where it is not told.
        in_flight: requests that routers have under way on an instance, from the choice to the answer's end; an
            instance without an entry has none.
        streams: those of them that are streams of which something has come, so that `spent` has their tokens so far.
        names_taken: routers that say that another one tells of itself under their name.
    """

    observed_at_s: float
    acknowledged_sequence: int
    demand: tuple[ClassDemand, ...]
    in_flight: tuple[tuple[InstanceId, int], ...] = ()
    streams: tuple[tuple[InstanceId, int], ...] = ()
    spent: tuple[SpentTokens, ...] = ()
    tenants: tuple[TenantTokens, ...] = ()
    names_taken: tuple[str, ...] = ()
    highest: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Barred:
    """A pool or an instance that may not serve, because its answers are not to be trusted.

    Attributes:
        name: of the pool or the instance.
        is_pool: which of them.
        source: ``canary`` or ``operator``.
        since_s: wall clock.
    """

    name: str
    is_pool: bool
    source: str
    reason: str
    since_s: float


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything a tick decides upon.

    Attributes:
        now_s: wall clock of the tick.
        site_power: power at the metering point.
        gpu_power: (uuid, reading) pairs.
        price_usd_per_mwh, carbon_kg_per_mwh: what the feeds know of now and later.
        events: those pending or active.
        barred: pools and instances that may not serve.
        power_ladder: where `site_power` is known from; None where it is the meter's by definition.
        rosters: the instances of pools that are discovered, as last told.
        supervisor_faults: what is wrong with the supervisor of the engines, or with engines by its word.
    """

    now_s: float
    instances: tuple[InstanceObservation, ...]
    site_power: Reading | Missing
    gpu_power: tuple[tuple[str, Reading | Missing], ...]
    router: RouterObservation | Missing
    price_usd_per_mwh: Series | Missing
    carbon_kg_per_mwh: Series | Missing
    events: tuple[GridEvent, ...] = ()
    barred: tuple[Barred, ...] = ()
    power_ladder: PowerLadder | None = None
    rosters: tuple[PoolRoster, ...] = ()
    supervisor_faults: tuple[str, ...] = ()
