"""What one tick hands to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from controller.forecast.demand import DemandState
from controller.forecast.state import ForecastState
from controller.lifecycle.control_error import ControlError
from controller.lifecycle.diagnostics import Foreseen
from controller.lifecycle.drains import Drains
from controller.lifecycle.limits import Followed
from controller.lifecycle.obedience import Astray
from controller.lifecycle.refit_state import RefitState
from controller.model.fleet import Site
from controller.model.observation import ClassDemand
from controller.model.plan import Plan
from controller.settlement.baseline import PowerHistory
from controller.settlement.quality_budget import QualityBurn
from router.contract import AllocationTable, InstanceId, PoolId


class Phase(StrEnum):
    """What the controller wants of an instance."""

    SERVE = "serve"
    DRAIN = "drain"
    SLEEP = "sleep"
    WAKE = "wake"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Intent:
    """One instance's place in its life cycle.

    Attributes:
        since_s: when the phase began.
        sequence: of the first table that lists the instance as draining; None before one does.
        acknowledged_s: when the routers were first seen to obey that table; None before.
        commanded_s: when the phase's command was last given; None before.
        is_let_go: whether it may be taken away by an autoscaler.
    """

    instance_id: InstanceId
    phase: Phase
    since_s: float
    sequence: int | None = None
    acknowledged_s: float | None = None
    commanded_s: float | None = None
    is_let_go: bool = False


@dataclass(frozen=True, slots=True)
class TokenCount:
    """An engine's counters at a time, and the rates since the one before, tokens/s and steps/s.

    Attributes:
        steps, steps_per_s: None where the engine counts none.
        running: sequences in the batch at the beginning of the time that the rates are over, and at its end; those at
            its end twice where there was no count before, or a counter went back.
    """

    instance_id: InstanceId
    observed_at_s: float
    generation_tokens: float
    prompt_tokens: float
    generation_per_s: float = 0.0
    prompt_per_s: float = 0.0
    steps: float | None = None
    steps_per_s: float | None = None
    running: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Raised:
    """When an instance of a pool was last told to come up, or to stay though it was about to go."""

    pool_id: PoolId
    at_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything a tick needs of the ticks before.

    Attributes:
        sequence: of the last table issued.
        table: the last table issued.
        plan: the plan in force, with the time at which it was made.
        demand: smoothed demand of each class.
        forecasts: what was learnt of demand, price and carbon.
        served: last counters of each class, for the quality budgets.
        burns: quality burnt by each class in its window.
        tokens: last counters of each engine.
        bias_w: correction of the power model.
        bias_at_s: when it was last moved.
        history: measured power, for baselines.
        predicted: power of what was decided by the plan's model, without the correction, for ramps.
        margins: what instances planned for more than the present demand added to it in the plan.
        baselines_w: (event_id, W) frozen at each event's start.
        events_key, fleet_key: what the plan in force was made for; a change calls for a new one.
        lacking: the last dispatch could not keep a promise that the plan keeps.
        blind: the plan in force was made before the demand was known well enough.
        refit: what was learnt of the pools' curves.
        followed: the events in force, and the returns from those that are over.
        foreseen: promises that the plan in force will not keep.
        control: how far the draw goes beyond what is set under a limit.
        drains: that were seen to end.
        raised: pools that were.
        proposed: the plan in which pools in mode ``recommend`` are free, made with the plan in force; None without.
        astray: routers that obey tables of somebody else; None while none is seen to.
    """

    started_s: float
    sequence: int
    table: AllocationTable | None
    plan: Plan | None
    planned_at_s: float | None
    intents: tuple[Intent, ...]
    demand: DemandState
    forecasts: ForecastState
    served: tuple[ClassDemand, ...]
    burns: tuple[QualityBurn, ...]
    tokens: tuple[TokenCount, ...]
    bias_w: float
    bias_at_s: float | None
    history: PowerHistory
    predicted: PowerHistory
    margins: PowerHistory
    baselines_w: tuple[tuple[str, float], ...]
    events_key: tuple[tuple[str, str, float], ...]
    fleet_key: tuple[int, ...]
    lacking: bool
    blind: bool
    refit: RefitState = field(default_factory=RefitState)
    followed: Followed = field(default_factory=Followed)
    foreseen: tuple[Foreseen, ...] = ()
    control: ControlError = field(default_factory=ControlError)
    drains: Drains = field(default_factory=Drains)
    raised: tuple[Raised, ...] = ()
    proposed: Plan | None = None
    astray: Astray | None = None

    @classmethod
    def initial(cls, site: Site, now_s: float) -> Memory:
        """Nothing known yet.

        The sequence begins at the wall clock's milliseconds, so that a restarted controller of the same issuer goes on
        above the tables of its former life.
        """
        return cls(
            started_s=now_s,
            sequence=max(0, int(now_s * 1000)),
            table=None,
            plan=None,
            planned_at_s=None,
            intents=(),
            demand=DemandState(),
            forecasts=ForecastState(),
            served=(),
            burns=tuple(QualityBurn.empty(cls_.class_id, cls_.quality_window_s) for cls_ in site.classes),
            tokens=(),
            bias_w=0.0,
            bias_at_s=None,
            history=PowerHistory(),
            predicted=PowerHistory(),
            margins=PowerHistory(),
            baselines_w=(),
            events_key=(),
            fleet_key=(),
            lacking=False,
            blind=False,
        )
