"""Scenario file of the kind `site`."""

from __future__ import annotations

import math
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.study.fleet.settings import AskedSettings
from controller.study.fleet.settings import PoolSettings as CurvesSettings
from controller.study.fleet.site_settings import Ratio, Share
from controller.study.settings import Group, Name, NotNegative, Positive, Seconds, Seed, Text, refuse_twins
from controller.study.site.grid_settings import CarbonSettings, EventSettings, Instant, PriceSettings
from router.contract import Precision

MAX_INTERVALS = 500_000
"""Intervals of the power series; more would take hours."""
MAX_REQUEST_TOKENS = 5e7
"""Output tokens played one by one for one fleet; more would take many minutes."""


class EngineModel(StrEnum):
    """How engines are simulated."""

    FLUID = "fluid"
    """Tokens flow at constant rates within a tick: days in a minute."""
    REQUESTS = "requests"
    """Single requests, step by step: latencies of some minutes."""


class PoolSettings(CurvesSettings):
    """Instances of one precision."""

    name: Name
    instances: Annotated[int, Field(ge=1, le=2000)]
    asleep: Annotated[int, Field(ge=0, le=2000)] = 0
    """Of them, asleep at the start; the others serve."""
    min_on: Annotated[int, Field(ge=0, le=2000)] = 0
    min_up_s: Seconds = 60.0
    lower_after_s: NotNegative = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> PoolSettings:
        if self.min_on > self.instances:
            raise ValueError(f"min_on {self.min_on} is more than the pool's {self.instances} instances; lower it")
        if self.asleep > self.instances:
            raise ValueError(f"asleep {self.asleep} is more than the pool's {self.instances} instances; lower it")
        return self

    @property
    def gpus_per_instance(self) -> int:
        """GPUs that the curves are of."""
        return int(self.profile.rpartition("/")[2].partition("x")[0])


class MeterSettings(Group):
    """One metering point and what stands behind it."""

    name: Name
    gpus: Annotated[int, Field(ge=1, le=100_000)]
    """GPUs installed; those that no instance holds draw `spare_gpu_w`."""
    pue: Ratio = 1.2
    aux_kw: NotNegative = 0.0
    spare_gpu_w: NotNegative = 73.0
    import_limit_kw: Positive | None = None
    pools: Annotated[tuple[PoolSettings, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _fits(self) -> MeterSettings:
        refuse_twins("pools", [pool.name for pool in self.pools])
        held = sum(pool.instances * pool.gpus_per_instance for pool in self.pools)
        if held > self.gpus:
            raise ValueError(f"the pools hold {held} GPUs, more than the {self.gpus} installed; correct gpus or pools")
        if not any(pool.precision is Precision.BF16 for pool in self.pools):
            raise ValueError("there is no bf16 pool; the fixed fleet that the controller is compared with is of bf16")
        return self


class ClassSettings(AskedSettings):
    """One class of requests, what is asked of it and what it is promised."""

    quality_window_hours: Annotated[float, Field(gt=0, le=24 * 31)] = 24.0
    """Time over which the quality budget holds on average."""
    quality_may_overdraw: bool = False
    """Whether an event may burn more than is left, to be paid back within the window."""
    serve_usd_per_mtoken: Positive = 1000.0


class PlanSettings(Group):
    """The controller's plan; what is not here has the service's defaults."""

    every_s: Seconds = 900.0
    """Time between two plans of instances where nothing else calls for one."""
    step_s: Seconds = 900.0
    steps: Annotated[int, Field(ge=1, le=96)] = 12
    time_limit_s: Seconds = 5.0
    utilisation_frac: Share = 0.85
    margin_frac: Annotated[float, Field(ge=0, lt=1)] = 0.03
    prepare_s: NotNegative = 60.0
    carbon_usd_per_kg: NotNegative = 0.0
    gap_frac: Share = 3e-3
    ramp_up_w_per_s: Positive | None = None
    """Fastest planned rise of the site's power; no bound where absent."""
    ramp_down_w_per_s: Positive | None = None


class SiteStudySettings(Group):
    """A scenario of the kind `site`."""

    kind: Literal["site"]
    title: Text
    start: Instant
    hours: Annotated[float, Field(gt=0, le=24 * 31)]
    tick_s: Seconds = 10.0
    """Time between two decisions."""
    interval_s: Seconds = 10.0
    """Length of the intervals of the power series."""
    seed: Seed = 0
    engine: EngineModel = EngineModel.FLUID
    site: MeterSettings
    classes: Annotated[tuple[ClassSettings, ...], Field(min_length=1, max_length=32)]
    price: PriceSettings
    carbon: CarbonSettings
    events: Annotated[tuple[EventSettings, ...], Field(max_length=64)] = ()
    plan: PlanSettings = PlanSettings()
    fixed_instances: Annotated[int, Field(ge=1, le=2000)] | None = None
    """BF16 instances of the fixed fleet; as many as the busiest tick needs where absent."""

    @model_validator(mode="after")
    def _fits(self) -> SiteStudySettings:
        refuse_twins("classes", [cls.name for cls in self.classes])
        refuse_twins("events", [event.name for event in self.events])
        for name, longer, unit in (
            ("tick_s", self.tick_s, self.interval_s),
            ("hours", self.hours * 3600.0, self.tick_s),
        ):
            if longer < unit or not math.isclose(longer / unit, round(longer / unit), abs_tol=1e-6):
                raise ValueError(
                    f"{name}: {longer:g} s is no multiple of {unit:g} s; a tick is a whole number of intervals, "
                    "the run one of ticks"
                )
        if self.hours * 3600.0 / self.interval_s > MAX_INTERVALS:
            raise ValueError(f"interval_s {self.interval_s:g}: more than {MAX_INTERVALS} intervals; lengthen them")
        held = {pool.precision for pool in self.site.pools}
        for cls in self.classes:
            if cls.precisions and not held & set(cls.precisions):
                raise ValueError(f"classes: {cls.name!r} may be served by no pool; allow a precision that there is")
        self._refuse_missed_events()
        return self

    def _refuse_missed_events(self) -> None:
        end = self.start + timedelta(hours=self.hours)
        for event in self.events:
            if event.start < self.start or event.end > end:
                raise ValueError(
                    f"events: {event.name!r} lasts from {event.start:%Y-%m-%dT%H:%MZ} to {event.end:%Y-%m-%dT%H:%MZ}, "
                    f"not within {self.start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}; correct start or minutes"
                )
