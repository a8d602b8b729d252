"""The whole configuration file: the router's half and the controller's sections, validated once.

The data plane owns the sections it reads (`router.settings`); this module adds the controller's own. Cross-checks that
need both halves, such as a plan for every pool, are made here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from controller.energy.attribution import IdlePolicy
from controller.errors import ConfigError
from controller.forecast.policy import DemandForecast
from controller.lifecycle.handback import OnExit
from controller.lifecycle.policy import Mode, Precedence
from controller.model.perf import Evidence
from controller.optimizer.solver_name import SolverName
from controller.power_settings.gpus import DcgmSettings, GpuPowerSettings
from controller.power_settings.ladder import PowerLadderSettings, power_specs, refuse_gpus
from controller.power_settings.meter import MeterSettings
from controller.quality.table import Task
from controller.quality_settings import QualitySettings
from controller.signals.power.specs import PowerSpecs
from router import config_file
from router.contract import Precision
from router.errors import SettingsError
from router.settings import Group, Name, Port, RouterFile, Seconds

Watts = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Frac = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


CURVES_SUFFIXES = (".yaml", ".yml")
"""Endings by which a curves file is told from the name of a built-in profile."""


def _to_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone; write e.g. {value.isoformat()}Z")
    return value.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(_to_utc)]


class SiteSettings(Group):
    """The metering point."""

    name: Name = "site"
    gpus: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """GPUs installed. Absent: those that the instances occupy."""
    pue: Annotated[float, Field(ge=1, le=3)] = 1.0
    """Facility power over IT power."""
    aux_w: Watts = 0.0
    """Constant load behind the same meter that is not GPUs."""
    spare_gpu_w: Watts = 0.0
    """Power of an installed GPU that no instance occupies."""
    import_limit_w: Watts | None = None
    """Standing limit on the site's import. Absent: none."""


class CurveSettings(Group):
    """Curves of one instance, where no built-in profile fits; see docs/reference/curves.md for their meaning."""

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
    off_w: Watts = 0.0
    wake_s: NotNegative
    sleep_s: NotNegative
    start_s: NotNegative
    evidence: Evidence
    """Whether the figures were measured on this hardware."""
    source: Annotated[str, Field(min_length=1)]
    """Where the figures come from."""


class PoolPlanSettings(Group):
    """What the planner needs to know of a pool."""

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
    start_usd: NotNegative = 0.0
    """Cost set on waking an instance, against needless switching."""
    gpu_uuids: tuple[tuple[str, ...], ...] | None = None
    """UUIDs of each instance's GPUs, in the order of the instances. Absent: the emulator's names."""


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
    carbon_usd_per_kg: NotNegative = 0.0
    """Price set on emissions."""
    may_stop: bool = False
    """Whether sleeping instances may be stopped, where controller.supervisor_url can start them again. Their return is
    a cold start."""
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


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r} is no time zone that this machine knows; write an IANA name such as America/Chicago, and see "
            "that the system's tzdata package is installed"
        ) from error
    return name


class ForecastSettings(Group):
    """How the demand, price and carbon of the coming intervals are foreseen; see docs/reference/forecasts.md."""

    demand: DemandForecast = DemandForecast.BEST
    """best: by the forecaster with the best record, at `demand_quantile`. present: the present rate lasts."""
    demand_quantile: Annotated[float, Field(ge=0.5, le=0.99)] = 0.8
    """Share of the outcomes that the planned demand of an interval is to cover. More costs instances for peaks that
    rarely come; at 0.5 every second interval exceeds its plan, and lives on `plan.utilisation_frac`. 0.8 stands on top
    of that room; take 0.9 or more where an instance takes minutes to start."""
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    """Zone whose clock the users live by, so that their days stay days when clocks change, e.g. Europe/Berlin."""
    switch_margin_frac: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share by which another forecaster's loss must be lower to take over; 0 follows every whim of the scores."""


class ConstantFeed(Group):
    """A value that does not change."""

    kind: Literal["constant"]
    value: Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class CsvFeed(Group):
    """A recorded series, replayed from `data_start` on."""

    kind: Literal["csv"]
    path: str
    """CSV file, or the name of a bundled one: ercot_dam_lz_usd_per_mwh.csv, caiso_moer_pge_2020-08.csv."""
    time_column: str
    value_column: str
    scale: Positive = 1.0
    """Factor to USD/MWh or kg/MWh: 1000 for a column in kg/kWh."""
    data_start: UtcTime
    """Time in the file that the start of the controller is mapped to."""
    speed: Positive = 1.0
    """Seconds in the file per second."""
    forecast_columns: dict[str, Positive] = Field(default_factory=dict)
    """Columns of what was forecast in each row's interval, with the seconds ahead that each is of. Empty: the recorded
    values are told as far ahead as a market would tell them."""

    @model_validator(mode="after")
    def _leads_differ(self) -> CsvFeed:
        leads_s = list(self.forecast_columns.values())
        if len(set(leads_s)) < len(leads_s):
            raise ValueError(f"forecast_columns: {leads_s} are not different times ahead; give each column its own")
        return self


Feed = Annotated[ConstantFeed | CsvFeed, Field(discriminator="kind")]


class SignalSettings(Group):
    """Where the controller reads."""

    dcgm_urls: tuple[str, ...] = ()
    """Metrics addresses of dcgm-exporters, e.g. http://10.0.0.7:9400/metrics: short for a source of `power`."""
    power: Annotated[tuple[GpuPowerSettings, ...], Field(max_length=64)] = ()
    """Sources of GPU power; of several for one GPU the surest fresh one counts, those of a rung in this order."""
    meter: Annotated[tuple[MeterSettings, ...], Field(max_length=8)] = ()
    """The site's meter; several are tried in this order."""
    power_ladder: PowerLadderSettings = PowerLadderSettings()
    """Margins and times of the ladder between them."""
    router_urls: tuple[str, ...] = ()
    """Admin addresses of the routers, e.g. http://127.0.0.1:8081."""
    price_usd_per_mwh: Feed | None = None
    """Electricity price. Absent: missing, the plan then minimises energy at `fallback_price_usd_per_mwh`."""
    carbon_kg_per_mwh: Feed | None = None
    """Marginal emission rate. Absent: missing, emissions then carry no cost."""
    fallback_price_usd_per_mwh: NotNegative = 50.0
    """Price assumed while none is known."""
    timeout_s: Seconds = 1.5
    """Longest wait for one source."""
    stale_s: Seconds = 15.0
    """Age at which a reading counts as missing; a power reading should be younger than the ramp."""

    @model_validator(mode="after")
    def _power_is_whole(self) -> SignalSettings:
        self.power_specs()
        return self

    def power_specs(self) -> PowerSpecs:
        """What the sources of power are opened from."""
        short = (DcgmSettings(kind="dcgm", urls=self.dcgm_urls),) if self.dcgm_urls else ()
        return power_specs(
            (*short, *self.power), self.meter, self.power_ladder.rules(self.stale_s), timeout_s=self.timeout_s
        )


class ControllerSettings(Group):
    """The controller process."""

    mode: Mode = Mode.OBSERVE
    """observe: measure, plan and record. recommend: also show what would be done. act: move weights and instances."""
    host: str = "127.0.0.1"
    """Address of the API and the dashboard."""
    port: Port = 8090
    """Port of the API and the dashboard."""
    token_file: Path | None = None
    """File with the bearer token that operators' requests must carry. Absent: only this machine may send them."""
    tick_s: Seconds = 5.0
    """Time between two decisions."""
    table_ttl_s: Seconds = 60.0
    """How long routers may obey a table when the controller is gone."""
    data_dir: Path = Path("wattroute-data")
    """Folder of the ledger, the decision records and the state that outlasts a restart."""
    keep_records: Annotated[int, Field(ge=10_000, le=1_000_000_000)] = 500_000
    """Newest records kept in the ledger: one a second, and one of some 10 kB a decision."""
    on_exit: OnExit = OnExit.WAKE
    """What becomes of the instances that sleep by the controller's command when it ends, or comes back in a mode other
    than act. wake: they are woken, under a limit in force only as far as it leaves room. leave: they stay asleep."""
    exit_wait_s: Seconds = 20.0
    """Longest wait for instances that wake at the controller's end; less than its supervisor's patience."""
    supervisor_url: str | None = None
    """Control address of a supervisor that can start and stop instances. Absent: instances are only put to sleep."""
    sleep_level: Annotated[int, Field(ge=1, le=2)] = 1
    """vLLM's sleep level: 1 keeps the weights in host memory, 2 drops them."""


class EnergySettings(Group):
    """How energy is told off to requests; see docs/reference/energy.md."""

    idle: IdlePolicy = IdlePolicy.SHARED
    """What becomes of the energy that instances draw whether they serve or not. shared: the requests of the moment bear
    that of their pool, in proportion to their active energy. kept: an account of its own."""
    settle_s: Annotated[float, Field(ge=10, le=3600)] = 60.0
    """Time between two records in the ledger; tenants share what was used in it."""


class EmulatorSettings(Group):
    """The emulated engines and GPUs, for trying the system without hardware."""

    control_host: str = "127.0.0.1"
    control_port: Port = 9400
    """GPU metrics as a dcgm-exporter serves them, and the switches of the instances."""
    seed: int = 0
    """Seed of the emulated answers."""
    initially_on: dict[Name, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Instances of a pool that serve at the start, the others sleep. Absent: all serve."""
    disagreement_frac: dict[Precision, Frac] = Field(
        default_factory=lambda: {Precision.FP8: 0.04, Precision.INT8: 0.04, Precision.INT4: 0.1}
    )
    """Share of greedy answers (temperature 0) that part from those of other precisions, by precision. Absent
    precisions: none. No measurement: a lower precision's answers do part, and canaries must bear that."""


class Settings(RouterFile):
    """The whole file."""

    site: SiteSettings = SiteSettings()
    plan: PlanSettings = PlanSettings()
    forecast: ForecastSettings = ForecastSettings()
    signals: SignalSettings = SignalSettings()
    controller: ControllerSettings = ControllerSettings()
    energy: EnergySettings = EnergySettings()
    emulator: EmulatorSettings = EmulatorSettings()
    quality: QualitySettings = QualitySettings()

    @model_validator(mode="after")
    def _halves_agree(self) -> Settings:
        if self.plan.may_stop and self.controller.supervisor_url is None:
            raise ValueError("plan.may_stop needs controller.supervisor_url: nothing else could start them again")
        pools = {pool.name for pool in self.pools}
        classes = {cls.name for cls in self.classes}
        _refuse_strangers("plan.pools", set(self.plan.pools), pools)
        _refuse_strangers("plan.classes", set(self.plan.classes), classes)
        _refuse_strangers("emulator.initially_on", set(self.emulator.initially_on), pools)
        reference, offered = self.quality.canary.reference, {pool.precision for pool in self.pools}
        if reference is not None and reference not in offered:
            raise ValueError(f"quality.canary.reference: no pool is of precision {reference.value}")
        for pool in self.pools:
            plan = self.plan.pools.get(pool.name)
            uuids = plan.gpu_uuids if plan else None
            if plan and uuids and [len(group) for group in uuids] != [plan.gpus_per_instance] * len(pool.instances):
                raise ValueError(
                    f"plan.pools.{pool.name}.gpu_uuids: {plan.gpus_per_instance} UUIDs are expected for each of the "
                    f"{len(pool.instances)} instances, not {[len(group) for group in uuids]}"
                )
            if plan:
                _refuse_bounds(pool.name, plan, len(pool.instances))
        refuse_gpus(
            [uuid for plan in self.plan.pools.values() for group in plan.gpu_uuids or () for uuid in group],
            self.signals.power,
        )
        for cls in self.classes:
            usable = [pool for pool in self.pools if not cls.precisions or pool.precision in cls.precisions]
            promised = self.plan.classes.get(cls.name)
            if promised and promised.survives_loss and sum(len(pool.instances) for pool in usable) < 2:
                raise ValueError(
                    f"plan.classes.{cls.name}.survives_loss: the pools that the class may use have one instance; add "
                    "instances, widen its precisions, or leave the key out"
                )
        return self

    def require_plan(self) -> None:
        """Check what the controller and the emulator need and a router alone does not.

        Raises:
            ConfigError: a pool has no entry in plan.pools.
        """
        absent = [pool.name for pool in self.pools if pool.name not in self.plan.pools]
        if absent:
            raise ConfigError(
                f"plan.pools has no entry for {', '.join(map(repr, absent))}: the planner needs each pool's GPUs and "
                "curves; see deploy/examples/laptop.yaml"
            )


def _refuse_bounds(name: str, plan: PoolPlanSettings, instances: int) -> None:
    most = instances if plan.max_on is None else min(plan.max_on, instances)
    if plan.min_on > most:
        raise ValueError(
            f"plan.pools.{name}.min_on is {plan.min_on}, but at most {most} of its {instances} instances may serve; "
            "lower min_on, or raise max_on or the number of instances"
        )


def _refuse_strangers(where: str, named: set[str], known: set[str]) -> None:
    strangers = sorted(named - known)
    if strangers:
        raise ValueError(f"{where}: {', '.join(map(repr, strangers))} is not among {sorted(known)}")


def load(path: Path) -> Settings:
    """Read and validate the file.

    Raises:
        ConfigError: file, line, key and remedy of every fault.
    """
    try:
        return _with_curves_beside(config_file.load(path, Settings), path.parent)
    except SettingsError as error:
        raise ConfigError(str(error)) from error


def _with_curves_beside(settings: Settings, folder: Path) -> Settings:
    """The same with the places of curves files told from here: in the configuration they are told from its folder."""
    pools = {
        name: pool.model_copy(update={"curves": str(folder / pool.curves)})
        if isinstance(pool.curves, str) and pool.curves.endswith(CURVES_SUFFIXES)
        else pool
        for name, pool in settings.plan.pools.items()
    }
    return settings.model_copy(update={"plan": settings.plan.model_copy(update={"pools": pools})})
