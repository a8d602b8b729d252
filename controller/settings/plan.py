"""The section `plan`: what the planner knows of pools, promises to classes, and does within which limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.model.grid import Precedence
from controller.model.mode import Mode
from controller.model.perf import Evidence
from controller.optimizer.solver_name import SolverName
from controller.quality.table import Task
from controller.settings.fields import Frac, NotNegative, Positive, Watts
from controller.settings.gpu_limits import ClockSettings
from controller.settings.serve import ServeSettings
from controller.settings.workload import WorkloadSettings
from router.contract import Precision
from router.settings import Group, Name, Seconds

CURVES_SUFFIXES = (".yaml", ".yml")
"""Endings by which a curves file is told from the name of a built-in profile."""


class CurveFigures(Group):
    """Figures of one instance's curves; docs/reference/curves.md tells their meaning."""

    step_base_s: Positive
    step_per_seq_s: Positive
    step_base_j: Positive
    step_per_seq_j: Positive
    prefill_s_per_token: NotNegative
    prefill_j_per_token: NotNegative
    kv_capacity_tokens: Annotated[int, Field(ge=1)]
    max_num_seqs: Annotated[int, Field(ge=1)]
    idle_w: Watts
    sleeping_w: Watts
    off_w: Watts
    wake_s: NotNegative
    sleep_s: NotNegative
    start_s: NotNegative


class CurveSettings(CurveFigures):
    """Curves of one instance, where no built-in profile fits; see docs/reference/curves.md for their meaning."""

    off_w: Watts = 0.0
    evidence: Evidence
    """Whether the figures were measured on this hardware."""
    source: Annotated[str, Field(min_length=1)]
    """Where the figures come from."""


class PoolPlanSettings(Group):
    """What the planner needs to know of a pool."""

    mode: Mode = Mode.ACT
    """How far the controller goes with the pool's instances; controller.mode bounds it. act: they are moved. observe:
    they stay as they are found, are planned so and get requests by the table. recommend: so too, and what would be done
    to them is told."""
    gpu: Annotated[str, Field(min_length=1, max_length=64)]
    """GPU type, e.g. H100."""
    gpus_per_instance: Annotated[int, Field(ge=1, le=1024)]
    """GPUs that one instance occupies."""
    curves: str | CurveSettings
    """Name of a built-in profile, a file that `wattroute profile` wrote (ending in .yaml, beside this file or under an
    absolute path), or the curves themselves."""
    quality_loss_frac: Frac | None = None
    """Mean score lost against the model's best precision; 0.006 is 0.6 %. Absent: what the quality table says of
    `model` at the pool's precision (its worst kind of task), or 0 where no model is named."""
    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Model to look up in the quality table, e.g. Llama-3.1-70B; see `wattroute quality table`."""
    min_on: Annotated[int, Field(ge=0)] = 0
    """Fewest instances kept serving."""
    max_on: Annotated[int, Field(ge=0)] | None = None
    """Most instances that may serve. Absent: all."""
    min_up_s: NotNegative = 60.0
    """Least time between an instance's wake and its next sleep."""
    lower_after_s: NotNegative = 3600.0
    """Least time between a wake in the pool and the next sleep in it, so that noise is not followed. A limit that calls
    for less ends it."""
    start_usd: NotNegative = 0.0
    """Cost set on waking an instance, against needless switching."""
    gpu_uuids: tuple[tuple[str, ...], ...] | None = None
    """UUIDs of each instance's GPUs, in the order of the instances. Absent: the emulator's names."""
    clocks: ClockSettings | None = None
    """A limit on the power or the clock of its GPUs, set through controller.zeusd. Absent: none is set."""
    can_sleep: bool = True
    """Whether its engines can be put to sleep. false: they are stopped in place of that, where `workload` or
    plan.may_stop with controller.supervisor_url can start them again; else they rest awake, drained and idle."""
    workload: WorkloadSettings | None = None
    """What runs its pods, where they are discovered. Absent: how many there are is for others to decide."""
    serve: ServeSettings | None = None
    """How `wattroute supervise` starts the instances. Absent: somebody else does."""

    @property
    def scaled(self) -> WorkloadSettings | None:
        """The workload whose replicas this controller writes; None where it writes none."""
        return self.workload if self.workload is not None and self.workload.mode == "act" else None


class ClassPlanSettings(Group):
    """What the planner promises a class of requests."""

    quality_loss_frac: dict[Precision, Frac] = Field(default_factory=dict)
    """Mean score that the class's requests lose at a precision, where it is not what the pools say: code and
    mathematics lose more at INT4 than chat does."""
    task: Task | None = None
    """Kind of work: precisions that `quality_loss_frac` leaves out get what the quality table says of it, for the
    pools' `model` or else the file's. Absent: what the pools say."""
    quality_budget_frac: Frac = 1.0
    """Mean quality loss allowed over the window; 1 means unbounded."""
    quality_window_s: Seconds = 86_400.0
    """Window of the quality budget: what was burnt within it counts against what is left. Longer than the horizon,
    so that what an event burns beyond the mean can be paid back within it."""
    quality_may_overdraw: bool = False
    """Whether an event may burn more than the budget has left, to be paid back in the intervals that follow it: at most
    the budget of one horizon. false: only what was saved before may be spent."""
    quality_usd_per_mtoken: NotNegative = 0.0
    """Value set on quality: USD per million output tokens at a loss of 1.0."""
    serve_usd_per_mtoken: Positive = 1000.0
    """Worth of a million output tokens; where not all can be served, the class of least worth yields first."""
    survives_loss: bool = False
    """N-1: whether the pools that the class may use keep the capacity of one instance free, so that any one of them may
    fail without a request of the class being left unserved. Costs the power of about one instance. Room for tails and
    the mean quality may yield until the instance is replaced."""
    itl_slo_s: Seconds = 0.06
    """Inter-token latency target; sets how full an instance may run."""
    ttft_slo_s: Seconds = 2.0
    """Time-to-first-token target, a mean over requests: bounds how much of the engines' time is planned on the pools
    that the class may use; pools whose prefill and step alone take longer are not used for it."""
    expected_input_tokens: Positive = 1024.0
    """Input tokens expected of a request before any was seen."""


class PlanSettings(Group):
    """Horizon, costs and limits of the plan."""

    pools: dict[Name, PoolPlanSettings] = Field(default_factory=dict)
    classes: dict[Name, ClassPlanSettings] = Field(default_factory=dict)
    step_s: Seconds = 300.0
    """Length of an interval of the horizon. Settlement intervals are 5 or 15 min."""
    steps: Annotated[int, Field(ge=1, le=288)] = 12
    """Intervals in the horizon."""
    slow_interval_s: Seconds = 60.0
    """Time between two solves that may move instances; events and shortfalls bring one forward."""
    slow_time_limit_s: Seconds = 5.0
    """Longest such solve; then the last plan is kept."""
    solver: SolverName = SolverName.HIGHS
    """What searches for whole instances. highs: our search on HiGHS. scip (extra `scip`), scipy: these solvers alone, a
    second opinion that takes longer."""
    utilisation_frac: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of an instance's capacity that is planned for, the rest takes queueing."""
    margin_frac: Annotated[float, Field(ge=0, le=0.5)] = 0.03
    """Distance kept below a power limit, for meter and forecast error."""
    meter_error_frac: Annotated[float, Field(ge=0, le=0.5)] = 0.01
    """The meter's part of `margin_frac` (1 %: class 1). Under a limit that is kept the rest gives way to the largest
    excess over what was set that was seen in ten minutes. As much as `margin_frac`: nothing gives way."""
    carbon_usd_per_kg: NotNegative = 0.0
    """Price set on emissions."""
    may_stop: bool = False
    """Whether sleeping instances may be stopped, where controller.supervisor_url or a workload can start them again.
    Their return is a cold start."""
    ramp_up_w_per_s: Positive | None = None
    """Fastest planned rise of the site's power. Absent: no bound."""
    ramp_down_w_per_s: Positive | None = None
    """Fastest planned fall of the site's power. Absent: no bound. A limit is obeyed however steep the way down."""
    precedence: Precedence = Precedence.CONTRACT
    """What yields when a limit and the promises to the classes cannot both be kept. contract_over_qos: quality, then
    requests. qos_over_contract: the limit."""
    prepare_s: NotNegative = 60.0
    """From this long before an event, the instances it needs replace, one at a time, those it does not."""
    warmup_s: NotNegative = 30.0
    """Time of observed demand before an instance is put to sleep."""
    refit: bool = True
    """Whether the pools' curves follow what GPUs and engines count, and doubt of them widens `margin_frac`. On, since
    curves from elsewhere are seldom right and those that are stay as they are. Off: they are taken at their word."""
    baseline_window_s: Seconds = 3600.0
    """The baseline of an event is the mean power over this time before the preparation for it."""
