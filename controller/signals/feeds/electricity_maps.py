"""Electricity Maps v3: the carbon intensity of a zone now and ahead, and its day-ahead price.

`/carbon-intensity/latest` tells the present interval in gCO2eq/kWh, often estimated; `/carbon-intensity/forecast` those
to come, which not every plan contains: without it the present interval alone is known, and the remark says so. The
intensity is the *average* of what the zone consumes, with life-cycle or direct emission factors.
`/price-day-ahead/latest` and `/price-day-ahead/forecast` tell prices in the zone's currency per MWh; the latter wants a
window of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.errors import FeedRefused, SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.body import instant, json_of, listing, mapping, number, shown
from controller.signals.feeds.outlook import Interval, Outlook, outlook, spans
from controller.signals.feeds.provider import Ask, Web
from controller.signals.feeds.units import KG_PER_MWH, USD_PER_MWH, Money
from controller.utc_text import utc_minute

URL = "https://api.electricitymaps.com/v3"
_STEPS_S = {"5_minutes": 300.0, "15_minutes": 900.0, "hourly": 3600.0}
_HOUR_S = 3600.0
_AHEAD_S = 48 * _HOUR_S
_NOT_IN_PLAN = (401, 403, 404)
Row = tuple[float, float, SeriesQuality, float | None]
"""Start, value as it was told, quality, time of issue."""


@dataclass(frozen=True, slots=True)
class CarbonIntensity:
    """Average carbon intensity of a zone, in kg/MWh (as many as g/kWh).

    Attributes:
        horizon_h: how far ahead is asked: 6, 24, 48 or 72.
        emission_factors: ``lifecycle`` or ``direct``.
    """

    zone: str
    horizon_h: int = 24
    emission_factors: str = "lifecycle"
    url: str = URL

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        return f"electricity_maps {self.zone} (average, {self.emission_factors})"

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """The present interval, and the forecast where the plan contains it.

        Raises:
            SignalError: nothing that can be used.
        """
        params = {"zone": self.zone, "emissionFactorType": self.emission_factors}
        latest = await web.get(_ask(f"{self.url}/carbon-intensity/latest", params))
        ahead = {**params, "horizonHours": str(self.horizon_h)}
        forecast, remark = await _if_in_plan(web, _ask(f"{self.url}/carbon-intensity/forecast", ahead))
        return parse_carbon(latest, forecast, now_s, self, remark)


@dataclass(frozen=True, slots=True)
class DayAheadPrice:
    """Day-ahead price of a zone, in USD/MWh."""

    zone: str
    money: Money
    url: str = URL

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        return f"electricity_maps {self.zone} day-ahead"

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """The present interval, and those ahead where the plan contains them.

        Raises:
            SignalError: nothing that can be used.
        """
        params = {"zone": self.zone}
        latest = await web.get(_ask(f"{self.url}/price-day-ahead/latest", params))
        from_s = now_s - now_s % _HOUR_S
        window = {**params, "start": utc_minute(from_s), "end": utc_minute(from_s + _AHEAD_S)}
        forecast, remark = await _if_in_plan(web, _ask(f"{self.url}/price-day-ahead/forecast", window))
        return parse_price(latest, forecast, now_s, self, remark)


def parse_carbon(
    latest: bytes, forecast: bytes | None, now_s: float, feed: CarbonIntensity, remark: str = ""
) -> Outlook:
    """Both answers as average intensities in kg/MWh; gCO2eq/kWh are as many kg/MWh.

    Raises:
        SignalError: one is malformed or of another zone.
    """
    source = feed.source

    def row(told: Mapping[str, Any], issued_s: float | None, *, is_ahead: bool) -> Row:
        value = number(told.get("carbonIntensity"), source, "carbonIntensity")
        quality = SeriesQuality.ESTIMATED if told.get("isEstimated") else SeriesQuality.PUBLISHED
        start_s = instant(told.get("datetime"), source, "datetime")
        return start_s, value, SeriesQuality.FORECAST if is_ahead else quality, issued_s

    rows = _rows((latest, forecast), feed, row)
    return outlook(_intervals(rows, now_s), KG_PER_MWH, source, remark)


def parse_price(latest: bytes, forecast: bytes | None, now_s: float, feed: DayAheadPrice, remark: str = "") -> Outlook:
    """Both answers as prices in USD/MWh, each row by its own unit.

    Raises:
        SignalError: one is malformed, of another zone, or in another currency than the configured one.
    """
    source = feed.source

    def row(told: Mapping[str, Any], issued_s: float | None, *, is_ahead: bool) -> Row:
        unit = told.get("unit")
        if not isinstance(unit, str):
            raise SignalError(source, f"unit is {shown(unit)}, not one such as EUR/MWh")
        value = number(told.get("value"), source, "value") * feed.money.usd_per_mwh(unit, source)
        start_s = instant(told.get("datetime"), source, "datetime")
        return start_s, value, SeriesQuality.FORECAST if is_ahead else SeriesQuality.PUBLISHED, issued_s

    rows = _rows((latest, forecast), feed, row)
    return outlook(_intervals(rows, now_s), USD_PER_MWH, source, remark)


def _ask(url: str, params: Mapping[str, str]) -> Ask:
    return Ask(url, params, secret_header="auth-token", is_repeated=True)


async def _if_in_plan(web: Web, ask: Ask) -> tuple[bytes | None, str]:
    try:
        return await web.get(ask), ""
    except FeedRefused as error:
        if error.status not in _NOT_IN_PLAN:
            raise
        return None, f"the present alone is known: the forecast is refused (status {error.status}), is it in your plan?"


def _rows(
    bodies: tuple[bytes, bytes | None], feed: CarbonIntensity | DayAheadPrice, row: Callable[..., Row]
) -> list[tuple[list[Row], float | None]]:
    """Rows and step of each answer; the first is of the present, the second of what comes."""
    out = []
    for place, body in enumerate(bodies):
        if body is None:
            continue
        answer = mapping(json_of(body, feed.source), feed.source)
        if answer.get("zone") != feed.zone:
            raise SignalError(
                feed.source, f"the answer is of zone {shown(answer.get('zone'))}, asked was {feed.zone!r}"
            )
        told = next((answer[key] for key in ("forecast", "data") if key in answer), [answer])
        issued_s = _issued(answer, feed.source)
        rows = []
        for one in listing(told, feed.source, "the rows"):
            each = mapping(one, feed.source, "a row")
            rows.append(row(each, _issued(each, feed.source) or issued_s, is_ahead=place > 0))
        out.append((sorted(rows, key=lambda one: one[0]), _STEPS_S.get(str(answer.get("temporalGranularity")))))
    return out


def _issued(answer: Mapping[str, Any], source: str) -> float | None:
    told = answer.get("updatedAt")
    return None if told is None else instant(told, source, "updatedAt")


def _intervals(answers: Iterable[tuple[list[Row], float | None]], now_s: float) -> Iterable[Interval]:
    for rows, step_s in answers:
        by_start = {row[0]: row for row in rows}
        for start_s, end_s in spans(sorted(by_start), step_s):
            _, value, quality, issued_s = by_start[start_s]
            yield Interval(start_s, end_s, value, now_s, issued_s, quality)
