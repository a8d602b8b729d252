"""Keeps the account of requests' energy at each look of the loop: books, tells routers the rates, and what was settled.

The account outlasts the process in a file of its own, written at each settlement and at the end: the next process goes
on from there (`controller.lifecycle.joule_resume`). It is what an operator bills by, and nothing is decided by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from controller.actuators.rates_board import RatesBoard
from controller.errors import StoreError
from controller.lifecycle.joule_accounts import Settlement, Totals
from controller.lifecycle.joule_resume import KeptAccount
from controller.lifecycle.joules import Booked, JouleBook, JoulePolicy
from controller.metrics.energy import EnergyMetrics
from controller.model.fleet import Site
from controller.model.observation import Observation, TenantTokens
from controller.signals.router_tokens import NO_COUNTS, TokenCounts
from controller.store.state import StateFile
from router.contract import ClassId, PoolId
from router.contract_rates import EnergyRate, EnergyRates

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
        tokens: what routers have told so far, for the next process.
    """

    book: JouleBook
    metrics: EnergyMetrics
    board: RatesBoard
    file: StateFile
    idle: str
    store: RatesStore | None = None
    tokens: Callable[[], TokenCounts] = lambda: NO_COUNTS


class EnergyDesk:
    """What the loop calls at each look.

    Attributes:
        j_per_output_token: of the last settlement, by pool and class.
    """

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        self._booked: Booked | None = None
        self._last: Observation | None = None
        self.j_per_output_token: dict[str, dict[str, float]] = {}
        parts.metrics.show(parts.book.totals, parts.book.in_flight, counts=False)

    def take(self, observation: Observation, site: Site | None = None) -> dict[str, Any] | None:
        """Book what was used; the record of a settlement where one has ended. Then `tell`.

        Args:
            observation: of now.
            site: with the curves in force, where these have been learnt.
        """
        parts = self._parts
        if site is not None:
            parts.book.go_by(site)
        counts = not parts.book.is_catching_up
        self._booked = booked = parts.book.take(observation)
        self._last = observation
        parts.metrics.show(parts.book.totals, parts.book.in_flight, counts=counts)
        return None if booked.settlement is None else self._settled(booked.settlement)

    def close(self) -> dict[str, Any] | None:
        """Settle and keep the account as the process ends: the record, None where nobody could be settled with.

        Raises:
            StoreError: the account could not be written.
        """
        settlement = None if self._last is None else self._parts.book.close(self._last)
        if settlement is None:
            return None
        record = self._settled(settlement)
        self._save(settlement.ended_s)
        return record

    def _settled(self, settlement: Settlement) -> dict[str, Any]:
        self._parts.metrics.settle(settlement)
        self.j_per_output_token = settlement.j_per_output_token()
        return settlement.record()

    def _save(self, now_s: float) -> None:
        book = self._parts.book
        self._parts.file.save(totals=book.totals, account=book.kept(now_s), tokens=self._parts.tokens())

    async def tell(self, now_s: float) -> None:
        """Give the routers the rates, and keep what was settled.

        Raises:
            StoreError: the account could not be written; the rates were told.
            ActuationError: the rates did not reach Redis; all else was done.
        """
        parts, booked = self._parts, self._booked
        if booked is None:
            return
        rows = tuple(
            EnergyRate(rate.instance_id, rate.prefill_j, rate.decode_j, rate.quality.value, rate.seq_tokens_per_s)
            for rate in booked.rates
        )
        posted = parts.board.post(EnergyRates(now_s, now_s + RATES_TTL_S, parts.idle, rows))
        try:
            if parts.store is not None:
                await parts.store.put_rates(posted.body, RATES_TTL_S)
        finally:
            if booked.settlement is not None:
                await asyncio.to_thread(self._save, booked.settlement.ended_s)


@dataclass(frozen=True, slots=True)
class Opened:
    """The account as a former process left it.

    Attributes:
        file: that it is kept in.
        tokens: what routers had told.
    """

    book: JouleBook
    file: StateFile
    tokens: TokenCounts = NO_COUNTS


def open_book(folder: Path, site: Site, policy: JoulePolicy, now_s: float) -> Opened:
    """The account as a former process left it, and the file it is kept in.

    A file that cannot be read is set aside, and the account begins anew, which the log says; and so it says for how
    long nobody kept the account, where that was too long to be made up for.
    """
    file = StateFile(folder / TOTALS_NAME)
    try:
        parts = file.load(totals=Totals, account=KeptAccount, tokens=TokenCounts)
    except StoreError as error:
        file.set_aside(error, "energy account not restored: it begins at zero")
        return Opened(JouleBook(site, policy), file)
    if parts is None:
        return Opened(JouleBook(site, policy), file)
    book, kept, tokens = JouleBook(site, policy, parts["totals"]), parts["account"], parts["tokens"]
    away_s = round(now_s - kept.kept_at_s, 1)
    if not kept.is_usable(now_s, policy.settle_s):
        log.warning("energy account has a gap: nobody is charged for what was drawn in it", extra={"gap_s": away_s})
        return Opened(book, file)
    book.resume(kept, _tenants(tokens))
    log.info("energy account goes on", extra={"gap_s": away_s})
    return Opened(book, file, tokens)


def _tenants(tokens: TokenCounts) -> tuple[TenantTokens, ...]:
    return tuple(
        TenantTokens(tenant, ClassId(class_id), PoolId(pool), inputs, outputs)
        for tenant, pool, class_id, inputs, outputs in tokens.totals
        if tenant
    )
