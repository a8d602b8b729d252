"""Scenario file of the kind `fleet`."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from controller.simulation.profiles import PROFILES
from controller.study.fleet.site_settings import EventSettings, Share, SiteSettings, in_utc
from controller.study.series import SeriesSettings
from controller.study.settings import Frac, Group, Name, NotNegative, Positive, Seconds, Seed, Text, refuse_twins
from router.contract import Precision

Hour = Annotated[float, Field(ge=0, lt=24)]


class DemandSettings(Group):
    """Output tokens asked for: a series of one's own, or a daily wave, quieter weekends, noise that lasts."""

    mean_tokens_per_s: NotNegative | None = None
    """Over the whole span, at all sites together; a series is scaled to it where it is given."""
    series: SeriesSettings | None = None
    """Output tokens/s, in place of the wave."""
    daily_frac: Frac = 0.4
    """Height of the daily wave over its mean."""
    peak_hour_utc: Hour = 20.0
    weekend_frac: Frac = 0.3
    """How much less is asked for on Saturdays and Sundays."""
    noise_frac: Frac = 0.05
    """Standard deviation of the noise, correlated over about an hour."""

    @model_validator(mode="after")
    def _one(self) -> DemandSettings:
        if self.mean_tokens_per_s is None and self.series is None:
            raise ValueError("write mean_tokens_per_s for a daily wave, or series for a file of one's own")
        of_wave = self.model_fields_set & {"daily_frac", "peak_hour_utc", "weekend_frac", "noise_frac"}
        if self.series is not None and of_wave:
            raise ValueError(f"{min(of_wave)} shapes the wave, which series replaces; leave one of them out")
        return self


class AskedSettings(Group):
    """What a class asks for and is promised, in any scenario that plays a fleet."""

    name: Name
    demand: DemandSettings
    input_tokens: Positive = 1024.0
    output_tokens: Positive = 256.0
    precisions: tuple[Precision, ...] = ()
    """Precisions it may be served at; all where empty."""
    quality_loss_frac: dict[Precision, Frac] = Field(default_factory=dict)
    """Mean score that it loses at a precision, where it is not what the pools say."""
    quality_budget_frac: Frac = 0.0
    """Largest mean quality loss."""
    quality_usd_per_mtoken: NotNegative = 0.0
    """Cost of a million output tokens at a quality loss of 1."""
    itl_slo_s: Seconds = 0.06
    ttft_slo_s: Seconds = 2.0


class ClassSettings(AskedSettings):
    """Demand for one model under one set of promises."""

    model: Name
    defer_hours: Annotated[float, Field(ge=0, le=48)] = 0.0
    """Time that its demand may wait; the plan counts whole intervals of plan.step_s."""
    quality_window_hours: Annotated[float, Field(gt=0, le=24 * 31)] | None = None
    """Time over which the quality budget holds on average: what was saved may be spent in events. Each step without."""
    sites: tuple[Name, ...] = ()
    """Sites within reach of its latency; all where empty."""
    home: Name | None = None
    """Site its requests come in at, where bringing them elsewhere costs something."""
    move_usd_per_mtoken: NotNegative = 0.0
    """Cost of bringing the requests of a million output tokens from home to another site."""

    @model_validator(mode="after")
    def _moves_from_home(self) -> ClassSettings:
        if self.move_usd_per_mtoken > 0 and self.home is None:
            raise ValueError("move_usd_per_mtoken has no home to move from; give home, a site")
        if self.home is not None and self.sites and self.home not in self.sites:
            raise ValueError(f"home {self.home!r} is none of its sites {', '.join(self.sites)}; add it")
        return self


class PoolSettings(Group):
    """A precision at which a model may be served, at every site."""

    profile: Text
    """Built-in curves; see docs/reference/curves.md."""
    precision: Precision
    quality_loss_frac: Frac = 0.0
    start_usd: NotNegative = 0.0
    """Cost set on a start, beside its energy."""

    @field_validator("profile")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PROFILES:
            raise ValueError(f"no built-in curves are called {value!r}; choose one of {', '.join(PROFILES)}")
        return value


class ModelSettings(Group):
    """A model and the precisions it is kept at."""

    name: Name
    pools: Annotated[tuple[PoolSettings, ...], Field(min_length=1, max_length=8)]

    @model_validator(mode="after")
    def _has_bf16(self) -> ModelSettings:
        if not any(pool.precision is Precision.BF16 for pool in self.pools):
            raise ValueError(f"model {self.name!r} has no bf16 pool; the fixed fleet it is compared with is of bf16")
        return self


class ForecastSettings(Group):
    """How well demand is foreseen: the truth times a lognormal error that grows with the square root of the lead."""

    error_at_day_frac: Frac = 0.10
    """Standard deviation of the error a day ahead."""
    quantile: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.9
    """Quantile of demand that instances are planned for."""


class PlanSettings(Group):
    """The receding-horizon controller."""

    every_s: Seconds = 3600.0
    """Time between two plans of instances; token rates follow at every step."""
    step_s: Seconds = 3600.0
    """Interval of the plan."""
    steps: Annotated[int, Field(ge=1, le=96)] = 24
    utilisation_frac: Share = 0.885
    peak_frac: Share = 0.97
    gap_frac: Share = 1e-3
    """Share of the energy bill at which the search ends."""
    time_limit_s: Seconds = 5.0
    carbon_usd_per_kg: NotNegative = 0.0
    """Price set on emissions."""


class FleetSettings(Group):
    """A scenario of the kind `fleet`."""

    kind: Literal["fleet"]
    title: Text
    start: datetime
    """Beginning, within the bundled prices: February 2021 or 2022."""
    days: Annotated[float, Field(gt=0, le=31)]
    step_s: Seconds = 900.0
    seed: Seed = 0
    sites: Annotated[tuple[SiteSettings, ...], Field(min_length=1, max_length=16)]
    models: Annotated[tuple[ModelSettings, ...], Field(min_length=1, max_length=16)]
    classes: Annotated[tuple[ClassSettings, ...], Field(min_length=1, max_length=64)]
    events: Annotated[tuple[EventSettings, ...], Field(max_length=64)] = ()
    forecast: ForecastSettings = ForecastSettings()
    plan: PlanSettings = PlanSettings()
    idle_gpu_w: NotNegative = 73.0
    """Power of a GPU that no instance holds."""

    @field_validator("start")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return in_utc(value)

    @model_validator(mode="after")
    def _names_are_known(self) -> FleetSettings:
        at = {site.name for site in self.sites}
        for place, named in (
            *((f"classes: {cls.name!r}", (*cls.sites, *filter(None, [cls.home]))) for cls in self.classes),
            *((f"events: {event.name!r}", event.sites) for event in self.events),
        ):
            if unknown := [name for name in named if name not in at]:
                raise ValueError(f"{place} names the site {unknown[0]!r}; known are {', '.join(sorted(at))}")
        return self

    @model_validator(mode="after")
    def _fits(self) -> FleetSettings:
        refuse_twins("sites", [site.name for site in self.sites])
        refuse_twins("models", [model.name for model in self.models])
        refuse_twins("classes", [cls.name for cls in self.classes])
        refuse_twins("events", [event.name for event in self.events])
        known = {model.name for model in self.models}
        for cls in self.classes:
            if cls.model not in known:
                raise ValueError(f"classes: {cls.name!r} asks for model {cls.model!r}; known are {', '.join(known)}")
        for name, longer in (("plan.every_s", self.plan.every_s), ("plan.step_s", self.plan.step_s)):
            if not math.isclose(longer / self.step_s, round(longer / self.step_s)) or longer < self.step_s:
                raise ValueError(f"{name} {longer:g} is no multiple of step_s {self.step_s:g}")
        whole = self.days * 86_400 / self.plan.step_s
        if whole < 1 or not math.isclose(whole, round(whole)):
            raise ValueError(f"days {self.days:g} is no whole number of intervals of plan.step_s {self.plan.step_s:g}")
        if self.plan.peak_frac < self.plan.utilisation_frac:
            raise ValueError("plan.peak_frac is below plan.utilisation_frac; headroom begins above what is planned")
        return self
