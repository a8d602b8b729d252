"""Everything that determines a run: sites, pools, classes and their series over the whole span."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from controller.errors import ConfigError
from controller.model.perf import PoolCurves
from controller.study.fleet.events import Response, Terms
from controller.study.fleet.settings import PlanSettings
from controller.study.fleet.site_settings import BatterySettings
from router.contract import Precision

Cell = TypeVar("Cell", bool, float)


@dataclass(frozen=True, slots=True)
class SiteCase:
    """One site; series (T,).

    Attributes:
        limit_w: most it may draw from the grid, infinite without a limit.
        pv_w: what its photovoltaics can give, None without any.
        terms: of the programmes it can take part in, None without any.
        response: the programmes it takes part in, None where it does not.
    """

    name: str
    gpus: int
    pue: float
    aux_w: float
    price_usd_per_mwh: np.ndarray
    carbon_kg_per_mwh: np.ndarray
    limit_w: np.ndarray
    pv_w: np.ndarray | None = None
    battery: BatterySettings | None = None
    terms: Terms | None = None
    response: Response | None = None

    @property
    def has_assets(self) -> bool:
        """Whether anything stands behind the meter that gives power."""
        return self.pv_w is not None or self.battery is not None

    @property
    def most_import_w(self) -> np.ndarray:
        """Most it may draw from the grid, (T,): its limits, and what it has promised to programmes."""
        if self.response is None:
            return self.limit_w
        promised_w = self.response.baseline_w - self.response.commit_w
        return np.where(self.response.commit_w > 0, np.minimum(self.limit_w, promised_w), self.limit_w)

    @property
    def is_called(self) -> np.ndarray:
        """Whether an event calls it, (T,)."""
        limited = self.most_import_w < max(self.limit_w.max(), 0.0)
        return np.asarray(limited if self.response is None else limited | (self.response.most_w > 0))


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
    """Demand for one model under one set of promises; demand (T,) output tokens/s.

    Attributes:
        defer_steps: steps that its demand may wait.
        window_s: time over which its quality budget holds, None where it holds in each step.
        home: index of the site its requests come in at, None where it does not matter.
    """

    name: str
    model: str
    quality_budget_frac: float
    demand_tokens_per_s: np.ndarray
    defer_steps: int = 0
    quality_usd_per_mtoken: float = 0.0
    window_s: float | None = None
    home: int | None = None
    move_usd_per_token: float = 0.0


@dataclass(frozen=True, slots=True)
class FleetCase:
    """One run's inputs.

    Attributes:
        allowed, busy_s_per_token, j_per_token: [r][k].
        quality_loss_frac: [r][k], mean score that a class loses at a pool.
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
    quality_loss_frac: tuple[tuple[float, ...], ...]
    plan: PlanSettings
    idle_gpu_w: float
    forecast_error_frac: float
    forecast_quantile: float
    seed: int

    @property
    def hours(self) -> float:
        """Length of a step."""
        return self.step_s / 3600.0

    @property
    def plan_per(self) -> int:
        """Steps in an interval of the plan."""
        return round(self.plan.step_s / self.step_s)

    @property
    def defers(self) -> bool:
        """Whether the plan can put anything off."""
        return any(cls.defer_steps >= self.plan_per for cls in self.classes)

    @property
    def is_called(self) -> np.ndarray:
        """Whether an event calls any of the sites, (T,)."""
        called: np.ndarray = np.any([site.is_called for site in self.sites], axis=0)
        return called

    @property
    def move_usd_per_token(self) -> tuple[tuple[float, ...], ...]:
        """[r][k], cost of bringing an output token's request to the pool's site; () where none costs anything."""
        if not any(cls.move_usd_per_token for cls in self.classes):
            return ()
        return tuple(
            tuple(0.0 if pool.c == cls.home else cls.move_usd_per_token for pool in self.pools) for cls in self.classes
        )

    def most_instances(self, pool: PoolCase) -> int:
        """Instances of a pool that its site's GPUs can hold."""
        return self.sites[pool.c].gpus // pool.gpus_per_instance

    def with_pools(self, keeps: Callable[[PoolCase], bool]) -> FleetCase:
        """The same case with some of its pools; every class may use what is left of its model.

        Raises:
            ConfigError: a class has no pool left.
        """
        kept = [k for k, pool in enumerate(self.pools) if keeps(pool)]

        def cut(rows: tuple[tuple[Cell, ...], ...]) -> tuple[tuple[Cell, ...], ...]:
            return tuple(tuple(row[k] for k in kept) for row in rows)

        allowed = cut(self.allowed)
        for cls, row in zip(self.classes, allowed, strict=True):
            if not any(row):
                raise ConfigError(f"classes: {cls.name!r} may use none of the pools that are left; allow it bf16")
        return replace(
            self,
            pools=tuple(self.pools[k] for k in kept),
            allowed=allowed,
            busy_s_per_token=cut(self.busy_s_per_token),
            j_per_token=cut(self.j_per_token),
            quality_loss_frac=cut(self.quality_loss_frac),
        )

    def between(self, first: int, steps: int) -> FleetCase:
        """The same case over some of its steps, outside of any programme.

        Raises:
            ConfigError: it has no such steps.
        """
        if first < 0 or steps < 1 or first + steps > self.steps:
            raise ConfigError(f"steps {first} to {first + steps} lie outside of the case, which has {self.steps}")
        within = slice(first, first + steps)

        def cut(series: np.ndarray | None) -> np.ndarray | None:
            return None if series is None else series[within]

        return replace(
            self,
            steps=steps,
            start_s=self.start_s + first * self.step_s,
            sites=tuple(
                replace(
                    site,
                    price_usd_per_mwh=site.price_usd_per_mwh[within],
                    carbon_kg_per_mwh=site.carbon_kg_per_mwh[within],
                    limit_w=site.limit_w[within],
                    pv_w=cut(site.pv_w),
                    terms=None if site.terms is None else site.terms.between(within),
                    response=None,
                )
                for site in self.sites
            ),
            classes=tuple(replace(cls, demand_tokens_per_s=cls.demand_tokens_per_s[within]) for cls in self.classes),
        )

    def without_assets(self) -> FleetCase:
        """The same case with nothing behind the meters that gives power."""
        return replace(self, sites=tuple(replace(site, pv_w=None, battery=None) for site in self.sites))

    def enrolled(self, import_w: np.ndarray) -> FleetCase:
        """The same case with every site in its programmes.

        Args:
            import_w: (C, T) what the sites draw without them: the baselines.
        """
        return replace(
            self,
            sites=tuple(
                site if site.terms is None else replace(site, response=Response.of(site.terms, baseline_w))
                for site, baseline_w in zip(self.sites, import_w, strict=True)
            ),
        )
