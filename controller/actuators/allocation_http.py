"""The table as the controller's own API serves it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from controller.model.plan import Commands
from router.contract import AllocationTable, encode


@dataclass(frozen=True, slots=True)
class Published:
    """A table with its JSON form and entity tag."""

    table: AllocationTable
    body: bytes
    etag: str


class AllocationBoard:
    """Holds the last table for routers that ask over HTTP."""

    def __init__(self) -> None:
        self._published: Published | None = None
        self._changed = asyncio.Event()

    async def apply(self, commands: Commands) -> tuple[str, ...]:
        """Put up the table, unless it is the one that is up."""
        table = commands.table
        if self._published is not None and self._published.table == table:
            return ()
        self._published = Published(table, encode(table), f'"{table.sequence}"')
        self._changed.set()
        self._changed = asyncio.Event()
        return (f"table {table.sequence} put up",)

    def clear(self) -> None:
        """Take the table down: this controller leads no more."""
        self._published = None

    async def changed(self, wait_s: float) -> None:
        """Wait until another table is put up, but not for longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._changed.wait()

    def current(self, now_s: float) -> Published | None:
        """The table, None before the first one and after its expiry."""
        published = self._published
        return published if published is not None and now_s < published.table.expires_at_s else None
