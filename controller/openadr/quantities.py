"""Units of event payloads, and their factors to W, USD/MWh and kg/MWh.

Units are those of the specification's enumeration, and W and MW beside its KW. A unit that is not known, or is of
another quantity, is refused: 10 KWH is no limit on power.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.errors import MessageError
from controller.openadr.fields import shown
from controller.openadr.messages import EventDescriptor

_POWER_W = {"W": 1.0, "KW": 1e3, "MW": 1e6}
_ENERGY_MWH = {"WH": 1e-6, "KWH": 1e-3, "MWH": 1.0}
_EMISSIONS_KG_PER_MWH = {"GHG": 1.0, "G/KWH": 1.0, "KG/MWH": 1.0, "KG/KWH": 1e3}


def watts(descriptor: EventDescriptor, place: str) -> float:
    """What a payload of power is multiplied with; without units it is in KW, as the User Guide has it (8.10.1).

    Raises:
        MessageError: its units are no power.
    """
    return _factor(descriptor, _POWER_W, "KW", place, "a power")


def usd_per_mwh(descriptor: EventDescriptor, usd_per_unit: Mapping[str, float], place: str) -> float:
    """What a price is multiplied with; without units it is per KWH, as in all of the User Guide's examples.

    Args:
        descriptor: of the payload.
        usd_per_unit: how many USD a unit of each currency is; the one called "" is of prices that name none.
        place: what errors call it.

    Raises:
        MessageError: it is per something else, or no rate of its currency is configured.
    """
    per_mwh = _factor(descriptor, _ENERGY_MWH, "KWH", place, "an energy that is priced")
    currency = (descriptor.currency or "").upper()
    if currency not in usd_per_unit:
        told = f"prices come in {shown(currency)}; configure usd_per_unit for it"
        if not currency:
            told = "prices name no currency; configure currency, the one that they are in"
        raise MessageError(f"{place}.currency", told)
    return usd_per_unit[currency] / per_mwh


def kg_per_mwh(descriptor: EventDescriptor, place: str) -> float:
    """What an emission rate is multiplied with; without units it is in g/kWh, as the specification has it.

    Raises:
        MessageError: its units are no emission rate.
    """
    return _factor(descriptor, _EMISSIONS_KG_PER_MWH, "GHG", place, "an emission rate")


def share(descriptor: EventDescriptor, place: str) -> float:
    """What a percentage is multiplied with; it is written as a share, 0.25 for 25 % (Definition, table 9).

    Raises:
        MessageError: its units are another quantity.
    """
    return _factor(descriptor, {"PERCENT": 1.0}, "PERCENT", place, "a percentage")


def _factor(
    descriptor: EventDescriptor, factors: Mapping[str, float], default: str, place: str, quantity: str
) -> float:
    units = (descriptor.units or default).strip().upper()
    if units not in factors:
        raise MessageError(
            f"{place}.units",
            f"{shown(descriptor.units)} is not {quantity} of {descriptor.payload_type}; known are {', '.join(factors)}",
        )
    return factors[units]
