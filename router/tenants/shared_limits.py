"""Limits of tenants where several workers share the public port: each holds for all of them together. Pure.

What is used of an allowance is in a row for each tenant that has limits, which the workers write one at a time. All of
an allowance is so there for a tenant whose connections lead to one of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from router.tenants.bucket import LEVELS, Levels
from router.tenants.limits import IN_FLIGHT_RETRY_S, Allowance, Denial, Limits

ROW_LEVELS = 2 * LEVELS
"""Numbers in a row: those of the bucket of requests, then those of the bucket of tokens."""

_UNKNOWN = Denial(
    "rate_limited", "what this key has used cannot be told at this moment; retry later", IN_FLIGHT_RETRY_S
)


class TenantRow(Protocol):
    """What the workers share of one tenant."""

    @property
    def levels(self) -> Levels:
        """Numbers that are written under the lock."""

    @property
    def first(self) -> int:
        """Index of the first of this row's numbers."""

    def lock(self) -> bool:
        """Be the only one that writes; False if another does not end in time."""

    def unlock(self) -> None:
        """Let others write."""

    def in_flight(self) -> int:
        """Requests in flight in all workers."""

    def tell(self, in_flight: int) -> None:
        """Tell how many are in flight in this one; needs no lock where they are fewer than before."""


class TenantBook(Protocol):
    """The rows; `router.shared_tenants.SharedTenants` is one."""

    def claim(self, tenants: Sequence[str]) -> Sequence[TenantRow]:
        """Rows by name, the same in every worker; those claimed before and not named now are let go."""


class SharedLimits(Limits):
    """One worker's view of an allowance, and of what all have used of it.

    Attributes:
        in_flight: requests that this worker has admitted and that have not ended.
    """

    __slots__ = ("_owed", "_row")

    def __init__(self, allowance: Allowance) -> None:
        super().__init__(allowance)
        self._row: TenantRow | None = None
        self._owed = 0.0

    def follow(self, row: TenantRow | None) -> None:
        """Share a row from now on; none is needed without limits.

        A row that is left may be another tenant's the next moment: what this worker has in flight counts here only.
        """
        if row is not None:
            row.tell(self.in_flight)
        elif self._row is not None:
            self._read(self._row)
            self._row.tell(0)
            self._owed = 0.0
        self._row = row

    def admit(self, tokens: float, now_s: float) -> Denial | None:
        """See `Limits.admit`. While another worker stands still as it writes the row, all is refused."""
        row = self._row
        if row is None:
            return super().admit(tokens, now_s)
        if not row.lock():
            return _UNKNOWN
        try:
            if self._owed:
                self._pay(row)
            if self._max_in_flight != math.inf and row.in_flight() >= self._max_in_flight:
                return self._too_many()
            self._read(row)
            denial = super().admit(tokens, now_s)
            self._write(row)
            row.tell(self.in_flight)
            return denial
        finally:
            row.unlock()

    def enter(self, tokens: float) -> None:
        """See `Limits.enter`."""
        row = self._row
        if row is None:
            super().enter(tokens)
        else:
            self.in_flight += 1
            self._settle(row, tokens)

    def leave(self, charged: float, actual: float) -> None:
        """See `Limits.leave`."""
        row = self._row
        if row is None:
            super().leave(charged, actual)
        else:
            self.in_flight -= 1
            self._settle(row, actual - charged)

    def told_fields(self) -> bytes:
        """See `Limits.told_fields`."""
        if self._row is not None:
            self._read(self._row)
        return super().told_fields()

    def _settle(self, row: TenantRow, tokens: float) -> None:
        """Tell how many are in flight, and that tokens were used, or fewer than charged where less than 0."""
        row.tell(self.in_flight)
        if self._tokens is not None:
            # What cannot be written now, as another worker stands still, is written with the next request.
            self._owed += tokens
            if self._owed and row.lock():
                self._pay(row)
                row.unlock()

    def _pay(self, row: TenantRow) -> None:
        tokens = self._tokens
        if tokens is not None:
            tokens.read(row.levels, row.first + LEVELS)
            tokens.give(-self._owed)
            tokens.write(row.levels, row.first + LEVELS)
        self._owed = 0.0

    def _read(self, row: TenantRow) -> None:
        if self._requests is not None:
            self._requests.read(row.levels, row.first)
        if self._tokens is not None:
            self._tokens.read(row.levels, row.first + LEVELS)

    def _write(self, row: TenantRow) -> None:
        if self._requests is not None:
            self._requests.write(row.levels, row.first)
        if self._tokens is not None:
            self._tokens.write(row.levels, row.first + LEVELS)


class Sharing:
    """The limits of all tenants of one worker.

    Args:
        book: shared by all workers.
    """

    def __init__(self, book: TenantBook) -> None:
        self._book = book
        self._limits: dict[str, SharedLimits] = {}

    def allow(self, allowances: Mapping[str, Allowance]) -> Mapping[str, SharedLimits]:
        """Limits by name for these tenants and no others; what was used stays used.

        Raises:
            BlockingIOError: another worker has been stopped while it named rows.
            OverflowError: there are too many tenants.
        """
        old, self._limits = self._limits, {}
        for name, allowance in allowances.items():
            limits = old.pop(name) if name in old else SharedLimits(allowance)
            limits.allow(allowance)
            self._limits[name] = limits
        limited = {name: limits for name, limits in self._limits.items() if limits.is_limited()}
        unlimited = (limits for limits in self._limits.values() if not limits.is_limited())
        for limits in (*old.values(), *unlimited):
            limits.follow(None)
        for limits, row in zip(limited.values(), self._book.claim(list(limited)), strict=True):
            limits.follow(row)
        return self._limits
