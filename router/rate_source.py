"""Energy rates from the controller over HTTP, and what they and those from Redis have in common.

Nothing is decided by rates, so a source without them (an older controller, say) is only logged, once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from router import clocks_apart
from router.contract_rates import MAX_RATES_BYTES, EnergyRates, RatesError, decode_rates
from router.poller import Document, Followed, Poller

log = logging.getLogger(__name__)

_TABLE_PATH = "/v1/allocation"
_RATES_PATH = "/v1/energy-rates"


class RateSink(Protocol):
    """What takes the rates; `router.dispatch.Dispatcher` does."""

    def apply_rates(self, rates: EnergyRates, now_s: float) -> None:
        """Go by these rates from now on."""


class RateReporter:
    """Hands rates to the sink, and logs a change of the source's state once."""

    def __init__(self, source: str, sink: RateSink, steady_s: Callable[[], float]) -> None:
        self._source = source
        self._sink = sink
        self._steady_s = steady_s
        self._trouble: str | None = None

    def deliver(self, raw: bytes, issuer_now_s: Callable[[EnergyRates], float | None]) -> bool:
        """Decode rates and hand them on; those that are malformed are logged and left: False.

        `issuer_now_s`: what the clock of their issuer shows, None unknown.
        """
        try:
            rates = decode_rates(raw)
        except RatesError as error:
            self.failed(str(error))
            return False
        now_s = self._steady_s()
        ahead_s = clocks_apart.ahead_s(now_s, issuer_now_s(rates))
        if ahead_s:
            issued_at_s, expires_at_s = rates.issued_at_s + ahead_s, rates.expires_at_s + ahead_s
            rates = replace(rates, issued_at_s=issued_at_s, expires_at_s=expires_at_s)
        self._sink.apply_rates(rates, now_s)
        if self._trouble is not None:
            log.info("energy rates are known again", extra={"source": self._source})
            self._trouble = None
        return True

    def failed(self, reason: str) -> None:
        """Note that there are no rates; the same trouble is logged once."""
        if reason != self._trouble:
            log.info("energy rates not known", extra={"source": self._source, "reason": reason})
            self._trouble = reason


def rates_url(table_url: str) -> str | None:
    """Where the controller that serves a table serves its rates; None where the table's address is another's."""
    return beside_table(table_url, _RATES_PATH)


def beside_table(table_url: str, path: str) -> str | None:
    """Where the controller that serves a table serves another document; None where the address is another's."""
    parts = urlsplit(table_url)
    if not parts.path.endswith(_TABLE_PATH):
        return None
    return urlunsplit(parts._replace(path=parts.path.removesuffix(_TABLE_PATH) + path))


def http_rates(poller: Poller, sink: RateSink, steady_s: Callable[[], float]) -> Followed:
    """Rates from a controller, for a sink that goes by a clock of its own."""
    reporter = RateReporter(poller.url, sink, steady_s)
    document = Document("energy rates", _RATES_PATH, MAX_RATES_BYTES)
    return Followed(
        poller, document, deliver=lambda raw: reporter.deliver(raw, lambda _: poller.told_s), failed=reporter.failed
    )
