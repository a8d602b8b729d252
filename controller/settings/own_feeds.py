"""Feeds of a form of the operator's own: a Prometheus, a file, an address."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, model_validator

from controller.errors import SignalError
from controller.model.grid import SeriesQuality
from controller.settings.live_feeds import CarbonFeed, LiveFeed, PriceFeed
from controller.settings.power.source import Text, Url, refuse_lost_times
from controller.signals.feeds.mapped import MappedFeed, Mapping
from controller.signals.feeds.promql import PromqlFeed
from controller.signals.feeds.provider import Provider
from controller.signals.feeds.running import LiveSpec
from controller.signals.feeds.units import KG_PER_MWH, USD_PER_MWH, Money, kg_per_mwh
from router.settings import Group, Seconds


def _check_timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is no time zone; write one of the IANA's, such as Europe/Berlin")
    return value


class PromqlFeedSettings(LiveFeed):
    """What a price and a rate from a Prometheus have in common."""

    kind: Literal["promql"]
    url: Url
    """Its address, e.g. http://prometheus:9090."""
    query: Text
    """One series, as a range selector, e.g. grid_price_eur_mwh{zone="DE"}[30m]."""
    unit: Annotated[str, Field(min_length=1, max_length=40)]
    """Unit of its samples, e.g. EUR/MWh, ct/kWh, gCO2eq/kWh."""
    hold_s: Seconds = 900.0
    """How long the last sample holds; nothing is known beyond."""

    @model_validator(mode="after")
    def _timed(self) -> PromqlFeedSettings:
        refuse_lost_times([self.query], None)
        return self


class PromqlPriceSettings(PromqlFeedSettings, PriceFeed):
    """A price that a Prometheus has scraped."""

    refresh_s: Seconds = 60.0
    """Time between two questions."""

    @model_validator(mode="after")
    def _is_price(self) -> PromqlPriceSettings:
        _price_factor(self.unit, self.money())
        return self

    def provider(self) -> Provider:
        """The publisher."""
        factor = _price_factor(self.unit, self.money())
        return PromqlFeed(self.url, self.query, USD_PER_MWH, factor, self.hold_s)


class PromqlCarbonSettings(PromqlFeedSettings, CarbonFeed):
    """An emission rate that a Prometheus has scraped."""

    basis: Literal["marginal", "average"]
    """Whether it is the rate of the next kWh or that of all of them."""
    refresh_s: Seconds = 60.0
    """Time between two questions."""

    @model_validator(mode="after")
    def _is_rate(self) -> PromqlCarbonSettings:
        _carbon_factor(self.unit)
        return self

    def provider(self) -> Provider:
        """The publisher."""
        return PromqlFeed(self.url, self.query, KG_PER_MWH, _carbon_factor(self.unit), self.hold_s, self.basis)


class MappedFeedSettings(Group):
    """What prices and rates of any form have in common: a file or an address, and where the series stands in it."""

    kind: Literal["mapped"]
    url: Url | None = None
    """Address; or `path`."""
    path: Path | None = None
    """File, read anew each time; or `url`."""
    format: Literal["csv", "json"]
    """Form of the answer."""
    time: Text
    """Column of the intervals' starts; in JSON their path within a row, keys joined by dots."""
    value: Text
    """The same of the values."""
    end: Text | None = None
    """The same of the intervals' ends. Absent: an interval lasts to the next start."""
    rows: Annotated[str, Field(max_length=2000)] | None = ""
    """Path of the list of rows in JSON; empty: the whole answer. null: time and value are paths of parallel lists."""
    issued_at: Text | None = None
    """Path in JSON of the time at which it was made; of revisions the latest holds."""
    times: Literal["iso", "unix_s", "unix_ms"] = "iso"
    """Form of the times."""
    timezone: Annotated[str, AfterValidator(_check_timezone)] | None = None
    """Zone of times that tell none, e.g. Europe/Berlin."""
    step_s: Seconds | None = None
    """Length of an interval. Absent: the most usual distance of two starts; beyond it there is a gap."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Between the cells of CSV."""
    unit: Annotated[str, Field(min_length=1, max_length=40)]
    """Unit of the values, e.g. EUR/MWh, ct/kWh, gCO2eq/kWh, lb/MWh."""
    quality: Literal["published", "forecast", "estimated"] = "published"
    """How the values came about."""
    token_header: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", max_length=64)] | None = None
    """Header for the token. Absent: Authorization, as a bearer token."""

    @model_validator(mode="after")
    def _one_place(self) -> MappedFeedSettings:
        if (self.url is None) is (self.path is None):
            raise ValueError("url and path: write one of them")
        if self.format == "csv" and (self.rows != "" or self.issued_at is not None):
            raise ValueError("rows and issued_at are of JSON; leave them out of CSV")
        return self

    def mapped(self, unit: str, factor: float, basis: str = "") -> MappedFeed:
        """The publisher."""
        mapping = Mapping(
            form=self.format,
            time=self.time,
            value=self.value,
            end=self.end,
            rows=self.rows,
            issued_at=self.issued_at,
            times=self.times,
            zone=None if self.timezone is None else ZoneInfo(self.timezone),
            step_s=self.step_s,
            delimiter=self.delimiter,
        )
        address = f"file:{self.path}" if self.url is None else self.url
        return MappedFeed(address, mapping, unit, factor, SeriesQuality(self.quality), basis, self.token_header)


class MappedPriceSettings(MappedFeedSettings, PriceFeed):
    """A price in a form of its own."""

    @model_validator(mode="after")
    def _is_price(self) -> MappedPriceSettings:
        _price_factor(self.unit, self.money())
        return self

    def provider(self) -> Provider:
        """The publisher."""
        return self.mapped(USD_PER_MWH, _price_factor(self.unit, self.money()))

    def spec(self) -> LiveSpec:
        """What the feed is opened from."""
        return _local(super().spec(), self.path)


class MappedCarbonSettings(MappedFeedSettings, CarbonFeed):
    """An emission rate in a form of its own."""

    basis: Literal["marginal", "average"]
    """Whether it is the rate of the next kWh or that of all of them."""

    @model_validator(mode="after")
    def _is_rate(self) -> MappedCarbonSettings:
        _carbon_factor(self.unit)
        return self

    def provider(self) -> Provider:
        """The publisher."""
        return self.mapped(KG_PER_MWH, _carbon_factor(self.unit), self.basis)

    def spec(self) -> LiveSpec:
        """What the feed is opened from."""
        return _local(super().spec(), self.path)


def _local(spec: LiveSpec, path: Path | None) -> LiveSpec:
    return spec if path is None else LiveSpec(spec.provider, spec.rules, None)


def _price_factor(unit: str, money: Money) -> float:
    try:
        return money.usd_per_mwh(unit, "unit")
    except SignalError as error:
        raise ValueError(str(error)) from error


def _carbon_factor(unit: str) -> float:
    try:
        return kg_per_mwh(unit, "unit")
    except SignalError as error:
        raise ValueError(str(error)) from error
