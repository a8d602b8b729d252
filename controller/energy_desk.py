"""Keeps the account of requests' energy at each look of the loop: books, tells routers the rates, and what was settled.

The totals outlast the process in a file of their own, written at each settlement: they are counters that an operator
bills by, and nothing is decided by them.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from controller.actuators.rates_board import RatesBoard
from controller.energy_metrics import EnergyMetrics
from controller.errors import StoreError
from controller.lifecycle.joule_accounts import Totals
from controller.lifecycle.joules import Booked, JouleBook, JoulePolicy
from controller.model.fleet import Site
from controller.model.observation import Observation
from controller.store.state import StateFile
from router.contract import EnergyRate, EnergyRates

log = logging.getLogger(__name__)

TOTALS_NAME = "energy.json"
RECORD_KIND = "energy"
RATES_TTL_S = 30.0
"""How long routers may go by rates when the controller is gone: as long as a load changes little."""


class RatesStore(Protocol):
    """Where rates are put for routers that do not ask over HTTP."""

    async def put_rates(self, body: bytes, ttl_s: float) -> None:
        """Write them; raises `ActuationError` where that fails."""


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the desk works with.

    Attributes:
        store: None where routers ask over HTTP.
    """

    book: JouleBook
    metrics: EnergyMetrics
    board: RatesBoard
    file: StateFile
    idle: str
    store: RatesStore | None = None


class EnergyDesk:
    """What the loop calls at each look.

    Attributes:
        j_per_output_token: of the last settlement, by pool and class.
    """

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        self._booked: Booked | None = None
        self.j_per_output_token: dict[str, dict[str, float]] = {}
        parts.metrics.show(parts.book.totals, parts.book.in_flight)

    def take(self, observation: Observation) -> dict[str, Any] | None:
        """Book what was used; the record of a settlement where one has ended. Then `tell`."""
        parts = self._parts
        self._booked = booked = parts.book.take(observation)
        parts.metrics.show(parts.book.totals, parts.book.in_flight)
        if booked.settlement is None:
            return None
        parts.metrics.settle(booked.settlement)
        self.j_per_output_token = booked.settlement.j_per_output_token()
        return booked.settlement.record()

    async def tell(self, now_s: float) -> None:
        """Give the routers the rates, and keep what was settled.

        Raises:
            StoreError: the totals could not be written; the rates were told.
            ActuationError: the rates did not reach Redis; all else was done.
        """
        parts, booked = self._parts, self._booked
        if booked is None:
            return
        rows = tuple(
            EnergyRate(rate.instance_id, rate.prefill_j, rate.decode_j, rate.quality.value) for rate in booked.rates
        )
        posted = parts.board.post(EnergyRates(now_s, now_s + RATES_TTL_S, parts.idle, rows))
        try:
            if parts.store is not None:
                await parts.store.put_rates(posted.body, RATES_TTL_S)
        finally:
            if booked.settlement is not None:
                await asyncio.to_thread(parts.file.save, totals=parts.book.totals)


def open_book(folder: Path, site: Site, policy: JoulePolicy) -> tuple[JouleBook, StateFile]:
    """The account as a former process left it, and the file it is kept in.

    A file that cannot be read is set aside, and the counters begin anew, which the log says.
    """
    file = StateFile(folder / TOTALS_NAME)
    totals = Totals()
    try:
        parts = file.load(totals=Totals)
    except StoreError as error:
        aside = file.set_aside()
        log.error(
            "energy account not restored: its counters begin at zero",
            extra={"reason": str(error), "set_aside": str(aside) if aside else None},
        )
    else:
        totals = totals if parts is None else parts["totals"]
    return JouleBook(site, policy, totals), file
