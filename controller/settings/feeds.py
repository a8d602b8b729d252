"""Feeds of price and carbon."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.settings.fields import Positive, UtcTime
from controller.settings.own_feeds import (
    MappedCarbonSettings,
    MappedPriceSettings,
    PromqlCarbonSettings,
    PromqlPriceSettings,
)
from controller.settings.publisher_feeds import (
    ElectricityMapsPriceSettings,
    ElectricityMapsSettings,
    EnergyChartsSettings,
    EntsoeSettings,
    OctopusAgileSettings,
    UkCarbonSettings,
    WattTimeSettings,
)
from router.settings import Group, Name


class ConstantFeed(Group):
    """A value that does not change."""

    kind: Literal["constant"]
    value: Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class CsvFeed(Group):
    """A recorded series, replayed from `data_start` on."""

    kind: Literal["csv"]
    path: str
    """CSV file, or the name of a bundled one: ercot_dam_lz_usd_per_mwh.csv, caiso_moer_pge_2020-08.csv."""
    time_column: str
    value_column: str
    scale: Positive = 1.0
    """Factor to USD/MWh or kg/MWh: 1000 for a column in kg/kWh."""
    data_start: UtcTime
    """Time in the file that the start of the controller is mapped to."""
    speed: Positive = 1.0
    """Seconds in the file per second."""
    forecast_columns: dict[str, Positive] = Field(default_factory=dict)
    """Columns of what was forecast in each row's interval, with the seconds ahead that each is of. Empty: the recorded
    values are told as far ahead as a market would tell them."""

    @model_validator(mode="after")
    def _leads_differ(self) -> CsvFeed:
        leads_s = list(self.forecast_columns.values())
        if len(set(leads_s)) < len(leads_s):
            raise ValueError(f"forecast_columns: {leads_s} are not different times ahead; give each column its own")
        return self


class EventFeed(Group):
    """What the events of an OpenADR server tell: payloads PRICE and GHG of the programmes that are followed."""

    kind: Literal["openadr"]
    vtn: Name
    """Name of an entry of `openadr`."""


LivePrice = (
    ElectricityMapsPriceSettings
    | EnergyChartsSettings
    | OctopusAgileSettings
    | EntsoeSettings
    | PromqlPriceSettings
    | MappedPriceSettings
)
LiveCarbon = WattTimeSettings | ElectricityMapsSettings | UkCarbonSettings | PromqlCarbonSettings | MappedCarbonSettings
PriceFeed = Annotated[ConstantFeed | CsvFeed | EventFeed | LivePrice, Field(discriminator="kind")]
CarbonFeed = Annotated[ConstantFeed | CsvFeed | EventFeed | LiveCarbon, Field(discriminator="kind")]
