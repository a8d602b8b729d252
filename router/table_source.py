"""The allocation table from the controller over HTTP, and what every source of tables has in common."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

from router import clocks_apart
from router.contract import MAX_ENCODED_BYTES, AllocationTable, decode
from router.contract_fields import ContractError
from router.errors import PollError, TableSourceError
from router.poller import Document, Poller

log = logging.getLogger(__name__)

_TABLE = Document("a table", "/v1/allocation", MAX_ENCODED_BYTES)


class TableSink(Protocol):
    """What takes the tables; `router.dispatch.Dispatcher` does."""

    def apply_table(self, table: AllocationTable, now_s: float, ahead_s: float) -> bool:
        """Take a table, new or confirmed; True if it is new. Its issuer's clock is `ahead_s` behind `now_s`."""

    def refuse_table(self, reason: str) -> None:
        """Count a table that could not be read."""


class TableReporter:
    """Hands tables to the sink, and logs a change of the source's state once.

    Args:
        source: where tables come from, for the log.
        sink: takes them.
        steady_s: the clock that the sink goes by.
        max_ttl_s: longest time for which a table is obeyed that the source has not confirmed.
    """

    def __init__(self, source: str, sink: TableSink, steady_s: Callable[[], float], max_ttl_s: float) -> None:
        self._source = source
        self._sink = sink
        self._steady_s = steady_s
        self._max_ttl_s = max_ttl_s
        self._expires_at_s = math.inf
        self._trouble: str | None = None
        self._is_apart = False

    def deliver(self, raw: bytes, issuer_now_s: Callable[[AllocationTable], float | None]) -> AllocationTable:
        """Decode a table and hand it on; `issuer_now_s` as for `confirm`, of the table.

        Raises:
            TableSourceError: the table is malformed; it has been counted.
        """
        try:
            table = decode(raw)
        except ContractError as error:
            self._sink.refuse_table("malformed")
            raise TableSourceError(self._source, str(error)) from error
        self.confirm(table, issuer_now_s(table))
        return table

    def confirm(self, table: AllocationTable, issuer_now_s: float | None) -> None:
        """Hand on a table that the source still holds; of its issuer's clock `issuer_now_s` is told, or None."""
        now_s = self._steady_s()
        ahead_s = clocks_apart.ahead_s(now_s, issuer_now_s)
        self._compare(ahead_s)
        expires_at_s = table.expires_at_s + ahead_s
        if expires_at_s > now_s:
            self._expires_at_s = min(expires_at_s, now_s + self._max_ttl_s)
        if self._sink.apply_table(table, now_s, ahead_s):
            log.info("allocation taken", extra={"sequence": table.sequence, "issuer": table.issuer})
        if self._trouble is not None:
            log.info("allocation source answers again", extra={"source": self._source})
            self._trouble = None

    def _compare(self, ahead_s: float) -> None:
        if bool(ahead_s) != self._is_apart:
            self._is_apart = bool(ahead_s)
            extra = {"source": self._source, "ahead_s": round(ahead_s, 1)}
            if ahead_s:
                log.warning("the controller's clock is another one; its tables are held by it", extra=extra)
            else:
                log.info("the controller's clock is this machine's again", extra=extra)

    def failed(self, error: TableSourceError) -> None:
        """Note that the source gave no table; the same trouble is logged once, and once that the last one expired."""
        if error.reason != self._trouble:
            log.warning("allocation not fetched", extra={"source": error.source, "reason": error.reason})
            self._trouble = error.reason
        if self._steady_s() >= self._expires_at_s:
            log.warning("allocation expired, static weights hold", extra={"source": error.source})
            self._expires_at_s = math.inf


class HttpTableSource:
    """Polls the controller until cancelled.

    Args:
        poller: of the table.
        sink: takes the tables.
        steady_s: the clock that the sink goes by.
        max_ttl_s: longest time for which a table is obeyed that the controller has not confirmed.
    """

    def __init__(self, poller: Poller, *, sink: TableSink, steady_s: Callable[[], float], max_ttl_s: float) -> None:
        self._poller = poller
        self._reporter = TableReporter(poller.url, sink, steady_s, max_ttl_s)
        self._table: AllocationTable | None = None

    async def run(self) -> None:
        """Poll for ever; a failure is reported and the next poll tries again."""
        while True:
            try:
                await self.poll()
            except TableSourceError as error:
                self._reporter.failed(error)
            await self._poller.pause()

    async def poll(self) -> None:
        """Ask once and hand the table on.

        Raises:
            TableSourceError: there is no answer, none with a table, or a malformed one.
        """
        try:
            raw = await self._poller.fetch(_TABLE)
        except PollError as error:
            raise TableSourceError(error.source, error.reason) from error
        if raw is None and self._table is not None:
            self._reporter.confirm(self._table, self._poller.told_s)
            return
        try:
            self._table = self._reporter.deliver(raw or b"", lambda _: self._poller.told_s)
        except TableSourceError:
            # A malformed table must not be confirmed by a later 304.
            self._poller.forget()
            raise
