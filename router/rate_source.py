"""Energy rates from the controller over HTTP, and what they and those from Redis have in common.

Nothing is decided by rates, so a source without them (an older controller, say) is only logged, once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from router.contract import MAX_RATES_BYTES, EnergyRates, RatesError, decode_rates
from router.table_source import JITTER_FRAC, TIMEOUT_S
from router.transport.credentials import Credentials

log = logging.getLogger(__name__)

_TABLE_PATH = "/v1/allocation"
_RATES_PATH = "/v1/energy-rates"


class RateSink(Protocol):
    """What takes the rates; `router.dispatch.Dispatcher` does."""

    def apply_rates(self, rates: EnergyRates, now_s: float) -> None:
        """Go by these rates from now on."""


class RateReporter:
    """Hands rates to the sink, and logs a change of the source's state once."""

    def __init__(self, source: str, sink: RateSink, wall_s: Callable[[], float]) -> None:
        self._source = source
        self._sink = sink
        self._wall_s = wall_s
        self._trouble: str | None = None

    def deliver(self, raw: bytes) -> None:
        """Decode rates and hand them on; those that are malformed are logged and left."""
        try:
            rates = decode_rates(raw)
        except RatesError as error:
            self.failed(str(error))
            return
        self._sink.apply_rates(rates, self._wall_s())
        if self._trouble is not None:
            log.info("energy rates are known again", extra={"source": self._source})
            self._trouble = None

    def failed(self, reason: str) -> None:
        """Note that there are no rates; the same trouble is logged once."""
        if reason != self._trouble:
            log.info("energy rates not known", extra={"source": self._source, "reason": reason})
            self._trouble = reason


def rates_url(table_url: str) -> str | None:
    """Where the controller that serves a table serves its rates; None where the table's address is another's."""
    parts = urlsplit(table_url)
    if not parts.path.endswith(_TABLE_PATH):
        return None
    return urlunsplit(parts._replace(path=parts.path.removesuffix(_TABLE_PATH) + _RATES_PATH))


class HttpRateSource:
    """Polls the controller until cancelled.

    Args:
        session: for all requests.
        url: of the rates.
        interval_s: time between two polls.
        sink: takes the rates.
        wall_s: the wall clock.
        rng: spreads the polls.
        credentials: how a controller behind TLS is verified; None for a plain one.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        interval_s: float,
        *,
        sink: RateSink,
        wall_s: Callable[[], float],
        rng: random.Random,
        credentials: Credentials | None = None,
    ) -> None:
        self._session = session
        self._url = url
        self._interval_s = interval_s
        self._rng = rng
        self._credentials = credentials
        self._reporter = RateReporter(url, sink, wall_s)
        self._etag: str | None = None

    async def run(self) -> None:
        """Poll for ever; a failure is logged and the next poll tries again."""
        while True:
            await self.poll()
            await asyncio.sleep(self._interval_s * self._rng.uniform(1 - JITTER_FRAC, 1 + JITTER_FRAC))

    async def poll(self) -> None:
        """Ask once and hand the rates on."""
        headers = {"If-None-Match": self._etag} if self._etag is not None else {}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.get(self._url, headers=headers, allow_redirects=False, ssl=self._tls()) as answer,
            ):
                if answer.status == 304:
                    return
                if answer.status != 200:
                    self._reporter.failed(f"answered {answer.status}")
                    return
                raw = await answer.content.read(MAX_RATES_BYTES + 1)
                while (more := await answer.content.read(MAX_RATES_BYTES + 1 - len(raw))) and len(
                    raw
                ) <= MAX_RATES_BYTES:
                    raw += more
                self._etag = answer.headers.get("ETag")
        except TimeoutError:
            self._reporter.failed(f"no answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._reporter.failed(f"{type(error).__name__}: {error}")
        else:
            self._reporter.deliver(raw)

    def _tls(self) -> ssl.SSLContext | bool:
        return True if self._credentials is None else self._credentials.context
