"""Feeds of publishers whose form is known."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from controller.settings.live_feeds import CarbonFeed, PriceFeed
from controller.settings.power.source import Text, Url
from controller.signals.feeds.electricity_maps import URL as ELECTRICITY_MAPS
from controller.signals.feeds.electricity_maps import CarbonIntensity, DayAheadPrice
from controller.signals.feeds.energy_charts import EnergyCharts
from controller.signals.feeds.entsoe import EntsoePrices
from controller.signals.feeds.octopus_agile import OctopusAgile, product_of
from controller.signals.feeds.provider import Provider
from controller.signals.feeds.uk_carbon import UkCarbon
from controller.signals.feeds.watttime import WattTime
from router.settings import Seconds

Zone = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.+-]+$")]


def _check_tariff(value: str) -> str:
    product_of(value)
    return value


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
