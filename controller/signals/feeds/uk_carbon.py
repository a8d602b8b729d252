"""The Carbon Intensity API of Great Britain (NESO; CC BY 4.0, no key): average intensity by half hours, 48 h ahead.

`/intensity/{from}/fw48h` tells half hours with `intensity.forecast` and `intensity.actual` in gCO2/kWh, the latter null
for what has not been; the half hour that ends at `from` may be among them. Regions and postcodes are told under
`/regional`, with a forecast alone. The figure is the average of the generation mix, not the marginal rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.model.grid import SeriesQuality
from controller.signals.feeds.body import instant, json_of, listing, mapping, number
from controller.signals.feeds.outlook import Interval, Outlook, outlook
from controller.signals.feeds.provider import Ask, Web
from controller.signals.feeds.units import KG_PER_MWH
from controller.utc_text import utc_minute

_HALF_HOUR_S = 1800.0


@dataclass(frozen=True, slots=True)
class UkCarbon:
    """Great Britain, or one of its regions.

    Attributes:
        region: 1 to 17; None for the whole, or where `postcode` is given.
        postcode: outward part, such as RG10.
    """

    region: int | None = None
    postcode: str | None = None
    url: str = "https://api.carbonintensity.org.uk"

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        where = self.postcode or ("GB" if self.region is None else f"region {self.region}")
        return f"uk_carbon_intensity {where} (average)"

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """The half hour in force and 48 h ahead.

        Raises:
            SignalError: nothing that can be used.
        """
        # One minute into the half hour: asked from its first instant, the one before it would come too.
        ahead = f"intensity/{utc_minute(now_s - now_s % _HALF_HOUR_S + 60.0)}/fw48h"
        if self.postcode is not None:
            ahead = f"regional/{ahead}/postcode/{self.postcode}"
        elif self.region is not None:
            ahead = f"regional/{ahead}/regionid/{self.region}"
        return parse(await web.get(Ask(f"{self.url}/{ahead}", is_repeated=True)), now_s, self)


def parse(body: bytes, now_s: float, feed: UkCarbon) -> Outlook:
    """Half hours as average intensities; gCO2/kWh are as many kg/MWh. The outturn counts where there is one.

    Raises:
        SignalError: it is malformed.
    """
    return outlook(_intervals(body, now_s, feed.source), KG_PER_MWH, feed.source)


def _intervals(body: bytes, now_s: float, source: str) -> Iterator[Interval]:
    data = mapping(json_of(body, source), source).get("data")
    if isinstance(data, dict):
        data = data.get("data")  # of a region, beside its names
    for row in listing(data, source, "data"):
        told = mapping(row, source, "a half hour")
        figures = mapping(told.get("intensity"), source, "intensity")
        actual = figures.get("actual")
        quality = SeriesQuality.FORECAST if actual is None else SeriesQuality.ESTIMATED
        value = figures.get("forecast") if actual is None else actual
        yield Interval(
            instant(told.get("from"), source, "from"),
            instant(told.get("to"), source, "to"),
            number(value, source, "intensity"),
            now_s,
            None,
            quality,
        )
