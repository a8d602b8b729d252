"""What a scenario of the kind `fleet` says of its sites: meters, assets behind them, events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from controller.study.series import SeriesSettings
from controller.study.settings import Frac, Group, Name, NotNegative, Positive

Zone = Literal["LZ_HOUSTON", "LZ_NORTH", "LZ_WEST", "LZ_SOUTH"]
Ratio = Annotated[float, Field(ge=1, le=5)]
Share = Annotated[float, Field(gt=0, le=1)]


def in_utc(value: datetime) -> datetime:
    """The same time in UTC.

    Raises:
        ValueError: it has no zone: an hour of a local clock can be missing or come twice.
    """
    if value.tzinfo is None:
        raise ValueError("this time has no zone; end it with Z or an offset")
    return value.astimezone(UTC)


class PvSettings(Group):
    """Photovoltaics under a clear sky: weather is left out."""

    peak_kw: NotNegative
    """Power with the sun overhead."""
    latitude_deg: Annotated[float, Field(ge=-66, le=66)] = 31.0
    longitude_deg: Annotated[float, Field(ge=-180, le=180)] = -98.0


class BatterySettings(Group):
    """A battery behind a site's meter."""

    capacity_kwh: Positive
    charge_kw: NotNegative
    discharge_kw: NotNegative
    charge_frac: Share = 0.95
    """Share of the charged energy that is stored."""
    discharge_frac: Share = 0.95
    """Share of the stored energy that comes out."""
    min_frac: Frac = 0.1
    """Share of the capacity that is never taken out."""
    start_frac: Frac = 0.5
    """Share held at the beginning, and handed on at the end of each plan."""
    wear_usd_per_mwh: NotNegative = 5.0
    """Cost of a MWh charged or discharged."""

    @model_validator(mode="after")
    def _starts_within(self) -> BatterySettings:
        if self.start_frac < self.min_frac:
            raise ValueError(f"start_frac {self.start_frac:g} is below min_frac {self.min_frac:g}; raise it")
        return self


class SiteSettings(Group):
    """One site."""

    name: Name
    gpus: Annotated[int, Field(ge=0, le=1_000_000)]
    """GPUs installed. A site without GPUs draws its base load alone."""
    price_zone: Zone | None = None
    """ERCOT load zone whose day-ahead price it pays."""
    price: SeriesSettings | None = None
    """USD/MWh, in place of a zone's."""
    carbon: SeriesSettings | None = None
    """Emissions in kg/MWh, in place of the recorded ones."""
    pue: Ratio = 1.2
    aux_kw: NotNegative = 0.0
    """Constant load behind the meter that is not IT."""
    import_limit_kw: Positive | None = None
    """Most it may draw from the grid at any time."""
    pv: PvSettings | None = None
    battery: BatterySettings | None = None

    @model_validator(mode="after")
    def _pays_one_price(self) -> SiteSettings:
        if (self.price_zone is None) == (self.price is None):
            raise ValueError(f"site {self.name!r}: write either price_zone or price")
        return self


class _Event(Group):
    name: Name
    sites: Annotated[tuple[Name, ...], Field(min_length=1, max_length=16)]
    start: datetime
    hours: Annotated[float, Field(gt=0, le=24 * 31)]
    days: Annotated[int, Field(ge=1, le=31)] = 1
    """Days in a row on which it comes, at the same time in UTC."""

    @field_validator("start")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return in_utc(value)

    @model_validator(mode="after")
    def _fits_in_a_day(self) -> _Event:
        if self.days > 1 and self.hours > 24:
            raise ValueError(f"an event of {self.hours:g} h cannot come every day; give one event over all days")
        return self


class LimitEventSettings(_Event):
    """A limit on what a site draws from the grid, whatever it costs."""

    kind: Literal["limit"]
    limit_kw: NotNegative


class ResponseEventSettings(_Event):
    """A programme that pays for drawing less than the baseline: what the site draws without the programme."""

    kind: Literal["response"]
    reward_usd_per_mwh: NotNegative
    """Paid for each MWh below the baseline, paid back for each above it."""
    most_frac: Share = 1.0
    """Largest paid reduction, as a share of the baseline."""
    commit_frac: Frac = 0.0
    """Reduction that is promised, as a share of the baseline: a limit of its own."""


EventSettings = Annotated[LimitEventSettings | ResponseEventSettings, Field(discriminator="kind")]
