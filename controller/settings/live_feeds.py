"""Feeds of price and carbon that others tell while the service runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, model_validator

from controller.errors import SignalError
from controller.model.grid import SeriesQuality
from controller.settings.fields import Positive
from controller.settings.power.source import Text, Url, refuse_lost_times
from controller.signals.feeds.electricity_maps import URL as ELECTRICITY_MAPS
from controller.signals.feeds.electricity_maps import CarbonIntensity, DayAheadPrice
from controller.signals.feeds.energy_charts import EnergyCharts
from controller.signals.feeds.entsoe import EntsoePrices
from controller.signals.feeds.fetch import WebOptions
from controller.signals.feeds.live import FeedRules
from controller.signals.feeds.mapped import MappedFeed, Mapping
from controller.signals.feeds.octopus_agile import OctopusAgile, product_of
from controller.signals.feeds.promql import PromqlFeed
from controller.signals.feeds.provider import Provider
from controller.signals.feeds.running import LiveSpec
from controller.signals.feeds.uk_carbon import UkCarbon
from controller.signals.feeds.units import KG_PER_MWH, USD_PER_MWH, Money, kg_per_mwh
from controller.signals.feeds.watttime import WattTime
from router.settings import Group, Seconds

_STALE_AFTER = 3.0
"""Questions in a row that may fail before a feed counts as stale."""
_DAY_S = 86_400.0
Bound = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Zone = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.+-]+$")]


def _check_timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is no time zone; write one of the IANA's, such as Europe/Berlin")
    return value


def _check_tariff(value: str) -> str:
    product_of(value)
    return value


class LiveFeed(Group):
    """What all live feeds have."""

    refresh_s: Seconds = 900.0
    """Time between two questions."""
    stale_s: Seconds | None = None
    """Age of the last good answer at which the feed counts as stale. Absent: three times `refresh_s`."""
    max_age_s: Annotated[float, Field(gt=0, le=7 * _DAY_S)] = _DAY_S
    """Age at which it counts as missing, though its last answer may tell of later times."""
    timeout_s: Seconds = 15.0
    """Longest wait for an answer."""
    token_file: Path | None = None
    """File with the token, or the password of `user`; followed when it is replaced."""
    token_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] | None = None
    """Variable of the environment with it, instead of a file."""
    ca_file: Path | None = None
    """PEM file with the authorities that may have issued the server's certificate. Absent: those of the system."""
    needs_token: ClassVar[bool] = False

    @model_validator(mode="after")
    def _reached(self) -> LiveFeed:
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("token_file and token_env: one of them is enough")
        if self.needs_token and self.token_file is None and self.token_env is None:
            raise ValueError("the publisher wants a token: write token_file, or token_env")
        if self.stale_s is not None and self.stale_s < self.refresh_s:
            raise ValueError(f"stale_s {self.stale_s:g} is less than refresh_s {self.refresh_s:g}; raise it")
        return self

    def provider(self) -> Provider:
        """The publisher."""
        raise NotImplementedError

    def bounds(self) -> tuple[float, float]:
        """Least and most believable value."""
        raise NotImplementedError

    def spec(self) -> LiveSpec:
        """What the feed is opened from."""
        stale_s = _STALE_AFTER * self.refresh_s if self.stale_s is None else self.stale_s
        rules = FeedRules(self.refresh_s, min(stale_s, self.max_age_s), self.max_age_s, *self.bounds())
        web = WebOptions(self.token_file, self.token_env, self.ca_file, self.timeout_s)
        return LiveSpec(self.provider(), rules, web)


class PriceFeed(LiveFeed):
    """What live feeds of prices have."""

    least: Bound = -5_000.0
    """Least believable price, USD/MWh; an answer with one beyond is refused. Markets' floors are at -500 EUR and up."""
    most: Bound = 20_000.0
    """Most believable price, USD/MWh. Markets' caps are at 5000 EUR or USD, and 20 300 AUD."""
    currency: Currency = "EUR"
    """Currency the publisher tells prices in (ISO 4217)."""
    usd_per_unit: Positive | None = None
    """How many USD one unit of that currency is; prices are planned in USD."""

    @model_validator(mode="after")
    def _priced(self) -> PriceFeed:
        if self.currency != "USD" and self.usd_per_unit is None:
            raise ValueError(
                f"prices are planned in USD and told in {self.currency}: write usd_per_unit, how many USD one "
                f"{self.currency} is"
            )
        if self.currency == "USD" and self.usd_per_unit not in (None, 1.0):
            raise ValueError("usd_per_unit: one USD is one USD; leave it out, or write the currency that is told")
        _ordered(self.least, self.most)
        return self

    def bounds(self) -> tuple[float, float]:
        """Least and most believable price."""
        return _ordered(self.least, self.most)

    def money(self) -> Money:
        """The currency and its rate."""
        return Money(self.currency, self.usd_per_unit)


class CarbonFeed(LiveFeed):
    """What live feeds of emission rates have."""

    least: Bound = 0.0
    """Least believable rate, kg/MWh; an answer with one beyond is refused."""
    most: Bound = 3_000.0
    """Most believable rate, kg/MWh. Lignite emits some 1200."""

    @model_validator(mode="after")
    def _bounded(self) -> CarbonFeed:
        _ordered(self.least, self.most)
        return self

    def bounds(self) -> tuple[float, float]:
        """Least and most believable rate."""
        return _ordered(self.least, self.most)


class WattTimeSettings(CarbonFeed):
    """WattTime v3: marginal emission rates, forecast."""

    kind: Literal["watttime"]
    region: Zone
    """Grid region, e.g. CAISO_NORTH, the only one that is free."""
    user: Text
    """Name of the account; its password stands in `token_file` or `token_env`."""
    signal_type: Literal["co2_moer", "co2_aoer"] = "co2_moer"
    """co2_moer is the marginal rate, which shifting load changes; co2_aoer the average."""
    url: Url = "https://api.watttime.org"
    """Address of the API."""
    refresh_s: Seconds = 300.0
    """Time between two questions; forecasts are made every 5 minutes."""
    needs_token: ClassVar[bool] = True

    def provider(self) -> Provider:
        """The publisher."""
        return WattTime(self.region, self.user, self.signal_type, self.url.rstrip("/"))


class ElectricityMapsSettings(CarbonFeed):
    """Electricity Maps v3: average carbon intensity, and its forecast where the plan contains it."""

    kind: Literal["electricity_maps"]
    zone: Zone
    """Zone, e.g. DE or US-CAL-CISO."""
    horizon_h: Literal[6, 24, 48, 72] = 24
    """How far ahead is asked."""
    emission_factors: Literal["lifecycle", "direct"] = "lifecycle"
    """Whether building power plants and providing fuel counts in."""
    url: Url = ELECTRICITY_MAPS
    """Address of the API."""
    needs_token: ClassVar[bool] = True

    def provider(self) -> Provider:
        """The publisher."""
        return CarbonIntensity(self.zone, self.horizon_h, self.emission_factors, self.url.rstrip("/"))


class UkCarbonSettings(CarbonFeed):
    """The Carbon Intensity API of Great Britain: average intensity, 48 h ahead."""

    kind: Literal["uk_carbon_intensity"]
    region: Annotated[int, Field(ge=1, le=17)] | None = None
    """Region by its number. Absent, without a postcode: Great Britain."""
    postcode: Annotated[str, Field(pattern=r"^[A-Z]{1,2}[0-9][0-9A-Z]?$")] | None = None
    """Outward part of a postcode, e.g. RG10."""
    url: Url = "https://api.carbonintensity.org.uk"
    """Address of the API."""

    @model_validator(mode="after")
    def _one_place(self) -> UkCarbonSettings:
        if self.region is not None and self.postcode is not None:
            raise ValueError("region and postcode: one of them is enough")
        return self

    def provider(self) -> Provider:
        """The publisher."""
        return UkCarbon(self.region, self.postcode, self.url.rstrip("/"))


class ElectricityMapsPriceSettings(PriceFeed):
    """Electricity Maps v3: day-ahead price of a zone."""

    kind: Literal["electricity_maps"]
    zone: Zone
    """Zone, e.g. DE."""
    url: Url = ELECTRICITY_MAPS
    """Address of the API."""
    needs_token: ClassVar[bool] = True

    def provider(self) -> Provider:
        """The publisher."""
        return DayAheadPrice(self.zone, self.money(), self.url.rstrip("/"))


class EnergyChartsSettings(PriceFeed):
    """energy-charts.info: day-ahead prices, always in EUR."""

    kind: Literal["energy_charts"]
    zone: Zone
    """Bidding zone, e.g. DE-LU."""
    url: Url = "https://api.energy-charts.info"
    """Address of the API."""
    refresh_s: Seconds = 1800.0
    """Time between two questions; prices of the next day come once a day, around 13:00 CET."""

    def provider(self) -> Provider:
        """The publisher."""
        return EnergyCharts(self.zone, self.money(), self.url.rstrip("/"))


class OctopusAgileSettings(PriceFeed):
    """Octopus Agile: half-hourly unit rates."""

    kind: Literal["octopus_agile"]
    tariff: Annotated[str, AfterValidator(_check_tariff)]
    """Code of the tariff, e.g. E-1R-AGILE-24-10-01-C; its last letter is the region."""
    vat: Literal["exclude", "include"] = "exclude"
    """Whether value added tax is a cost; to who reclaims it, it is none."""
    currency: Literal["GBP"] = "GBP"
    """Pounds; the publisher tells pence."""
    url: Url = "https://api.octopus.energy"
    """Address of the API."""
    refresh_s: Seconds = 1800.0
    """Time between two questions; rates of the next day come once a day, around 16:00."""

    def provider(self) -> Provider:
        """The publisher."""
        return OctopusAgile(self.tariff, self.money(), self.vat == "include", self.url.rstrip("/"))


class EntsoeSettings(PriceFeed):
    """ENTSO-E Transparency Platform, A44: day-ahead prices."""

    kind: Literal["entsoe"]
    zone: Annotated[str, Field(pattern=r"^[0-9A-Z-]{16}$")]
    """EIC code of the bidding zone, 16 characters, e.g. 10Y1001A1001A82H for DE-LU."""
    auction: Annotated[int, Field(ge=1, le=9)] = 1
    """Which of the zone's auctions: 1 is the coupled market, 2 e.g. the EXAA in Germany and Austria."""
    url: Url = "https://web-api.tp.entsoe.eu/api"
    """Address of the API."""
    refresh_s: Seconds = 1800.0
    """Time between two questions; prices of the next day come once a day, around 13:00 CET."""
    needs_token: ClassVar[bool] = True

    def provider(self) -> Provider:
        """The publisher."""
        return EntsoePrices(self.zone, self.money(), self.auction, self.url)


class PromqlFeedSettings(Group):
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


def _ordered(least: float, most: float) -> tuple[float, float]:
    if least >= most:
        raise ValueError(f"least {least:g} is not below most {most:g}")
    return least, most


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


LivePrice = (
    ElectricityMapsPriceSettings
    | EnergyChartsSettings
    | OctopusAgileSettings
    | EntsoeSettings
    | PromqlPriceSettings
    | MappedPriceSettings
)
LiveCarbon = WattTimeSettings | ElectricityMapsSettings | UkCarbonSettings | PromqlCarbonSettings | MappedCarbonSettings
