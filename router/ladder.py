"""Which allocation table is obeyed: a fresh one, the last good one until it expires, else none. Pure.

Times are of the router's steady clock; a table's own are of its issuer's, and moved by how far that is behind.
"""

from __future__ import annotations

import math
from collections import Counter
from enum import StrEnum

from router.contract import AllocationTable, EventState
from router.settings import TableSettings

FRESH_INTERVALS = 3.0
"""Poll intervals after which a table that the source has not confirmed is no longer fresh."""
MAX_RETRY_AFTER_S = 600.0
"""Longest Retry-After that is derived from an event's end."""


class TableState(StrEnum):
    """The rung of the ladder."""

    FRESH = "fresh"
    """The source gave or confirmed the table within the last few poll intervals."""
    LAST_GOOD = "last_good"
    """The source is silent; its last table has not expired."""
    STATIC = "static"
    """There is no valid table; the weights of the settings are used."""


class Ladder:
    """The table in force.

    Attributes:
        table: the table obeyed, or None.
        expires_at_s: when it stops being obeyed; infinite while there is none.
        ahead_s: by how much the router's clock is ahead of the issuer's.
        refused: tables not obeyed, by reason.
    """

    def __init__(self, settings: TableSettings) -> None:
        self._settings = settings
        self._confirmed_at_s = -math.inf
        self.table: AllocationTable | None = None
        self.expires_at_s = math.inf
        self.ahead_s = 0.0
        self.refused: Counter[str] = Counter()

    def reconfigure(self, settings: TableSettings) -> None:
        """Go by other settings from the next table on."""
        self._settings = settings

    def offer(self, table: AllocationTable, now_s: float, ahead_s: float = 0.0) -> bool:
        """Take a table from the source; True if it is to be obeyed from now on, False if it is refused or known.

        A table of the same issuer with a smaller sequence is refused while the present one is valid, so that an old
        copy cannot undo a newer decision. Once that has expired any valid table is taken, so that an issuer that
        lost its count is heard again.
        """
        self.drop_expired(now_s)
        if table.expires_at_s + ahead_s <= now_s:
            self.refused["expired"] += 1
            return False
        current = self.table
        if current is not None and table.issuer == current.issuer:
            if table.sequence < current.sequence:
                self.refused["older"] += 1
                return False
            if table.sequence == current.sequence:
                if table is not current and table != current:
                    self.refused["altered"] += 1
                    return False
                self._confirm(current, now_s, ahead_s)
                return False
        self.table = table
        self._confirm(table, now_s, ahead_s)
        return True

    def drop_expired(self, now_s: float) -> bool:
        """Stop obeying a table that has expired; True if this one just did."""
        if self.table is None or now_s < self.expires_at_s:
            return False
        self.table = None
        self.expires_at_s = math.inf
        return True

    def state(self, now_s: float) -> TableState:
        """Where on the ladder the router stands."""
        if self.table is None or now_s >= self.expires_at_s:
            return TableState.STATIC
        is_fresh = now_s - self._confirmed_at_s <= FRESH_INTERVALS * self._settings.poll_interval_s
        return TableState.FRESH if is_fresh else TableState.LAST_GOOD

    def retry_after_s(self, now_s: float, default_s: float) -> float:
        """When a refused client may try again: at the end of the event in force, within bounds, else `default_s`."""
        return max(default_s, self.limit_left_s(now_s) or 0.0)

    def limit_left_s(self, now_s: float) -> float | None:
        """Time until the end of the event in force, at most `MAX_RETRY_AFTER_S`; None without one."""
        event = self.table.event if self.table is not None else None
        if event is None or event.state is not EventState.ACTIVE or event.ends_at_s + self.ahead_s <= now_s:
            return None
        return min(event.ends_at_s + self.ahead_s - now_s, MAX_RETRY_AFTER_S)

    def _confirm(self, table: AllocationTable, now_s: float, ahead_s: float) -> None:
        self._confirmed_at_s, self.ahead_s = now_s, ahead_s
        self.expires_at_s = min(table.expires_at_s + ahead_s, now_s + self._settings.max_ttl_s)
