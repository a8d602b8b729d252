"""Energy rates as the controller's own API serves them, and the way they take through Redis; see `router.contract`."""

from __future__ import annotations

from dataclasses import dataclass

from router.contract_rates import EnergyRates, encode_rates


@dataclass(frozen=True, slots=True)
class PostedRates:
    """Rates in their JSON form, and their entity tag."""

    expires_at_s: float
    body: bytes
    etag: str


class RatesBoard:
    """Holds the last rates for routers that ask over HTTP."""

    def __init__(self) -> None:
        self._posted: PostedRates | None = None

    def post(self, rates: EnergyRates) -> PostedRates:
        """Put up rates in place of those before."""
        self._posted = PostedRates(rates.expires_at_s, encode_rates(rates), f'"{int(rates.issued_at_s * 1000)}"')
        return self._posted

    def current(self, now_s: float) -> PostedRates | None:
        """The rates, None before the first ones and after their expiry."""
        posted = self._posted
        return posted if posted is not None and now_s < posted.expires_at_s else None
