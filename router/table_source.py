"""The allocation table from the controller over HTTP, and what every source of tables has in common."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
from collections.abc import Callable
from typing import Protocol

import aiohttp

from router.contract import MAX_ENCODED_BYTES, AllocationTable, ContractError, decode
from router.errors import TableSourceError
from router.settings import TableSettings
from router.transport.credentials import Credentials

log = logging.getLogger(__name__)

JITTER_FRAC = 0.1
"""Intervals vary by this much either way, so that many routers do not ask at once."""
TIMEOUT_S = 5.0


class TableSink(Protocol):
    """What takes the tables; `router.dispatch.Dispatcher` does."""

    def apply_table(self, table: AllocationTable, now_s: float) -> bool:
        """Take a table, new or confirmed; True if it is new."""

    def refuse_table(self, reason: str) -> None:
        """Count a table that could not be read."""


class TableReporter:
    """Hands tables to the sink, and logs a change of the source's state once.

    Args:
        source: where tables come from, for the log.
        sink: takes them.
        wall_s: the wall clock.
        max_ttl_s: longest time for which a table is obeyed that the source has not confirmed.
    """

    def __init__(self, source: str, sink: TableSink, wall_s: Callable[[], float], max_ttl_s: float) -> None:
        self._source = source
        self._sink = sink
        self._wall_s = wall_s
        self._max_ttl_s = max_ttl_s
        self._expires_at_s = math.inf
        self._trouble: str | None = None

    def deliver(self, raw: bytes) -> AllocationTable:
        """Decode a table and hand it on.

        Raises:
            TableSourceError: the table is malformed; it has been counted.
        """
        try:
            table = decode(raw)
        except ContractError as error:
            self._sink.refuse_table("malformed")
            raise TableSourceError(self._source, str(error)) from error
        self.confirm(table)
        return table

    def confirm(self, table: AllocationTable) -> None:
        """Hand on a table that the source still holds."""
        now_s = self._wall_s()
        if table.expires_at_s > now_s:
            self._expires_at_s = min(table.expires_at_s, now_s + self._max_ttl_s)
        if self._sink.apply_table(table, now_s):
            log.info("allocation taken", extra={"sequence": table.sequence, "issuer": table.issuer})
        if self._trouble is not None:
            log.info("allocation source answers again", extra={"source": self._source})
            self._trouble = None

    def failed(self, error: TableSourceError) -> None:
        """Note that the source gave no table; the same trouble is logged once, and once that the last one expired."""
        if error.reason != self._trouble:
            log.warning("allocation not fetched", extra={"source": error.source, "reason": error.reason})
            self._trouble = error.reason
        if self._wall_s() >= self._expires_at_s:
            log.warning("allocation expired, static weights hold", extra={"source": error.source})
            self._expires_at_s = math.inf


class HttpTableSource:
    """Polls the controller until cancelled; an unchanged table costs an empty 304.

    Args:
        session: for all requests.
        url: of the table.
        settings: how often to ask.
        sink: takes the tables.
        wall_s: the wall clock.
        rng: spreads the polls.
        credentials: how a controller behind TLS is verified; None for a plain one.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        settings: TableSettings,
        *,
        sink: TableSink,
        wall_s: Callable[[], float],
        rng: random.Random,
        credentials: Credentials | None = None,
    ) -> None:
        self._session = session
        self._url = url
        self._interval_s = settings.poll_interval_s
        self._rng = rng
        self._credentials = credentials
        self._reporter = TableReporter(url, sink, wall_s, settings.max_ttl_s)
        self._etag: str | None = None
        self._table: AllocationTable | None = None

    async def run(self) -> None:
        """Poll for ever; a failure is reported and the next poll tries again."""
        while True:
            try:
                await self.poll()
            except TableSourceError as error:
                self._reporter.failed(error)
            await asyncio.sleep(self._interval_s * self._rng.uniform(1 - JITTER_FRAC, 1 + JITTER_FRAC))

    async def poll(self) -> None:
        """Ask once and hand the table on.

        Raises:
            TableSourceError: there is no answer, none with a table, or a malformed one.
        """
        headers = {"If-None-Match": self._etag} if self._etag is not None else {}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.get(self._url, headers=headers, allow_redirects=False, ssl=self._tls()) as answer,
            ):
                if answer.status == 304 and self._table is not None:
                    self._reporter.confirm(self._table)
                    return
                if answer.status != 200:
                    raise TableSourceError(self._url, f"answered {answer.status}, 200 with a table is expected")
                raw = await _read(answer, self._url)
                etag = answer.headers.get("ETag")
        except TimeoutError as error:
            raise TableSourceError(self._url, f"no answer within {TIMEOUT_S:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TableSourceError(self._url, f"{type(error).__name__}: {error}") from error
        # Forgotten first: a malformed table must not be confirmed by a later 304.
        self._etag = self._table = None
        self._table = self._reporter.deliver(raw)
        self._etag = etag

    def _tls(self) -> ssl.SSLContext | bool:
        return True if self._credentials is None else self._credentials.context


async def _read(answer: aiohttp.ClientResponse, url: str) -> bytes:
    """The body, no longer than a table may be."""
    raw = bytearray()
    async for chunk in answer.content.iter_any():
        raw += chunk
        if len(raw) > MAX_ENCODED_BYTES:
            raise TableSourceError(
                url, f"more than {MAX_ENCODED_BYTES} bytes; point it at the /v1/allocation of a controller"
            )
    return bytes(raw)
