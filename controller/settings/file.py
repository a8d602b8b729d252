"""The whole configuration file: the sections of both planes, and what must hold between them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from controller.errors import ConfigError
from controller.model.threshold import FeedSignal
from controller.settings.asked import refuse_unfed
from controller.settings.clock import ClockSettings
from controller.settings.emulator import EmulatorSettings
from controller.settings.energy import EnergySettings
from controller.settings.feeds import EventFeed
from controller.settings.forecast import ForecastSettings
from controller.settings.gpu_limits import refuse_limits
from controller.settings.load_target import LoadTargetSettings
from controller.settings.openadr import OpenAdr, refuse_vtns
from controller.settings.openadr2 import OpenAdr2
from controller.settings.plan import CURVES_SUFFIXES, PlanSettings, PoolPlanSettings
from controller.settings.power.ladder import refuse_gpus
from controller.settings.power.metering import refuse_unknown_rest
from controller.settings.process import ControllerSettings
from controller.settings.programmes import OPERATOR, Programmes
from controller.settings.quality import QualitySettings
from controller.settings.signals import SignalSettings
from controller.settings.site import SiteSettings
from controller.settings.supervisor import SupervisorSettings
from router import config_file
from router.errors import SettingsError
from router.settings import KubernetesDiscovery, RouterFile
from router.transport.loopback import refuse_readable


class Settings(RouterFile):
    """The whole file."""

    site: SiteSettings = SiteSettings()
    plan: PlanSettings = PlanSettings()
    forecast: ForecastSettings = ForecastSettings()
    signals: SignalSettings = SignalSettings()
    controller: ControllerSettings = ControllerSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    energy: EnergySettings = EnergySettings()
    emulator: EmulatorSettings = EmulatorSettings()
    quality: QualitySettings = QualitySettings()
    programmes: Programmes = Field(default_factory=dict)
    """Terms of demand-response programmes by name; the built-in one is `operator`."""
    clock: ClockSettings = ClockSettings()
    load_target: LoadTargetSettings = LoadTargetSettings()
    openadr: OpenAdr = ()
    """OpenADR 3 servers (VTNs) whose events are followed."""
    openadr2: OpenAdr2 = ()
    """OpenADR 2.0b servers (VTNs) whose events are followed."""

    @model_validator(mode="after")
    def _standby_is_told(self) -> Settings:
        if self.controller.election is not None and self.table.redis_url is None:
            raise ValueError(
                "controller.election needs table.redis_url: table, calls and all that a standby must know go through it"
            )
        return self

    @model_validator(mode="after")
    def _tables_follow_each_other(self) -> Settings:
        next_s = self.controller.tick_s + self.table.poll_interval_s
        if self.controller.table_ttl_s <= next_s:
            raise ValueError(
                f"controller.table_ttl_s is {self.controller.table_ttl_s:g}, not above controller.tick_s and "
                f"table.poll_interval_s together, {next_s:g}: each table would end before routers read the next one; "
                "raise it"
            )
        return self

    @model_validator(mode="after")
    def _thresholds_are_fed(self) -> Settings:
        feeds = {signal: getattr(self.signals, signal.value) for signal in FeedSignal}
        refuse_unfed(
            {name: programme.thresholds for name, programme in self.programmes.items()},
            {signal.value: None if feed is None else feed.kind for signal, feed in feeds.items()},
        )
        return self

    @model_validator(mode="after")
    def _halves_agree(self) -> Settings:
        scales = any(pool.workload is not None for pool in self.plan.pools.values())
        if self.plan.may_stop and self.controller.supervisor_url is None and not scales:
            raise ValueError(
                "plan.may_stop needs controller.supervisor_url, or a plan.pools.NAME.workload: nothing "
                "else could start them again"
            )
        if self.controller.supervisor_token_file is not None:
            urls = () if self.controller.supervisor_url is None else (self.controller.supervisor_url,)
            refuse_readable(urls, "controller.supervisor_token_file")
        pools = {pool.name for pool in self.pools}
        classes = {cls.name for cls in self.classes}
        _refuse_strangers("plan.pools", set(self.plan.pools), pools)
        _refuse_strangers("plan.classes", set(self.plan.classes), classes)
        _refuse_strangers("emulator.initially_on", set(self.emulator.initially_on), pools)
        reference, offered = self.quality.canary.reference, {pool.precision for pool in self.pools}
        if reference is not None and reference not in offered:
            raise ValueError(f"quality.canary.reference: no pool is of precision {reference.value}")
        if self.quality.canary.router_token_file is not None:
            refuse_readable(self.signals.router_urls, "quality.canary.router_token_file")
        for pool in self.pools:
            plan = self.plan.pools.get(pool.name)
            if plan is not None and pool.discovery is None:
                _refuse_misfit(pool.name, plan, len(pool.instances))
            elif plan is not None:
                _refuse_listed(pool.name, plan)
        refuse_gpus(
            [uuid for plan in self.plan.pools.values() for group in plan.gpu_uuids or () for uuid in group],
            self.signals.power,
        )
        refuse_unknown_rest(self.signals.meter, self.site)
        limited = {name: plan for name, plan in self.plan.pools.items() if plan.clocks is not None}
        refuse_limits(
            {name: [uuid for group in plan.gpu_uuids or () for uuid in group] for name, plan in limited.items()},
            self.controller.zeusd,
        )
        feeds = (self.signals.price_usd_per_mwh, self.signals.carbon_kg_per_mwh)
        refuse_vtns(
            (*self.openadr, *self.openadr2),
            set(self.programmes),
            [feed.vtn for feed in feeds if isinstance(feed, EventFeed)],
        )
        _refuse_strangers("load_target.programme", {self.load_target.programme}, {OPERATOR, *self.programmes})
        for cls in self.classes:
            usable = [pool for pool in self.pools if not cls.precisions or pool.precision in cls.precisions]
            promised = self.plan.classes.get(cls.name)
            listed = not any(pool.discovery for pool in usable)
            if promised and promised.survives_loss and listed and sum(len(pool.instances) for pool in usable) < 2:
                raise ValueError(
                    f"plan.classes.{cls.name}.survives_loss: the pools that the class may use have one instance; add "
                    "instances, widen its precisions, or leave the key out"
                )
        return self

    def namespace_of(self, pool: str) -> str | None:
        """Where the workload of a pool is; None is the namespace of the controller's own pod."""
        workload = self.plan.pools[pool].workload
        if workload is not None and workload.namespace is not None:
            return workload.namespace
        (discovery,) = (each.discovery for each in self.pools if each.name == pool)
        return discovery.namespace if isinstance(discovery, KubernetesDiscovery) else None

    @model_validator(mode="after")
    def _workloads_differ(self) -> Settings:
        owners: dict[tuple[str, str | None, str], str] = {}
        for name, plan in self.plan.pools.items():
            if plan.workload is None:
                continue
            place = (plan.workload.kind, self.namespace_of(name), plan.workload.name)
            other = owners.setdefault(place, name)
            if other != name:
                raise ValueError(
                    f"plan.pools.{name}.workload: {place[0]} {place[2]} is that of plan.pools.{other}, too; its "
                    "replicas can follow one pool alone: name each pool's own"
                )
        return self

    def require_plan(self) -> None:
        """Check what the controller and the emulator need and a router alone does not.

        Raises:
            ConfigError: a pool has no entry in plan.pools, or it is not known how many GPUs there are.
        """
        unlisted = [pool.name for pool in self.pools if pool.discovery is not None]
        if unlisted and self.site.gpus is None:
            raise ConfigError(
                f"site.gpus is absent: pools {', '.join(map(repr, unlisted))} do not list their instances, so that the "
                "GPUs cannot be counted; write how many are installed"
            )
        absent = [pool.name for pool in self.pools if pool.name not in self.plan.pools]
        if absent:
            raise ConfigError(
                f"plan.pools has no entry for {', '.join(map(repr, absent))}: the planner needs each pool's GPUs and "
                "curves; see deploy/examples/laptop.yaml"
            )


def _refuse_misfit(name: str, plan: PoolPlanSettings, instances: int) -> None:
    """Raise ValueError where what the plan says of a pool does not fit its listed instances."""
    uuids = plan.gpu_uuids
    if plan.workload is not None:
        raise ValueError(
            f"plan.pools.{name}.workload: the pool lists its instances; name pools[].discovery in their place, so that "
            "pods which come are known"
        )
    if uuids and [len(group) for group in uuids] != [plan.gpus_per_instance] * instances:
        raise ValueError(
            f"plan.pools.{name}.gpu_uuids: {plan.gpus_per_instance} UUIDs are expected for each of the "
            f"{instances} instances, not {[len(group) for group in uuids]}"
        )
    _refuse_bounds(name, plan, instances)
    _refuse_serve(name, plan, instances)


def _refuse_listed(name: str, plan: PoolPlanSettings) -> None:
    """Raise ValueError where the plan says something of the instances of a pool that are discovered."""
    if plan.workload is not None and plan.min_on > plan.workload.most:
        raise ValueError(
            f"plan.pools.{name}.workload.most is {plan.workload.most}, less than min_on, {plan.min_on}; raise it"
        )
    if plan.max_on is not None and plan.min_on > plan.max_on:
        raise ValueError(
            f"plan.pools.{name}.min_on is {plan.min_on}, more than max_on, {plan.max_on}; lower it or raise max_on"
        )
    if plan.serve is not None:
        raise ValueError(
            f"plan.pools.{name}.serve: the pool does not list its instances; list them, each with its port, or leave "
            "the key out: somebody else starts what is discovered"
        )
    if plan.gpu_uuids is not None:
        raise ValueError(
            f"plan.pools.{name}.gpu_uuids: the pool does not list its instances; remove the key: their GPUs are known "
            "by the pods that dcgm-exporter names"
        )


def _refuse_bounds(name: str, plan: PoolPlanSettings, instances: int) -> None:
    most = instances if plan.max_on is None else min(plan.max_on, instances)
    if plan.min_on > most:
        raise ValueError(
            f"plan.pools.{name}.min_on is {plan.min_on}, but at most {most} of its {instances} instances may serve; "
            "lower min_on, or raise max_on or the number of instances"
        )


def _refuse_serve(name: str, plan: PoolPlanSettings, instances: int) -> None:
    if plan.serve is None:
        return
    if plan.gpu_uuids is None:
        raise ValueError(
            f"plan.pools.{name}.serve needs plan.pools.{name}.gpu_uuids: each instance is given its GPUs by UUID, as "
            "nvidia-smi -L prints them"
        )
    if plan.serve.initially_on is not None and plan.serve.initially_on > instances:
        raise ValueError(
            f"plan.pools.{name}.serve.initially_on is {plan.serve.initially_on}, but the pool has {instances} instances"
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
