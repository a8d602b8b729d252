"""The energy account as one process leaves it to the next: a restart is then a long interval, not a hole; pure.

Kept as a settlement ends. What meters, engines and routers have counted since then is booked by the next process at
its first look, whether the former one had booked it or not: its totals are those of the settlement too, so that
nothing is counted twice and nothing is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.energy.attribution import Stock, Tokens
from controller.energy.joule_share import Share
from controller.lifecycle.instance_meter import MeterState
from controller.lifecycle.joule_accounts import PoolClass

MAX_AWAY_S = 900.0
"""Longest time that is made up for, beyond a settlement's own: what was drawn in it counts at one price."""


@dataclass(frozen=True, slots=True)
class InstanceAccount:
    """Counters and stock of an instance at the end of its last interval.

    Attributes:
        engine: None where it was never heard.
        told: (class, tokens) as routers had told them.
    """

    instance_id: str
    meter: MeterState
    engine: Tokens | None
    told: tuple[tuple[str, Tokens], ...]
    running: int
    stock: Stock


@dataclass(frozen=True, slots=True)
class KeptAccount:
    """The account between two settlements.

    Attributes:
        kept_at_s: when the settlement ended.
        due: what waits for tenants to tell tokens.
    """

    kept_at_s: float
    instances: tuple[InstanceAccount, ...]
    due: tuple[tuple[PoolClass, Share], ...]

    def is_usable(self, now_s: float, settle_s: float) -> bool:
        """Whether it is recent enough to go on from, and not of the future."""
        return 0.0 <= now_s - self.kept_at_s <= settle_s + MAX_AWAY_S
