"""From a scenario file of the kind `site` to the site, what it is asked for and what the grid says."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from controller.errors import ConfigError
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.fleet import Instance, Pool, RequestClass, Site
from controller.model.grid import GridEvent
from controller.optimizer.workload import Lengths, busy_s_per_token, slo_batch
from controller.simulation.profiles import load_profile
from controller.simulation.site import Signals
from controller.simulation.site_router import Request
from controller.study.fleet.signals import demand_tokens_per_s, starts_of
from controller.study.site.grid_settings import EventSettings
from controller.study.site.requests import LONGEST, draw
from controller.study.site.settings import (
    MAX_REQUEST_TOKENS,
    ClassSettings,
    EngineModel,
    PoolSettings,
    SiteStudySettings,
)
from controller.study.site.signals import grid_signals
from router.contract import ClassId, InstanceId, PoolId, Precision

_HOUR_S = 3600.0
_TICKS_PER_TABLE = 4.0


@dataclass(frozen=True, slots=True)
class SiteCase:
    """Everything that determines a run but the events.

    Attributes:
        fixed: the fleet it is compared with: BF16 instances at the same meter, which all serve all the time.
        signals: without events.
        asked_per_s: (ticks, R, 3) requests, prompt tokens and output tokens a second.
        requests: those that ask for it, in order of arrival; None where tokens flow at these rates.
        called_s: begin and end of each event.
        asleep: instances of `site` that sleep at the start.
        impatient: classes whose requests are refused once they have waited for their time to first token; those of the
            others go on waiting. Where tokens flow alone.
    """

    site: Site
    fixed: Site
    policy: TickPolicy
    signals: Signals
    asked_per_s: np.ndarray
    start_s: float
    tick_s: float
    interval_s: float
    requests: tuple[Request, ...] | None = None
    called_s: tuple[tuple[float, float], ...] = ()
    asleep: frozenset[InstanceId] = frozenset()
    impatient: frozenset[ClassId] = frozenset()

    @property
    def times_s(self) -> np.ndarray:
        """Beginning of each interval of the power series, (intervals,), wall clock in s."""
        count = len(self.asked_per_s) * round(self.tick_s / self.interval_s)
        return np.asarray(self.start_s + self.interval_s * np.arange(count))


def make_site(settings: SiteStudySettings) -> SiteCase:
    """The case that a scenario file describes.

    Raises:
        ConfigError: the span is not within the bundled prices, a class can be served by no pool in time, the GPUs do
            not suffice for the fixed fleet, or a request may be longer than an engine holds.
    """
    pools = tuple(_pool(pool, pool.instances) for pool in settings.site.pools)
    classes = tuple(_class(cls) for cls in settings.classes)
    asked = _asked_per_s(settings)
    _refuse_unserved(pools, classes)
    written = settings.site
    site = Site(
        name=written.name,
        gpus=written.gpus,
        pools=pools,
        classes=classes,
        pue=written.pue,
        aux_w=1000.0 * written.aux_kw,
        spare_gpu_w=written.spare_gpu_w,
        import_limit_w=None if written.import_limit_kw is None else 1000.0 * written.import_limit_kw,
    )
    return SiteCase(
        site=site,
        fixed=_fixed(settings, site, asked),
        policy=_policy(settings),
        signals=grid_signals(settings),
        asked_per_s=asked,
        start_s=settings.start.timestamp(),
        tick_s=settings.tick_s,
        interval_s=settings.interval_s,
        requests=_requests(settings, site, asked),
        asleep=frozenset(
            instance.instance_id
            for written, pool in zip(settings.site.pools, pools, strict=True)
            for instance in pool.instances[len(pool.instances) - written.asleep :]
        ),
        called_s=tuple((event.start.timestamp(), event.end.timestamp()) for event in settings.events),
    )


def grid_event(written: EventSettings, limit_w: float) -> GridEvent:
    """The event as the controller hears of it."""
    start_s = written.start.timestamp()
    return GridEvent(
        written.name, limit_w, start_s, written.end.timestamp(), start_s - written.notice_s, ramp_s=written.ramp_s
    )


def _pool(written: PoolSettings, instances: int) -> Pool:
    gpus = written.gpus_per_instance
    return Pool(
        pool_id=PoolId(written.name),
        precision=written.precision,
        gpu=written.profile.rpartition("x")[2],
        gpus_per_instance=gpus,
        instances=tuple(
            Instance(
                InstanceId(f"{written.name}-{n}"),
                f"http://simulated.invalid/{written.name}-{n}",
                tuple(f"GPU-simulated-{written.name}-{n}-{gpu}" for gpu in range(gpus)),
            )
            for n in range(instances)
        ),
        curves=load_profile(written.profile),
        quality_loss_frac=written.quality_loss_frac,
        min_on=min(written.min_on, instances),
        min_up_s=written.min_up_s,
        lower_after_s=written.lower_after_s,
        start_usd=written.start_usd,
    )


def _class(written: ClassSettings) -> RequestClass:
    return RequestClass(
        class_id=ClassId(written.name),
        precisions=written.precisions,
        quality_loss_frac=tuple(written.quality_loss_frac.items()),
        quality_budget_frac=written.quality_budget_frac,
        quality_window_s=_HOUR_S * written.quality_window_hours,
        quality_may_overdraw=written.quality_may_overdraw,
        quality_usd_per_mtoken=written.quality_usd_per_mtoken,
        serve_usd_per_mtoken=written.serve_usd_per_mtoken,
        itl_slo_s=written.itl_slo_s,
        ttft_slo_s=written.ttft_slo_s,
        expected_input_tokens=written.input_tokens,
        expected_output_tokens=written.output_tokens,
    )


def _asked_per_s(settings: SiteStudySettings) -> np.ndarray:
    ticks = round(settings.hours * _HOUR_S / settings.tick_s)
    starts = starts_of(settings.start, settings.tick_s, ticks)
    rng = np.random.default_rng([settings.seed, 1])
    out = np.zeros((ticks, len(settings.classes), 3))
    for r, cls in enumerate(settings.classes):
        tokens = demand_tokens_per_s(cls.demand, starts, settings.tick_s, rng)
        requests = tokens / cls.output_tokens
        out[:, r] = np.stack([requests, requests * cls.input_tokens, tokens], axis=1)
    return out


def _requests(settings: SiteStudySettings, site: Site, asked: np.ndarray) -> tuple[Request, ...] | None:
    if settings.engine is EngineModel.FLUID:
        return None
    tokens = float(asked[:, :, 2].sum()) * settings.tick_s
    if tokens > MAX_REQUEST_TOKENS:
        raise ConfigError(
            f"engine: {tokens:,.0f} output tokens are more than the {MAX_REQUEST_TOKENS:,.0f} that are played request "
            "by request; shorten hours, lower the demand, or set engine: fluid"
        )
    for cls in site.classes:
        longest = LONGEST * (cls.expected_input_tokens + cls.expected_output_tokens)
        least = min(pool.curves.kv_capacity_tokens for pool in site.pools if cls.may_use(pool))
        if longest > least:
            raise ConfigError(
                f"classes: {cls.class_id!r} asks for up to {longest:,.0f} tokens in a request, and an instance holds "
                f"{least:,}; lower input_tokens or output_tokens, or set engine: fluid"
            )
    return draw(asked, settings.tick_s, site.classes, np.random.default_rng([settings.seed, 2]))


def _refuse_unserved(pools: tuple[Pool, ...], classes: tuple[RequestClass, ...]) -> None:
    for cls in classes:
        if not any(cls.may_use(pool) and slo_batch(pool.curves, cls, _lengths(cls)) >= 1.0 for pool in pools):
            raise ConfigError(
                f"classes: {cls.class_id!r} can be served by no pool: none of a precision it allows keeps itl_slo_s "
                f"{cls.itl_slo_s:g}; raise it, or correct the pools"
            )


def _lengths(cls: RequestClass) -> Lengths:
    return Lengths(cls.expected_input_tokens, cls.expected_output_tokens)


def _fixed(settings: SiteStudySettings, site: Site, asked: np.ndarray) -> Site:
    """BF16 instances alone, as many as the busiest tick needs or the scenario says; the other GPUs are spare."""
    written = next(pool for pool in settings.site.pools if pool.precision is Precision.BF16)
    pool = _pool(written, written.instances)
    busy = np.zeros(len(asked))
    for r, cls in enumerate(site.classes):
        batch = slo_batch(pool.curves, cls, _lengths(cls))
        if batch < 1.0:
            raise ConfigError(
                f"classes: {cls.class_id!r} cannot be served by the fixed fleet: bf16 does not keep itl_slo_s "
                f"{cls.itl_slo_s:g}; raise it"
            )
        busy += asked[:, r, 2] * busy_s_per_token(pool.curves, batch, _lengths(cls))
    needed = max(1, math.ceil(float(busy.max()) / settings.plan.utilisation_frac - 1e-9))
    count = needed if settings.fixed_instances is None else settings.fixed_instances
    if count * pool.gpus_per_instance > site.gpus:
        raise ConfigError(
            f"site.gpus {site.gpus}: the fixed fleet of {count} bf16 instances takes "
            f"{count * pool.gpus_per_instance} GPUs; install more, lower the demand, or set fixed_instances"
        )
    classes = tuple(dataclasses.replace(cls, precisions=()) for cls in site.classes)
    return dataclasses.replace(site, pools=(_pool(written, count),), classes=classes)


def _policy(settings: SiteStudySettings) -> TickPolicy:
    plan = settings.plan
    return TickPolicy(
        mode=Mode.ACT,
        issuer="simulated",
        slow_interval_s=plan.every_s,
        slow_time_limit_s=plan.time_limit_s,
        step_s=plan.step_s,
        steps=plan.steps,
        table_ttl_s=_TICKS_PER_TABLE * settings.tick_s,
        utilisation_frac=plan.utilisation_frac,
        margin_frac=plan.margin_frac,
        carbon_usd_per_kg=plan.carbon_usd_per_kg,
        ramp_up_w_per_s=plan.ramp_up_w_per_s,
        ramp_down_w_per_s=plan.ramp_down_w_per_s,
        prepare_s=plan.prepare_s,
    )
