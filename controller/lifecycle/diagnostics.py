"""Why a tick decided as it did, as data for records, metrics and the page."""

from __future__ import annotations

from dataclasses import dataclass

from controller.forecast.demand import PERSISTENCE
from controller.model.grid import Precedence
from controller.model.observation import Rung
from controller.model.plan import PlanOrigin, Slack
from router.contract import ClassId, EventState, InstanceId, PoolId


@dataclass(frozen=True, slots=True)
class Fallback:
    """One step down a ladder.

    Attributes:
        ladder: ``plan``, ``dispatch``, ``power``, ``ramp``, ``demand``, ``price``, ``carbon``, ``quality``,
            ``latency``, ``curves``, ``table`` or ``instances``.
        step: what took the place of the better one.
        reason: why.
        subject: class, pool, instance or GPU concerned, for ``curves`` pool and figure; empty where it is the whole
            site.
    """

    ladder: str
    step: str
    reason: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A promise that the plan in force will not keep under a limit.

    Attributes:
        promise: ``serve``, ``quality`` or ``limit``.
        subject: class or site concerned.
        amount: how much will be missing, in `unit`, at the worst interval.
        begins_s: wall clock of the first interval concerned.
    """

    promise: str
    subject: str
    amount: float
    unit: str
    begins_s: float


@dataclass(frozen=True, slots=True)
class EventDiagnostics:
    """The grid event that binds now, or the next one known.

    Attributes:
        baseline_w: mean power before the event, frozen at its start; None before, or without a meter.
        delivered_w: baseline less measured power, None while either is unknown.
        over_limit: measured power exceeds the limit although the ramp has ended.
        asked_limit_w: what is asked for, where the operator has it followed in part; None where that is `limit_w`.
    """

    event_id: str
    state: EventState
    limit_w: float
    start_s: float
    end_s: float
    ramp_s: float
    baseline_w: float | None
    delivered_w: float | None
    over_limit: bool
    asked_limit_w: float | None = None


@dataclass(frozen=True, slots=True)
class ClassDiagnostics:
    """One class: present demand, mean lengths and the state of its quality budget.

    Attributes:
        quality_burnt_frac: mean quality loss over the class's window.
        quality_allowed_frac: largest mean loss planned now.
        quality_left_frac: share of the window's budget that is not burnt, negative where it is overdrawn; None without
            a token served, with a budget of 0, or while it is not known what was burnt.
        planned_tokens_per_s: demand that instances are planned for, per interval of the horizon.
        forecaster: whose forecast that is.
        unkept: latency targets that no pool of the class keeps, of ``inter_token`` and ``first_token``; ``pool`` where
            no pool may serve it at all.
    """

    class_id: ClassId
    demand_tokens_per_s: float
    input_tokens: float
    output_tokens: float
    quality_burnt_frac: float
    quality_allowed_frac: float
    planned_tokens_per_s: tuple[float, ...] = ()
    forecaster: str = PERSISTENCE
    quality_left_frac: float | None = None
    unkept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolDiagnostics:
    """One pool: instances by state, and what the plan wants."""

    pool_id: PoolId
    serving: int
    draining: int
    waking: int
    sleeping: int
    off: int
    unreachable: int
    target_on: int
    tokens_per_s: float
    power_w: float


@dataclass(frozen=True, slots=True)
class RefitFigure:
    """A figure of a pool as it is followed live.

    Attributes:
        name: ``loaded_w``, ``idle_w``, ``sleeping_w`` or ``engine_time``.
        estimate, profile: by the observations, and by the configured curves; W, or share of the time.
        sd: standard deviation of the estimate.
    """

    name: str
    estimate: float
    profile: float
    sd: float


@dataclass(frozen=True, slots=True)
class RefitAlarm:
    """A pool has left its curves in one figure, or in its shape (``misfit``); in words, with what to do."""

    figure: str
    told: str


@dataclass(frozen=True, slots=True)
class PoolRefit:
    """What the live re-fit says of a pool.

    Attributes:
        figures: those that were observed.
        observations, rejected, changes: taken in; left out; times the pool was found to have changed.
        bias_frac: smoothed error of the predicted power, positive where more is drawn.
        alarms: those in force.
        computed_frac: smoothed share of the prompt tokens that no prefix cache held; None where no engine tells, and
            all count as computed.
    """

    pool_id: PoolId
    figures: tuple[RefitFigure, ...]
    observations: int
    rejected: int
    changes: int
    bias_frac: float
    alarms: tuple[RefitAlarm, ...]
    computed_frac: float | None = None


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """All of it.

    Attributes:
        slow_reasons: why the mixed-integer plan was solved at this tick; empty when it was not.
        plan_origin, dispatch_origin: rungs of the ladder in force.
        slow_solve_s, fast_solve_s: solver times, None where it did not run.
        measured_w, measured_age_s: the site's meter, None where missing or stale.
        modelled_w: power by the model for the instances' observed states and rates.
        charged_w: the same by the plan's rule, in which an instance with work draws P0 all the time.
        planned_w: power the dispatch predicts for the serving instances.
        bias_w: correction in force.
        limit_w: limit in force now at the meter, None without one.
        effective_limit_w: what is planned for, after margin.
        price_usd_per_mwh, carbon_kg_per_mwh: in force now.
        draining: instances on their way to sleep.
        holding: why instances are left as they are, None when they are not.
        power_rung: where the site's power is known from.
        margin_frac: share of the limits kept free on that rung.
        refits: what the live re-fit says of each pool; () where it is off.
        foreseen: promises that the plan in force will not keep under a limit.
        precedence: what yields to the limit that binds now, or would without one.
        is_only_returning: whether nothing but the return from events bounds the draw.
    """

    now_s: float
    slow_reasons: tuple[str, ...]
    plan_origin: PlanOrigin | None
    dispatch_origin: PlanOrigin | None
    slow_solve_s: float | None
    fast_solve_s: float | None
    fallbacks: tuple[Fallback, ...]
    slack: tuple[Slack, ...]
    measured_w: float | None
    measured_age_s: float | None
    router_age_s: float | None
    modelled_w: float
    charged_w: float
    planned_w: float
    bias_w: float
    limit_w: float | None
    effective_limit_w: float | None
    price_usd_per_mwh: float
    carbon_kg_per_mwh: float
    classes: tuple[ClassDiagnostics, ...]
    pools: tuple[PoolDiagnostics, ...]
    draining: tuple[InstanceId, ...]
    event: EventDiagnostics | None
    holding: str | None
    power_rung: Rung = Rung.METER
    margin_frac: float = 0.0
    refits: tuple[PoolRefit, ...] = ()
    foreseen: tuple[Foreseen, ...] = ()
    precedence: Precedence = Precedence.CONTRACT
    is_only_returning: bool = False

    @property
    def steps_down(self) -> tuple[Fallback, ...]:
        """Every ladder's steps below its top, instances that are held among them."""
        held = () if self.holding is None else (Fallback("instances", "hold", self.holding),)
        return (*self.fallbacks, *held)
