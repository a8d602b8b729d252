"""A standing agreement to draw less while a price or an emission rate is high: one of the forms of commitment (R1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.model.call import Commitment


class FeedSignal(StrEnum):
    """What feeds tell; each is also its unit."""

    PRICE = "price_usd_per_mwh"
    CARBON = "carbon_kg_per_mwh"


@dataclass(frozen=True, slots=True)
class Threshold:
    """While a feed tells more than a value, this is asked for.

    Attributes:
        above: it begins where the signal is above this, in the signal's unit.
        until_below: it goes on until the signal is below this; at most `above`.
        asks: no level.
        least_s: shortest time that it holds once it has begun, so that a brief peak does not switch the fleet.
    """

    signal: FeedSignal
    above: float
    until_below: float
    asks: Commitment
    least_s: float = 0.0
