"""energy-charts.info (Fraunhofer ISE, no key): day-ahead prices of a bidding zone.

`/price?bzn=&start=&end=` tells parallel lists of starts (UTC, seconds) and prices, always in EUR/MWh, also of zones
with a currency of their own. Of days without any there is status 404. `license_info` says zone by zone what may be done
with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.errors import FeedRefused, SignalError
from controller.signals.feeds.body import json_of, listing, mapping, number, one_line, shown
from controller.signals.feeds.outlook import Interval, Outlook, outlook, spans
from controller.signals.feeds.provider import Ask, Web
from controller.signals.feeds.units import USD_PER_MWH, Money
from controller.utc_text import utc_text

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class EnergyCharts:
    """A bidding zone, e.g. DE-LU."""

    zone: str
    money: Money
    url: str = "https://api.energy-charts.info"

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        return f"energy_charts {self.zone} day-ahead"

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """From the day before to two days ahead, which covers the local day wherever the zone is.

        Raises:
            SignalError: nothing that can be used.
        """
        days = {"start": utc_text(now_s - _DAY_S, "%Y-%m-%d"), "end": utc_text(now_s + 2 * _DAY_S, "%Y-%m-%d")}
        ask = Ask(f"{self.url}/price", {"bzn": self.zone, **days}, is_repeated=True)
        try:
            return parse(await web.get(ask), now_s, self)
        except FeedRefused as error:
            if error.status != 404:
                raise
            reason = f"{error.reason}: nothing is published of {self.zone} for these days, or there is no such zone"
            raise FeedRefused(self.source, reason, error.status, error.retry_after_s) from error


def parse(body: bytes, now_s: float, feed: EnergyCharts) -> Outlook:
    """Prices in USD/MWh; where a price is null there is a gap.

    Raises:
        SignalError: it is malformed, its lists are not of one length, or it is in another currency.
    """
    source = feed.source
    answer = mapping(json_of(body, source), source)
    starts = listing(answer.get("unix_seconds"), source, "unix_seconds")
    prices = listing(answer.get("price"), source, "price")
    if len(starts) != len(prices):
        raise SignalError(source, f"{len(starts)} times for {len(prices)} prices")
    unit = answer.get("unit")
    if not isinstance(unit, str):
        raise SignalError(source, f"unit is {shown(unit)}, not EUR / MWh")
    factor = feed.money.usd_per_mwh(unit, source)
    told = {number(start, source, "unix_seconds"): price for start, price in zip(starts, prices, strict=True)}
    licence = one_line(str(answer.get("license_info", "")))
    return outlook(
        (
            Interval(start_s, end_s, number(told[start_s], source, "price") * factor, now_s)
            for start_s, end_s in spans(sorted(told))
            if told[start_s] is not None
        ),
        USD_PER_MWH,
        source,
        f"licence: {licence}" if licence else "",
    )
