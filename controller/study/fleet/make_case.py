"""From a scenario file of the kind `fleet` to the case it describes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from controller.errors import ConfigError
from controller.model.fleet import RequestClass
from controller.optimizer import power_map
from controller.optimizer.first_token import charged, largest_shares
from controller.optimizer.power_map import Variant
from controller.optimizer.workload import Lengths
from controller.simulation.profiles import load_profile
from controller.study.fleet.case import ClassCase, FleetCase, PoolCase, SiteCase
from controller.study.fleet.events import limits_w, terms
from controller.study.fleet.settings import ClassSettings, FleetSettings, PoolSettings
from controller.study.fleet.signals import carbon_kg_per_mwh, demand_tokens_per_s, prices_usd_per_mwh, pv_w, starts_of
from controller.study.fleet.site_settings import SiteSettings
from controller.study.series import LARGEST, means
from router.contract import ClassId


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the classes may use and what a token takes there, [r][k]; see FleetCase."""

    allowed: tuple[tuple[bool, ...], ...]
    busy_s_per_token: tuple[tuple[float, ...], ...]
    j_per_token: tuple[tuple[float, ...], ...]


def make_case(settings: FleetSettings) -> FleetCase:
    """The case that a scenario file describes, with its assets and outside of any programme.

    Raises:
        ConfigError: the span is not within the bundled prices, an event is not within the span, or a class can be
            served by no pool.
    """
    steps = round(settings.days * 86_400 / settings.step_s)
    starts = starts_of(settings.start, settings.step_s, steps)
    _refuse_missed_events(settings, starts)
    pools = tuple(
        _pool(site.name, c, model.name, pool)
        for c, site in enumerate(settings.sites)
        for model in settings.models
        for pool in model.pools
    )
    rng = np.random.default_rng([settings.seed, 1])
    sites = tuple(site.name for site in settings.sites)
    figures = _figures(settings, pools)
    return FleetCase(
        step_s=settings.step_s,
        steps=steps,
        start_s=settings.start.timestamp(),
        sites=tuple(_site(settings, site, starts) for site in settings.sites),
        pools=pools,
        classes=tuple(
            _class(cls, sites, settings.step_s, demand_tokens_per_s(cls.demand, starts, settings.step_s, rng))
            for cls in settings.classes
        ),
        allowed=figures.allowed,
        busy_s_per_token=figures.busy_s_per_token,
        j_per_token=figures.j_per_token,
        quality_loss_frac=tuple(
            tuple(cls.quality_loss_frac.get(pool.precision, pool.quality_loss_frac) for pool in pools)
            for cls in settings.classes
        ),
        plan=settings.plan,
        idle_gpu_w=settings.idle_gpu_w,
        forecast_error_frac=settings.forecast.error_at_day_frac,
        forecast_quantile=settings.forecast.quantile,
        seed=settings.seed,
    )


def _refuse_missed_events(settings: FleetSettings, starts: tuple[datetime, ...]) -> None:
    begins, ends = starts[0], starts[-1] + timedelta(seconds=settings.step_s)
    for event in settings.events:
        last = event.start + timedelta(days=event.days - 1, hours=event.hours)
        if event.start < begins or last > ends:
            raise ConfigError(
                f"events: {event.name!r} lasts from {event.start:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}, the "
                f"scenario from {begins:%Y-%m-%dT%H:%MZ} to {ends:%Y-%m-%dT%H:%MZ}; correct start, hours or days"
            )


def _site(settings: FleetSettings, site: SiteSettings, starts: tuple[datetime, ...]) -> SiteCase:
    always_w = math.inf if site.import_limit_kw is None else 1000.0 * site.import_limit_kw
    return SiteCase(
        name=site.name,
        gpus=site.gpus,
        pue=site.pue,
        aux_w=1000.0 * site.aux_kw,
        price_usd_per_mwh=_prices(site, starts, settings.step_s),
        carbon_kg_per_mwh=(
            carbon_kg_per_mwh(starts, settings.step_s)
            if site.carbon is None
            else means(site.carbon, starts, settings.step_s, least=-LARGEST)
        ),
        limit_w=limits_w(settings.events, site.name, starts, always_w),
        pv_w=None if site.pv is None else pv_w(site.pv, starts, settings.step_s),
        battery=site.battery,
        terms=terms(settings.events, site.name, starts),
    )


def _prices(site: SiteSettings, starts: tuple[datetime, ...], step_s: float) -> np.ndarray:
    if site.price is not None:
        return means(site.price, starts, step_s, least=-LARGEST)
    if site.price_zone is None:
        raise ConfigError(f"sites: {site.name!r} has neither price_zone nor price; write one of them")
    return prices_usd_per_mwh(site.price_zone, starts)


def _class(written: ClassSettings, sites: tuple[str, ...], step_s: float, demand: np.ndarray) -> ClassCase:
    hours = written.quality_window_hours
    return ClassCase(
        name=written.name,
        model=written.model,
        quality_budget_frac=written.quality_budget_frac,
        demand_tokens_per_s=demand,
        defer_steps=math.floor(3600.0 * written.defer_hours / step_s + 1e-9),
        quality_usd_per_mtoken=written.quality_usd_per_mtoken,
        window_s=None if hours is None else 3600.0 * hours,
        home=None if written.home is None else sites.index(written.home),
        move_usd_per_token=1e-6 * written.move_usd_per_mtoken,
    )


def _pool(site: str, c: int, model: str, written: PoolSettings) -> PoolCase:
    curves = load_profile(written.profile)
    gpus = int(written.profile.rpartition("/")[2].partition("x")[0])
    return PoolCase(
        name=f"{site}/{model}/{written.precision.value}-{gpus}",
        c=c,
        model=model,
        profile=written.profile,
        precision=written.precision,
        curves=curves,
        gpus_per_instance=gpus,
        quality_loss_frac=written.quality_loss_frac,
        start_usd=written.start_usd,
    )


def _figures(settings: FleetSettings, pools: tuple[PoolCase, ...]) -> _Figures:
    variants = [Variant(pool.name, pool.gpus_per_instance, pool.curves, pool.quality_loss_frac) for pool in pools]
    lengths = [Lengths(cls.input_tokens, cls.output_tokens) for cls in settings.classes]
    promised = [
        RequestClass(ClassId(cls.name), itl_slo_s=cls.itl_slo_s, ttft_slo_s=cls.ttft_slo_s) for cls in settings.classes
    ]
    cells = power_map.power_map(variants, promised, lengths)
    most_frac = settings.plan.utilisation_frac
    shares = largest_shares([pool.curves for pool in pools], promised, lengths, cells.batches, most_frac)
    sites = tuple(site.name for site in settings.sites)
    allowed = tuple(
        tuple(share > 0.0 and _may_use(cls, pool, sites) for share, pool in zip(row, pools, strict=True))
        for cls, row in zip(settings.classes, shares, strict=True)
    )
    for cls, may in zip(settings.classes, allowed, strict=True):
        if not any(may):
            raise ConfigError(
                f"classes: {cls.name!r} can be served by no pool: none is of model {cls.model!r}, of a precision it "
                f"allows, at a site it reaches and fast enough for itl_slo_s {cls.itl_slo_s:g} and ttft_slo_s "
                f"{cls.ttft_slo_s:g}; allow more, or correct the model's pools"
            )
    return _Figures(allowed, charged(cells.busy_s_per_token, shares, allowed, most_frac), cells.j_per_token)


def _may_use(written: ClassSettings, pool: PoolCase, sites: tuple[str, ...]) -> bool:
    fits = written.model == pool.model and (not written.precisions or pool.precision in written.precisions)
    return fits and (not written.sites or sites[pool.c] in written.sites)
