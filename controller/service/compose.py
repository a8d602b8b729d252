"""From settings to the objects that run: fleet, policy, feeds and emulated instances."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from controller.errors import ConfigError
from controller.forecast.policy import ForecastPolicy
from controller.kubernetes.owners import Scaled, Workload
from controller.lifecycle.policy import TickPolicy
from controller.model.fleet import Instance, Pool, RequestClass, Site, resting_awake
from controller.model.gpu_limit import GpuLimit
from controller.model.observation import InstanceState
from controller.model.perf import PoolCurves, Provenance
from controller.openadr.feed import SpanFeed
from controller.quality.evidence import Rule
from controller.service.quality_losses import Losses
from controller.settings import curves_file
from controller.settings.feeds import ConstantFeed as ConstantFeedSettings
from controller.settings.feeds import CsvFeed, EventFeed
from controller.settings.file import Settings
from controller.settings.plan import CurveSettings
from controller.settings.workload import WorkloadSettings
from controller.signals.canary import CanaryOptions
from controller.signals.canary_setup import CanarySetup
from controller.signals.feeds import AbsentFeed, ConstantFeed, CsvColumns, Feed, Replay, ReplayFeed
from controller.simulation.emulated_instance import EmulatedInstance
from controller.simulation.emulator import SpareGpus
from controller.simulation.profiles import load_profile
from router.contract import ClassId, InstanceId, PoolId
from router.settings import ClassSettings, PoolSettings


def emulated_gpu_uuids(instance_id: str, gpus: int) -> tuple[str, ...]:
    """Names of the GPUs that the emulator gives an instance."""
    return tuple(f"GPU-emulated-{instance_id}-{n}" for n in range(gpus))


def build_site(settings: Settings) -> Site:
    """The fleet as configured.

    Raises:
        ConfigError: a pool has no plan, its profile is unknown, or its instances occupy more GPUs than there are.
    """
    settings.require_plan()
    losses = Losses.of(settings)
    pools = tuple(_pool(settings, losses, pool) for pool in settings.pools)
    occupied = sum(pool.gpus_per_instance * len(pool.instances) for pool in pools)
    gpus = occupied if settings.site.gpus is None else settings.site.gpus
    if occupied > gpus:
        raise ConfigError(f"site.gpus is {gpus}, but the instances occupy {occupied}; correct site.gpus or the pools")
    return Site(
        name=settings.site.name,
        gpus=gpus,
        pools=pools,
        classes=tuple(_request_class(settings, losses, cls) for cls in settings.classes),
        pue=settings.site.pue,
        aux_w=settings.site.aux_w,
        spare_gpu_w=settings.site.spare_gpu_w,
        import_limit_w=settings.site.import_limit_w,
    )


def _pool(settings: Settings, losses: Losses, pool: PoolSettings) -> Pool:
    plan = settings.plan.pools[pool.name]
    workload = plan.workload
    # Without a workload there is nobody who would start again what was stopped.
    goes = workload is not None and (settings.plan.may_stop or not plan.can_sleep)
    lets_go = goes and plan.scaled is None
    rests_awake = not plan.can_sleep and (lets_go or (workload is None and not settings.plan.may_stop))
    instances = []
    for n, (instance_id, listed) in enumerate(zip(pool.names(), pool.instances, strict=True)):
        uuids = plan.gpu_uuids[n] if plan.gpu_uuids else emulated_gpu_uuids(instance_id, plan.gpus_per_instance)
        instances.append(Instance(InstanceId(instance_id), listed.url, uuids))
    made = Pool(
        pool_id=PoolId(pool.name),
        precision=pool.precision,
        gpu=plan.gpu,
        gpus_per_instance=plan.gpus_per_instance,
        instances=tuple(instances),
        curves=_curves(pool.name, plan.curves),
        quality_loss_frac=losses.of_pool(pool.name),
        min_on=plan.min_on,
        max_on=plan.max_on,
        min_up_s=plan.min_up_s,
        lower_after_s=plan.lower_after_s,
        start_usd=plan.start_usd,
        places=0 if workload is None else workload.most,
        can_sleep=plan.can_sleep,
        may_stop=goes and (plan.can_sleep or not lets_go),
        in_order=workload is not None and workload.kind != "Deployment",
        lets_go=lets_go,
        mode=plan.mode,
    )
    return resting_awake(made) if rests_awake else made


def build_workloads(settings: Settings) -> dict[PoolId, Scaled]:
    """What runs the pods of pools whose replicas this controller writes."""
    return {
        PoolId(name): _scaled(told, plan.min_on, settings.namespace_of(name))
        for name, plan in settings.plan.pools.items()
        if (told := plan.scaled) is not None
    }


def build_followed(settings: Settings, site: Site) -> dict[PoolId, Scaled]:
    """What runs the pods of pools that are let go, for an autoscaler to take away; none of pools that are held."""
    letting = (pool for pool in site.pools if pool.lets_go and not pool.is_held)
    plans = {pool.pool_id: settings.plan.pools[pool.pool_id] for pool in letting}
    return {
        pool_id: _scaled(plan.workload, plan.min_on, settings.namespace_of(pool_id))
        for pool_id, plan in plans.items()
        if plan.workload is not None
    }


def _scaled(told: WorkloadSettings, least: int, namespace: str | None) -> Scaled:
    return Scaled(Workload(told.kind, told.name, namespace), least, told.most)


def _curves(pool: str, curves: str | CurveSettings) -> PoolCurves:
    if isinstance(curves, str) and curves_file.is_path(curves):
        try:
            return curves_file.read(Path(curves)).curves()
        except ConfigError as error:
            raise ConfigError(f"plan.pools.{pool}.curves: {error}") from error
    if isinstance(curves, str):
        return load_profile(curves)
    values = curves.model_dump(exclude={"evidence", "source"})
    return PoolCurves(**values, provenance=Provenance(curves.evidence, curves.source))


def _request_class(settings: Settings, losses: Losses, cls: ClassSettings) -> RequestClass:
    plan = settings.plan.classes.get(cls.name)
    extra = plan.model_dump(exclude={"task"}) if plan else {}
    extra["quality_loss_frac"] = losses.of_class(cls.name)
    return RequestClass(
        class_id=ClassId(cls.name),
        precisions=cls.precisions,
        expected_output_tokens=cls.expected_output_tokens,
        priority=cls.priority,
        **extra,
    )


def build_gpu_limits(settings: Settings, site: Site) -> tuple[GpuLimit, ...]:
    """Limits on the GPUs of the pools that have one and are not held, in the order of the pools."""
    limits = []
    for pool in site.pools:
        clocks = settings.plan.pools[pool.pool_id].clocks
        if clocks is not None and not pool.is_held:
            uuids = tuple(uuid for instance in pool.instances for uuid in instance.gpu_uuids)
            limits.append(GpuLimit(pool.pool_id, uuids, clocks.when, clocks.power_limit_w, clocks.max_clock_mhz))
    return tuple(limits)


def build_policy(settings: Settings) -> TickPolicy:
    """Intervals, margins and prices of the control loop."""
    plan, controller, ladder = settings.plan, settings.controller, settings.signals.power_ladder
    return TickPolicy(
        mode=controller.mode,
        issuer=f"{settings.site.name}-controller",
        slow_interval_s=plan.slow_interval_s,
        slow_time_limit_s=plan.slow_time_limit_s,
        step_s=plan.step_s,
        steps=plan.steps,
        table_ttl_s=controller.table_ttl_s,
        utilisation_frac=plan.utilisation_frac,
        margin_frac=plan.margin_frac,
        meter_error_frac=plan.meter_error_frac,
        nvml_margin_frac=ladder.nvml_margin_frac,
        dcgm_margin_frac=ladder.dcgm_margin_frac,
        blind_margin_frac=ladder.model_margin_frac,
        carbon_usd_per_kg=plan.carbon_usd_per_kg,
        default_price_usd_per_mwh=settings.signals.fallback_price_usd_per_mwh,
        reading_stale_s=settings.signals.stale_s,
        may_stop=plan.may_stop and controller.supervisor_url is not None,
        prepare_s=plan.prepare_s,
        warmup_s=plan.warmup_s,
        baseline_window_s=plan.baseline_window_s,
        refit=plan.refit,
        ramp_up_w_per_s=plan.ramp_up_w_per_s,
        ramp_down_w_per_s=plan.ramp_down_w_per_s,
        precedence=plan.precedence,
        forecast=ForecastPolicy(**settings.forecast.model_dump()),
        serves_barred=settings.quality.when_nothing_else == "serve",
    )


def build_canary(
    settings: Settings, headers: Mapping[PoolId, Mapping[str, str]], router_token: str | None
) -> CanarySetup:
    """How canaries are sent and judged.

    Args:
        settings: the file.
        headers: sent to each pool's engines.
        router_token: that the routers' admin ports ask for, None where they do not.
    """
    canary = settings.quality.canary
    rule = Rule(
        least_agreement_frac=canary.least_agreement_frac,
        false_alarms_per_day=canary.false_alarms_per_day,
        readmit_after=canary.readmit_after,
    )
    options = CanaryOptions(
        per_s=canary.per_s,
        model=settings.model,
        answer_tokens=canary.answer_tokens,
        timeout_s=canary.timeout_s,
        max_in_flight=canary.max_in_flight,
        priority=canary.priority,
        energy_j_per_h=canary.energy_j_per_h,
        sample_s=canary.sample_s,
        router_urls=settings.signals.router_urls,
        router_token=router_token,
        headers=headers,
    )
    return CanarySetup(rule, options, canary.reference, canary.seed)


def build_feed(name: str, feed: ConstantFeedSettings | CsvFeed | EventFeed | None, started_at_s: float) -> Feed:
    """The price or carbon feed called `name` (also its unit), replayed from the start of the service.

    One that events tell is bound to them once they are followed.

    Raises:
        ConfigError: the file is absent or malformed, or holds nothing at `data_start`.
    """
    if feed is None:
        return AbsentFeed(name)
    if isinstance(feed, ConstantFeedSettings):
        return ConstantFeed(feed.value, name)
    if isinstance(feed, EventFeed):
        return SpanFeed(feed.vtn, name)
    forecasts = tuple(feed.forecast_columns.items())
    columns = CsvColumns(feed.time_column, feed.value_column, name, feed.scale, forecasts)
    return ReplayFeed(_data_file(feed.path), columns, Replay(started_at_s, feed.data_start.timestamp(), feed.speed))


def build_emulated(settings: Settings, site: Site) -> tuple[tuple[EmulatedInstance, ...], SpareGpus]:
    """The instances to emulate, at the addresses of the configured ones.

    Raises:
        ConfigError: more instances are to be on at the start than a pool has.
    """
    emulated = []
    for pool in site.pools:
        on = settings.emulator.initially_on.get(pool.pool_id, len(pool.instances))
        if on > len(pool.instances):
            raise ConfigError(
                f"emulator.initially_on.{pool.pool_id} is {on}, but the pool has {len(pool.instances)} instances"
            )
        for n, instance in enumerate(pool.instances):
            url = urlsplit(instance.url)
            if url.scheme != "http":
                raise ConfigError(f"{instance.url}: engines are emulated at http:// only; write http://HOST:PORT")
            emulated.append(
                EmulatedInstance(
                    instance_id=instance.instance_id,
                    host=url.hostname or "",
                    port=url.port or 0,
                    curves=pool.curves,
                    precision=pool.precision,
                    gpu_uuids=instance.gpu_uuids,
                    state=InstanceState.SERVING if n < on else InstanceState.SLEEPING,
                    disagreement_frac=settings.emulator.disagreement_frac.get(pool.precision, 0.0),
                )
            )
    occupied = sum(pool.gpus_per_instance * len(pool.instances) for pool in site.pools)
    return tuple(emulated), SpareGpus(site.gpus - occupied, site.spare_gpu_w)


def _data_file(path: str) -> Path:
    """The file itself, or the bundled one of that name."""
    own = Path(path)
    bundled = Path(str(resources.files("controller.simulation"))) / "data" / path
    return bundled if not own.exists() and own.name == path and bundled.exists() else own
