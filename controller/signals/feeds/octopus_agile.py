"""Octopus Agile: half-hourly unit rates of a tariff in Great Britain (no key).

`.../standard-unit-rates/` tells pages of `results`, newest first, in pence per kWh with and without VAT. A rate may be
negative. `valid_to` is null for one that holds until further notice; tariffs with several ways to pay tell each rate
once a way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from controller.errors import SignalError
from controller.signals.feeds.body import instant, json_of, listing, mapping, number
from controller.signals.feeds.outlook import LOOKAHEAD_S, Interval, Outlook, outlook
from controller.signals.feeds.provider import Ask, Web
from controller.signals.feeds.units import USD_PER_MWH, Money
from controller.utc_text import utc_minute

MAX_PAGES = 8
_TARIFF = re.compile(r"E-[12]R-(?P<product>[A-Z0-9-]{1,60})-[A-P]")
_HALF_HOUR_S = 1800.0


@dataclass(frozen=True, slots=True)
class OctopusAgile:
    """A tariff, e.g. E-1R-AGILE-24-10-01-C.

    Attributes:
        money: GBP and its rate.
        has_vat: whether the VAT counts as a cost.
    """

    tariff: str
    money: Money
    has_vat: bool = False
    url: str = "https://api.octopus.energy"

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        return f"octopus_agile {self.tariff} ({'with' if self.has_vat else 'without'} VAT)"

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """The half hour in force and all that is told ahead, over as many pages as it takes.

        Raises:
            SignalError: nothing that can be used, or pages lead elsewhere or never end.
        """
        path = f"/v1/products/{product_of(self.tariff)}/electricity-tariffs/{self.tariff}/standard-unit-rates/"
        from_s = now_s - now_s % _HALF_HOUR_S
        ask = Ask(f"{self.url}{path}", {"period_from": utc_minute(from_s), "page_size": "200"}, is_repeated=True)
        bodies: list[bytes] = []
        while True:
            bodies.append(await web.get(ask))
            following = next_page(bodies[-1], self)
            if following is None:
                return parse(bodies, now_s, self)
            if len(bodies) == MAX_PAGES:
                raise SignalError(self.source, f"more than {MAX_PAGES} pages; is it a half-hourly tariff?")
            ask = Ask(following)


def product_of(tariff: str) -> str:
    """The product within a tariff's code: AGILE-24-10-01 of E-1R-AGILE-24-10-01-C.

    Raises:
        ValueError: it is no code of an electricity tariff.
    """
    found = _TARIFF.fullmatch(tariff)
    if found is None:
        raise ValueError(f"{tariff!r} is no electricity tariff; write its code, such as E-1R-AGILE-24-10-01-C")
    return found["product"]


def next_page(body: bytes, feed: OctopusAgile) -> str | None:
    """Address of the next page; one that leads to another server is refused.

    Raises:
        SignalError: the answer is malformed, or leads elsewhere.
    """
    following = mapping(json_of(body, feed.source), feed.source).get("next")
    if following is None:
        return None
    try:
        here = isinstance(following, str) and urlsplit(following)[:2] == urlsplit(feed.url)[:2]
    except ValueError:
        here = False
    if not here:
        raise SignalError(feed.source, "its next page leads to another server; it is not followed")
    return str(following)


def parse(bodies: list[bytes], now_s: float, feed: OctopusAgile) -> Outlook:
    """Pages of rates as prices in USD/MWh.

    Raises:
        SignalError: one is malformed.
    """
    return outlook(_intervals(bodies, now_s, feed), USD_PER_MWH, feed.source)


def _intervals(bodies: list[bytes], now_s: float, feed: OctopusAgile) -> Iterator[Interval]:
    source, key = feed.source, "value_inc_vat" if feed.has_vat else "value_exc_vat"
    factor = feed.money.usd_per_mwh("p/kWh", source)
    for body in bodies:
        for row in listing(mapping(json_of(body, source), source).get("results"), source, "results"):
            told = mapping(row, source, "a rate")
            if told.get("payment_method") not in (None, "DIRECT_DEBIT"):
                continue
            start_s = instant(told.get("valid_from"), source, "valid_from")
            to = told.get("valid_to")
            end_s = max(start_s, now_s) + LOOKAHEAD_S if to is None else instant(to, source, "valid_to")
            yield Interval(start_s, end_s, number(told.get(key), source, key) * factor, now_s)
