"""A price or emission rate that a Prometheus has scraped from somewhere.

A Prometheus knows what was, not what comes: each sample holds until the next, the last for `hold_s`. The query should
be a range selector such as ``grid_price_eur_mwh[30m]``, whose answer keeps the samples' own times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from controller.errors import SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.body import json_of, mapping, shown
from controller.signals.feeds.outlook import Interval, Outlook, outlook
from controller.signals.feeds.provider import Ask, Web
from controller.signals.power.prometheus import read_series

_AHEAD_S = 60.0
"""How far a Prometheus' clock may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class PromqlFeed:
    """One series of a Prometheus.

    Attributes:
        unit: ``usd_per_mwh`` or ``kg_per_mwh``.
        factor: from the scraped figure to that unit.
        hold_s: how long the last sample holds.
    """

    url: str
    query: str
    unit: str
    factor: float
    hold_s: float = 900.0
    basis: str = ""

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        return f"promql {self.query[:80]}" + (f" ({self.basis})" if self.basis else "")

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """The samples that the query answers with.

        Raises:
            SignalError: nothing that can be used.
        """
        ask = Ask(f"{self.url.rstrip('/')}/api/v1/query", {"query": self.query}, secret_header="Authorization")
        return parse(await web.get(ask), now_s, self)


def parse(body: bytes, now_s: float, feed: PromqlFeed) -> Outlook:
    """The samples of the only series as intervals.

    Raises:
        SignalError: it is malformed, holds no or several series, or its samples are of the future.
    """
    answer = mapping(json_of(body, feed.source), feed.source)
    if answer.get("status") != "success":
        raise SignalError(feed.source, f"Prometheus refuses the query: {shown(answer.get('error'))}")
    try:
        series = read_series(answer.get("data"))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise SignalError(feed.source, f"malformed answer ({type(error).__name__})") from error
    if len(series) != 1 or not series[0].points:
        raise SignalError(feed.source, f"{len(series)} series, one with samples is expected; select it by its labels")
    return outlook(_intervals(sorted(set(series[0].points)), now_s, feed), feed.unit, feed.source)


def _intervals(points: list[tuple[float, float]], now_s: float, feed: PromqlFeed) -> Iterator[Interval]:
    if points[-1][0] > now_s + _AHEAD_S:
        raise SignalError(feed.source, f"a sample is {points[-1][0] - now_s:.0f} s ahead; correct the clocks")
    last = (points[-1][0] + feed.hold_s, 0.0)
    for (at_s, value), (until_s, _) in pairwise([*points, last]):
        if until_s > at_s:
            yield Interval(at_s, until_s, value * feed.factor, now_s, at_s, SeriesQuality.PUBLISHED)
