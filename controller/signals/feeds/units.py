"""Units of received prices and emission rates, and their factors to USD/MWh and kg/MWh; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from controller.errors import SignalError

LB_KG = 0.45359237
"""The international avoirdupois pound, kg (exact since 1959)."""
USD_PER_MWH = "usd_per_mwh"
KG_PER_MWH = "kg_per_mwh"
_MWH_PER = {"wh": 1e-6, "kwh": 1e-3, "mwh": 1.0, "gwh": 1e3}
_KG_PER = {"g": 1e-3, "kg": 1.0, "t": 1e3, "lb": LB_KG, "lbs": LB_KG}
_LONGEST = 40
_POWER = ("w", "kw", "mw", "gw")
_SIGNS = {"$": "USD", "us$": "USD", "€": "EUR", "£": "GBP"}
_HUNDREDTHS = {"p": "GBP", "pence": "GBP", "ct": None, "cent": None, "cents": None, "c": None, "¢": None}
"""Hundredths of a currency; None stands for the configured one, as cents exist of several."""


@dataclass(frozen=True, slots=True)
class Money:
    """The currency of a feed.

    Attributes:
        currency: ISO 4217 code.
        usd_per_unit: how many USD one unit of it is; None where it is not configured.
    """

    currency: str = "USD"
    usd_per_unit: float | None = None

    def usd_per_mwh(self, unit: str, source: str) -> float:
        """What a price in `unit` is multiplied with, e.g. 10 times the rate for ``p/kWh``.

        Raises:
            SignalError: it is no price of energy, is in another currency, or no rate is configured.
        """
        money, energy = _halves(unit, source, "a price of energy such as EUR/MWh")
        if energy in _POWER:
            raise SignalError(
                source, f"{unit!r} is a price of power, not of energy; configure a feed in {money}/{energy}h"
            )
        code, share = _currency(money, self.currency)
        if energy not in _MWH_PER or code is None:
            raise SignalError(source, f"{unit!r} is no price of energy such as EUR/MWh or p/kWh")
        if code != self.currency:
            raise SignalError(source, f"prices come in {code}; set currency: {code}, and usd_per_unit for it")
        return share * self._rate(source) / _MWH_PER[energy]

    def _rate(self, source: str) -> float:
        if self.usd_per_unit is not None:
            return self.usd_per_unit
        if self.currency == "USD":
            return 1.0
        raise SignalError(
            source, f"prices come in {self.currency}; set usd_per_unit, how many USD one {self.currency} is"
        )


def kg_per_mwh(unit: str, source: str) -> float:
    """What an emission rate in `unit` is multiplied with, e.g. 0.45359237 for ``lbs_co2_per_mwh``.

    Raises:
        SignalError: it is no mass per energy; a percentile is none.
    """
    if "percent" in unit.lower():
        raise SignalError(
            source, f"{unit!r} ranks the present rate among those of the past, and is none itself; use the forecast"
        )
    mass, energy = _halves(unit, source, "an emission rate such as gCO2eq/kWh")
    if energy in _POWER:
        raise SignalError(source, f"{unit!r} is a rate of power, not of energy; configure a feed in {mass}/{energy}h")
    if mass not in _KG_PER or energy not in _MWH_PER:
        raise SignalError(source, f"{unit!r} is no emission rate such as gCO2eq/kWh or lbs_co2_per_mwh")
    return _KG_PER[mass] / _MWH_PER[energy]


def _halves(unit: str, source: str, what: str) -> tuple[str, str]:
    if len(unit) > _LONGEST:
        raise SignalError(source, f"unit {unit[:_LONGEST]!r} ... is not {what}")
    plain = re.sub(r"co2(eq|e)?", "", re.sub(r"[\s_]", "", unit.lower())).replace("per", "/")
    money, slash, energy = plain.partition("/")
    if not slash or not money or not energy:
        raise SignalError(source, f"unit {unit!r} is not {what}")
    return money, energy


def _currency(money: str, configured: str) -> tuple[str | None, float]:
    """Code and share of it: ("GBP", 0.01) for p; no code where it is none."""
    if money in _HUNDREDTHS:
        return _HUNDREDTHS[money] or configured, 0.01
    if money in _SIGNS:
        return _SIGNS[money], 1.0
    return (money.upper() if len(money) == 3 and money.isascii() and money.isalpha() else None), 1.0
