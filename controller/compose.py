"""From settings to the objects that run."""

from __future__ import annotations

from controller.errors import ConfigError
from controller.model.fleet import Instance, Pool, RequestClass, Site
from controller.model.perf import PoolCurves, Provenance
from controller.settings import CurveSettings, Settings
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
    pools = tuple(_pool(settings, pool) for pool in settings.pools)
    occupied = sum(pool.gpus_per_instance * len(pool.instances) for pool in pools)
    gpus = occupied if settings.site.gpus is None else settings.site.gpus
    if occupied > gpus:
        raise ConfigError(f"site.gpus is {gpus}, but the instances occupy {occupied}; correct site.gpus or the pools")
    return Site(
        name=settings.site.name,
        gpus=gpus,
        pools=pools,
        classes=tuple(_request_class(settings, cls) for cls in settings.classes),
        pue=settings.site.pue,
        aux_w=settings.site.aux_w,
        spare_gpu_w=settings.site.spare_gpu_w,
        import_limit_w=settings.site.import_limit_w,
    )


def _pool(settings: Settings, pool: PoolSettings) -> Pool:
    plan = settings.plan.pools[pool.name]
    instances = []
    for n, url in enumerate(pool.instances):
        instance_id = f"{pool.name}-{n}"
        uuids = plan.gpu_uuids[n] if plan.gpu_uuids else emulated_gpu_uuids(instance_id, plan.gpus_per_instance)
        instances.append(Instance(InstanceId(instance_id), url, uuids))
    return Pool(
        pool_id=PoolId(pool.name),
        precision=pool.precision,
        gpu=plan.gpu,
        gpus_per_instance=plan.gpus_per_instance,
        instances=tuple(instances),
        curves=_curves(plan.curves),
        quality_loss_frac=plan.quality_loss_frac,
        min_on=plan.min_on,
        max_on=plan.max_on,
        min_up_s=plan.min_up_s,
        start_usd=plan.start_usd,
    )


def _curves(curves: str | CurveSettings) -> PoolCurves:
    if isinstance(curves, str):
        return load_profile(curves)
    values = curves.model_dump(exclude={"evidence", "source"})
    return PoolCurves(**values, provenance=Provenance(curves.evidence, curves.source))


def _request_class(settings: Settings, cls: ClassSettings) -> RequestClass:
    plan = settings.plan.classes.get(cls.name)
    extra = plan.model_dump() if plan else {}
    return RequestClass(
        class_id=ClassId(cls.name),
        precisions=cls.precisions,
        expected_output_tokens=cls.expected_output_tokens,
        **extra,
    )
