"""What a scenario of the kind `site` says of the grid: price, carbon, events, and times that cannot be mistaken."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from controller.study.fleet.site_settings import Zone, in_utc
from controller.study.series import SeriesSettings
from controller.study.settings import Group, Name, NotNegative, Positive

Finite = Annotated[float, Field(ge=-10_000, le=100_000, allow_inf_nan=False)]
Minutes = Annotated[float, Field(gt=0, le=7 * 24 * 60)]
Instant = Annotated[datetime, AfterValidator(in_utc)]
"""A moment, written with a zone, so that a day on which clocks are moved has no doubtful hour."""


class PriceSettings(Group):
    """A recorded price, one's own, or one that stands still; below zero where the grid pays."""

    zone: Zone | None = None
    """ERCOT load zone, day-ahead; February 2021 and 2022."""
    series: SeriesSettings | None = None
    """USD/MWh of one's own."""
    flat_usd_per_mwh: Finite | None = None

    @model_validator(mode="after")
    def _one(self) -> PriceSettings:
        if [self.zone, self.series, self.flat_usd_per_mwh].count(None) != 2:
            raise ValueError("write one of zone, series and flat_usd_per_mwh")
        return self


class CarbonSettings(Group):
    """The recorded marginal emissions, one's own, or a rate that stands still."""

    recorded: bool = False
    """CAISO (PG&E), ten days of August 2020, repeated."""
    series: SeriesSettings | None = None
    """kg/MWh of one's own."""
    flat_kg_per_mwh: NotNegative | None = None

    @model_validator(mode="after")
    def _one(self) -> CarbonSettings:
        if [self.recorded or None, self.series, self.flat_kg_per_mwh].count(None) != 2:
            raise ValueError("write one of recorded: true, series and flat_kg_per_mwh")
        return self


class EventSettings(Group):
    """A call to keep the site's import under a limit; where several are in force the lowest limit holds."""

    name: Name
    start: Instant
    minutes: Minutes
    limit_kw: Positive | None = None
    limit_frac: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of the fixed fleet's mean power while the event lasts."""
    notice_s: NotNegative = 600.0
    """How long before its start it becomes known."""
    ramp_s: NotNegative = 60.0
    """Time after its start by which the limit must be kept."""

    @model_validator(mode="after")
    def _one(self) -> EventSettings:
        if (self.limit_kw is None) == (self.limit_frac is None):
            raise ValueError("write either limit_kw or limit_frac")
        if self.ramp_s >= self.minutes * 60.0:
            raise ValueError(f"ramp_s {self.ramp_s:g} is as long as the event of {self.minutes:g} minutes; shorten it")
        return self

    @property
    def end(self) -> datetime:
        """When it is over."""
        return self.start + timedelta(minutes=self.minutes)
