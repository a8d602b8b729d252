"""ENTSO-E Transparency Platform, document A44: day-ahead prices of a bidding zone.

The answer is a `Publication_MarketDocument`: time series of periods, each with a start, an end, a resolution (PT15M,
PT60M) and points by position, counted from 1. On a curve of type A03 a position that is absent repeats the price before
it; on one of type A01 it is a gap. A zone may have several auctions, told apart by
`classificationSequence_AttributeInstanceComponent.position` alone and in any order: 1 is the coupled market, 2 e.g. the
EXAA of Germany and Austria. Intraday auctions (contract_MarketAgreement.type A07), which have come among them as well,
are no day-ahead prices. Times are UTC; a local day has 23 or 25 hours where clocks change. Where nothing is
published an `Acknowledgement_MarketDocument` comes instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from controller.errors import SignalError
from controller.signals.feeds.body import instant, number, one_line, shown
from controller.signals.feeds.outlook import MAX_INTERVALS, Interval, Outlook, outlook
from controller.signals.feeds.provider import Ask, Web
from controller.signals.feeds.safe_xml import Element, read_xml
from controller.signals.feeds.units import USD_PER_MWH, Money
from controller.utc_text import utc_text

_DAY_S = 86_400.0
_RESOLUTION = re.compile(r"P(?:(?P<days>\d)D)?(?:T(?:(?P<hours>\d{1,2})H)?(?:(?P<minutes>\d{1,4})M)?)?")
_AUCTION = "classificationSequence_AttributeInstanceComponent.position"
_AGREEMENT = "contract_MarketAgreement.type"
_DAY_AHEAD = "A01"


@dataclass(frozen=True, slots=True)
class EntsoePrices:
    """A bidding zone by its EIC code, e.g. 10Y1001A1001A82H for DE-LU.

    Attributes:
        auction: number of the auction within the zone.
    """

    zone: str
    money: Money
    auction: int = 1
    url: str = "https://web-api.tp.entsoe.eu/api"

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        return f"entsoe {self.zone} day-ahead"

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """From the day before to two days ahead, which covers the local day wherever the zone is.

        Raises:
            SignalError: nothing that can be used.
        """
        midnight_s = now_s - now_s % _DAY_S
        params = {
            "documentType": "A44",
            _AGREEMENT: _DAY_AHEAD,
            "in_Domain": self.zone,
            "out_Domain": self.zone,
            "periodStart": utc_text(midnight_s - _DAY_S, "%Y%m%d%H%M"),
            "periodEnd": utc_text(midnight_s + 2 * _DAY_S, "%Y%m%d%H%M"),
        }
        body = await web.get(Ask(self.url, params, secret_param="securityToken", is_repeated=True))
        return parse(body, now_s, self)


def parse(body: bytes, now_s: float, feed: EntsoePrices) -> Outlook:
    """Prices of the chosen auction in USD/MWh; of two resolutions for one time the finer holds.

    Raises:
        SignalError: nothing is published, the document is malformed, or it is in another currency.
    """
    source = feed.source
    root = read_xml(body, source)
    if root.name == "Acknowledgement_MarketDocument":
        reason = root.text_at("Reason", "text") or "no reason is given"
        raise SignalError(source, f"nothing is published: {one_line(reason)}")
    if root.name != "Publication_MarketDocument":
        raise SignalError(source, f"a document {shown(root.name)}, not a Publication_MarketDocument")
    created = root.text_at("createdDateTime")
    issued_s = None if created is None else instant(created, source, "createdDateTime")
    told: list[Interval] = []
    for series in _of_auction(root, feed):
        unit = f"{series.text_at('currency_Unit.name')}/{series.text_at('price_Measure_Unit.name')}"
        factor = feed.money.usd_per_mwh(unit, source)
        for period in series.all("Period"):
            for start_s, end_s, price in _prices(period, series.text_at("curveType") or "A01", source):
                told.append(Interval(start_s, end_s, price * factor, now_s, issued_s))
    told.sort(key=lambda one: one.start_s - one.end_s)  # of those issued together the last one holds: the finest
    return outlook(told, USD_PER_MWH, source)


def _of_auction(root: Element, feed: EntsoePrices) -> list[Element]:
    """Time series of the chosen day-ahead auction, or those that tell of none; intraday auctions are passed over."""
    series = [one for one in root.all("TimeSeries") if one.text_at(_AGREEMENT) in (None, _DAY_AHEAD)]
    chosen = [one for one in series if one.text_at(_AUCTION) in (None, str(feed.auction))]
    if series and not chosen:
        there = sorted({one_line(str(one.text_at(_AUCTION)), 8) for one in series})[:8]
        raise SignalError(
            feed.source, f"auction {feed.auction} is not among {', '.join(there)}; set auction to one of them"
        )
    return chosen


def _prices(period: Element, curve: str, source: str) -> Iterator[tuple[float, float, float]]:
    """Start, end and price of the stretches of a period."""
    start_s = instant(period.text_at("timeInterval", "start"), source, "timeInterval.start")
    end_s = instant(period.text_at("timeInterval", "end"), source, "timeInterval.end")
    step_s = resolution_s(period.text_at("resolution"), source)
    count = round((end_s - start_s) / step_s)
    if not 0 < count <= MAX_INTERVALS or abs(start_s + count * step_s - end_s) > 1.0:
        raise SignalError(source, f"a period of {end_s - start_s:.0f} s in steps of {step_s:.0f} s")
    prices: dict[int, float] = {}
    for point in period.all("Point"):
        place = number(point.text_at("position"), source, "position")
        if not place.is_integer() or not 1 <= place <= count or int(place) in prices:
            raise SignalError(source, f"position {place:g} is told twice or is not within 1 .. {count}")
        prices[int(place)] = number(point.text_at("price.amount"), source, "price.amount")
    if curve not in ("A01", "A03"):
        raise SignalError(source, f"curveType {shown(curve)}, A01 or A03 is expected")
    if not prices:
        raise SignalError(source, f"a period of {end_s - start_s:.0f} s without a Point")
    places = sorted(prices)
    for place, following in zip(places, (*places[1:], count + 1), strict=True):
        last = following if curve == "A03" else place + 1
        yield start_s + (place - 1) * step_s, start_s + (last - 1) * step_s, prices[place]


def resolution_s(text: str | None, source: str) -> float:
    """Seconds of PT15M, PT60M, PT1H or P1D.

    Raises:
        SignalError: it is none of a fixed length.
    """
    found = _RESOLUTION.fullmatch(text or "")
    parts = {key: int(value) for key, value in found.groupdict().items() if value} if found else {}
    seconds = 86_400 * parts.get("days", 0) + 3600 * parts.get("hours", 0) + 60 * parts.get("minutes", 0)
    if seconds == 0:
        raise SignalError(source, f"resolution {shown(text)}, PT15M or PT60M is expected")
    return float(seconds)
