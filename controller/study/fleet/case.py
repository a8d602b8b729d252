"""Everything that determines a run: sites, pools, classes and their series over the whole span."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from controller.errors import ConfigError
from controller.model.fleet import RequestClass
from controller.model.perf import PoolCurves
from controller.optimizer.workload import Lengths, busy_s_per_token, j_per_token, slo_batch
from controller.simulation.profiles import load_profile
from controller.study.fleet.settings import ClassSettings, FleetSettings, PlanSettings, PoolSettings
from controller.study.fleet.signals import carbon_kg_per_mwh, demand_tokens_per_s, prices_usd_per_mwh, starts_of
from router.contract import ClassId, Precision


@dataclass(frozen=True, slots=True)
class SiteCase:
    """One site; series (T,)."""

    name: str
    gpus: int
    pue: float
    aux_w: float
    price_usd_per_mwh: np.ndarray
    carbon_kg_per_mwh: np.ndarray


@dataclass(frozen=True, slots=True)
class PoolCase:
    """One precision of one model at one site.

    Attributes:
        c: index of the site.
    """

    name: str
    c: int
    model: str
    profile: str
    precision: Precision
    curves: PoolCurves
    gpus_per_instance: int
    quality_loss_frac: float
    start_usd: float


@dataclass(frozen=True, slots=True)
class ClassCase:
    """Demand for one model under one set of promises; demand (T,) output tokens/s."""

    name: str
    model: str
    quality_budget_frac: float
    demand_tokens_per_s: np.ndarray


@dataclass(frozen=True, slots=True)
class FleetCase:
    """One run's inputs.

    Attributes:
        allowed, busy_s_per_token, j_per_token: [r][k].
        forecast_error_frac: standard deviation of the demand forecast a day ahead.
        forecast_quantile: what instances are planned for.
    """

    step_s: float
    steps: int
    start_s: float
    sites: tuple[SiteCase, ...]
    pools: tuple[PoolCase, ...]
    classes: tuple[ClassCase, ...]
    allowed: tuple[tuple[bool, ...], ...]
    busy_s_per_token: tuple[tuple[float, ...], ...]
    j_per_token: tuple[tuple[float, ...], ...]
    plan: PlanSettings
    idle_gpu_w: float
    forecast_error_frac: float
    forecast_quantile: float
    seed: int

    @property
    def hours(self) -> float:
        """Length of a step."""
        return self.step_s / 3600.0

    def with_pools(self, keeps: Callable[[PoolCase], bool]) -> FleetCase:
        """The same case with some of its pools; every class may use what is left of its model.

        Raises:
            ConfigError: a class has no pool left.
        """
        kept = [k for k, pool in enumerate(self.pools) if keeps(pool)]
        allowed = tuple(tuple(row[k] for k in kept) for row in self.allowed)
        for cls, row in zip(self.classes, allowed, strict=True):
            if not any(row):
                raise ConfigError(f"classes: {cls.name!r} may use none of the pools that are left; allow it bf16")
        return replace(
            self,
            pools=tuple(self.pools[k] for k in kept),
            allowed=allowed,
            busy_s_per_token=tuple(tuple(row[k] for k in kept) for row in self.busy_s_per_token),
            j_per_token=tuple(tuple(row[k] for k in kept) for row in self.j_per_token),
        )


def make_case(settings: FleetSettings) -> FleetCase:
    """The case that a scenario file describes.

    Raises:
        ConfigError: the span is not within the bundled prices, or a class can be served by no pool.
    """
    steps = round(settings.days * 86_400 / settings.step_s)
    starts = starts_of(settings.start, settings.step_s, steps)
    carbon = carbon_kg_per_mwh(starts, settings.step_s)
    sites = tuple(
        SiteCase(
            site.name, site.gpus, site.pue, 1000.0 * site.aux_kw, prices_usd_per_mwh(site.price_zone, starts), carbon
        )
        for site in settings.sites
    )
    pools = tuple(
        _pool(site.name, c, model.name, pool)
        for c, site in enumerate(settings.sites)
        for model in settings.models
        for pool in model.pools
    )
    rng = np.random.default_rng([settings.seed, 1])
    classes = tuple(
        ClassCase(
            cls.name,
            cls.model,
            cls.quality_budget_frac,
            demand_tokens_per_s(cls.demand, starts, settings.step_s, rng),
        )
        for cls in settings.classes
    )
    figures = [[_figures(cls, pool) for pool in pools] for cls in settings.classes]
    for cls, row in zip(settings.classes, figures, strict=True):
        if not any(may for may, _, _ in row):
            raise ConfigError(
                f"classes: {cls.name!r} can be served by no pool: none is of model {cls.model!r}, of a precision it "
                f"allows and fast enough for itl_slo_s {cls.itl_slo_s:g}; allow more, or correct the model's pools"
            )
    return FleetCase(
        step_s=settings.step_s,
        steps=steps,
        start_s=settings.start.timestamp(),
        sites=sites,
        pools=pools,
        classes=classes,
        allowed=tuple(tuple(may for may, _, _ in row) for row in figures),
        busy_s_per_token=tuple(tuple(busy for _, busy, _ in row) for row in figures),
        j_per_token=tuple(tuple(joules for _, _, joules in row) for row in figures),
        plan=settings.plan,
        idle_gpu_w=settings.idle_gpu_w,
        forecast_error_frac=settings.forecast.error_at_day_frac,
        forecast_quantile=settings.forecast.quantile,
        seed=settings.seed,
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


def _figures(written: ClassSettings, pool: PoolCase) -> tuple[bool, float, float]:
    """Whether a class may use a pool, and engine time and joules of one of its output tokens there."""
    lengths = Lengths(written.input_tokens, written.output_tokens)
    request_class = RequestClass(ClassId(written.name), itl_slo_s=written.itl_slo_s)
    batch = slo_batch(pool.curves, request_class, lengths)
    fits = written.model == pool.model and (not written.precisions or pool.precision in written.precisions)
    busy_s = busy_s_per_token(pool.curves, batch, lengths)
    if not math.isfinite(busy_s) or busy_s <= 0:
        raise ConfigError(f"pool {pool.name!r}: an output token takes {busy_s} s; correct the profile")
    return fits and batch >= 1.0, busy_s, j_per_token(pool.curves, lengths)
