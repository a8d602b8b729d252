"""WattTime v3: the forecast of the marginal (or average) emission rate of a grid region.

The API (https://docs.watttime.org): `/login` takes name and password and gives a token that holds for 30 minutes;
`/v3/forecast` tells, from now on, values in lb/MWh of `data_point_period_seconds` each, made at `generated_at`.
`/v3/signal-index` tells a percentile of the present rate, which is no rate: it is refused, and so named. Limits: 3000
requests, of them 100 logins, in 5 minutes. Without a subscription only the region CAISO_NORTH is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.errors import FeedRefused, SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.body import instant, json_of, listing, mapping, number, shown
from controller.signals.feeds.outlook import Interval, Outlook, outlook, spans
from controller.signals.feeds.provider import Ask, Web
from controller.signals.feeds.units import KG_PER_MWH, kg_per_mwh

TOKEN_S = 1800.0
"""How long a token holds (docs.watttime.org)."""
_RENEWED_S = 120.0
"""How long before its end a token is renewed."""
_USUAL_S = 300.0
BASES = {"co2_moer": "marginal", "co2_aoer": "average"}


@dataclass(slots=True)
class _Session:
    token: str = ""
    until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class WattTime:
    """Forecast of a region; the secret of the access is the password of `user`."""

    region: str
    user: str
    signal_type: str = "co2_moer"
    url: str = "https://api.watttime.org"
    _session: _Session = field(default_factory=_Session, repr=False, compare=False)

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        return f"watttime {self.region} ({BASES.get(self.signal_type, self.signal_type)})"

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """The forecast; a token that is refused is renewed once.

        Raises:
            SignalError: nothing that can be used.
        """
        is_fresh = now_s >= self._session.until_s
        if is_fresh:
            await self._login(web, now_s)
        try:
            body = await self._forecast(web)
        except FeedRefused as error:
            if error.status != 401 or is_fresh:
                raise self._explained(error) from error
            await self._login(web, now_s)
            body = await self._forecast(web)
        return parse(body, now_s, self)

    async def _login(self, web: Web, now_s: float) -> None:
        answer = json_of(await web.get(Ask(f"{self.url}/login", user=self.user)), self.source)
        token = mapping(answer, self.source).get("token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise SignalError(self.source, "the login gave no token")
        web.hide(token)
        self._session.token, self._session.until_s = token, now_s + TOKEN_S - _RENEWED_S

    async def _forecast(self, web: Web) -> bytes:
        params = {"region": self.region, "signal_type": self.signal_type}
        headers = {"Authorization": f"Bearer {self._session.token}"}
        return await web.get(Ask(f"{self.url}/v3/forecast", params, headers, is_repeated=True))

    def _explained(self, error: FeedRefused) -> FeedRefused:
        if error.status != 403:
            return error
        reason = f"{error.reason}: the account may not read the forecast of {self.region}; without a subscription only"
        return FeedRefused(self.source, f"{reason} CAISO_NORTH is told", error.status, error.retry_after_s)


def parse(body: bytes, now_s: float, feed: WattTime) -> Outlook:
    """A forecast as emission rates in kg/MWh.

    Raises:
        SignalError: it is malformed, of another region or signal, or in no unit of an emission rate.
    """
    source = feed.source
    answer = mapping(json_of(body, source), source)
    meta = mapping(answer.get("meta"), source, "meta")
    for key, wanted in (("region", feed.region), ("signal_type", feed.signal_type)):
        if meta.get(key) != wanted:
            raise SignalError(source, f"the answer is of {key} {shown(meta.get(key))}, asked was {wanted!r}")
    factor = kg_per_mwh(str(meta.get("units")), source)
    issued_s = instant(meta["generated_at"], source, "meta.generated_at") if "generated_at" in meta else None
    period = meta.get("data_point_period_seconds")
    step_s = None if period is None else number(period, source, "meta.data_point_period_seconds")
    values: dict[float, float] = {}
    for row in listing(answer.get("data"), source, "data"):
        point = mapping(row, source, "a point")
        values[instant(point.get("point_time"), source, "point_time")] = number(point.get("value"), source, "value")
    starts_s = sorted(values)
    return outlook(
        (
            Interval(start_s, end_s, values[start_s] * factor, now_s, issued_s, SeriesQuality.FORECAST)
            for start_s, end_s in spans(starts_s, step_s, _USUAL_S)
        ),
        KG_PER_MWH,
        source,
    )
