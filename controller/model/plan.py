"""The plan: what the optimiser decided over the horizon, and the commands that follow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from router.contract import AllocationTable, ClassId, InstanceId, PoolId


class PlanOrigin(StrEnum):
    """Which step of the ladder made the plan; each one below MILP is a step down."""

    MILP = "milp"
    DISPATCH = "dispatch"
    LAST_PLAN = "last_plan"
    GREEDY = "greedy"


@dataclass(frozen=True, slots=True)
class Horizon:
    """Intervals of the plan, [start_s + i·dt_s, start_s + (i+1)·dt_s)."""

    start_s: float
    dt_s: float
    steps: int

    def start_of(self, step: int) -> float:
        """Wall clock at which an interval begins."""
        return self.start_s + step * self.dt_s


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One pool over the horizon; every tuple has one entry an interval.

    Attributes:
        on: instances serving.
        sleeping: instances asleep.
        output_tokens_per_s: ((class, rates), ...) of output tokens.
    """

    pool_id: PoolId
    on: tuple[int, ...]
    sleeping: tuple[int, ...]
    output_tokens_per_s: tuple[tuple[ClassId, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class SitePlan:
    """One site over the horizon; every tuple has one entry an interval.

    Attributes:
        power_w: predicted load: what the site takes.
        limit_w: limit on what is drawn from the grid, None where there is none.
        import_w: drawn from the grid; the load where nothing else stands behind the meter.
        pv_w: taken from photovoltaics; () without any.
        charge_w, discharge_w: into and out of the battery; () without one.
        soc_wh: energy in the battery at the intervals' edges, one entry more than there are; () without one.
    """

    site_id: str
    power_w: tuple[float, ...]
    limit_w: tuple[float | None, ...]
    import_w: tuple[float, ...]
    pv_w: tuple[float, ...] = ()
    charge_w: tuple[float, ...] = ()
    discharge_w: tuple[float, ...] = ()
    soc_wh: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Slack:
    """A promise the plan cannot keep.

    Attributes:
        promise: ``serve``, ``limit``, ``quality``, ``headroom``, ``redundancy``, ``ramp`` or ``final_soc``.
        subject: class, pool or site concerned.
        amount: how much is missing, in `unit`, at the worst interval.
    """

    promise: str
    subject: str
    amount: float
    unit: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Decided numbers over the horizon with their predicted outcome.

    Attributes:
        gap_frac: proven optimality gap, None where there is no bound.
        solve_s: time the solver took.
    """

    horizon: Horizon
    origin: PlanOrigin
    sites: tuple[SitePlan, ...]
    pools: tuple[PoolPlan, ...]
    cost_usd: float
    slack: tuple[Slack, ...] = ()
    gap_frac: float | None = None
    solve_s: float = 0.0

    @property
    def power_w(self) -> tuple[float, ...]:
        """Predicted load of all sites together, one entry an interval."""
        return tuple(sum(site.power_w[t] for site in self.sites) for t in range(self.horizon.steps))

    @property
    def import_w(self) -> tuple[float, ...]:
        """What all sites together draw from the grid, one entry an interval."""
        return tuple(sum(site.import_w[t] for site in self.sites) for t in range(self.horizon.steps))

    def is_limited(self, step: int) -> bool:
        """Whether any site is planned under a limit in an interval."""
        return any(site.limit_w[step] is not None for site in self.sites)


class Verb(StrEnum):
    """What can be done to an instance."""

    WAKE = "wake"
    SLEEP = "sleep"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class InstanceCommand:
    """One thing to do to one instance, with the reason for the record."""

    verb: Verb
    instance_id: InstanceId
    reason: str


@dataclass(frozen=True, slots=True)
class Commands:
    """What the actuators are to do after a tick."""

    table: AllocationTable
    instances: tuple[InstanceCommand, ...] = ()
