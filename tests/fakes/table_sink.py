"""A sink of tables that remembers, and lets a test wait for what it wants to see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.contract import AllocationTable
from router.contract_rates import EnergyRates

LIMIT_S = 20.0


class RecordingSink:
    """Stands for a dispatcher."""

    def __init__(self) -> None:
        self.tables: list[AllocationTable] = []
        self.aheads_s: list[float] = []
        self.refused: list[str] = []
        self._changed = asyncio.Event()

    def apply_table(self, table: AllocationTable, now_s: float, ahead_s: float) -> bool:
        is_new = not self.tables or table != self.tables[-1]
        self.tables.append(table)
        self.aheads_s.append(ahead_s)
        self._changed.set()
        return is_new

    def refuse_table(self, reason: str) -> None:
        self.refused.append(reason)
        self._changed.set()

    @property
    def sequences(self) -> list[int]:
        """Sequences in the order of their first appearance."""
        return list(dict.fromkeys(table.sequence for table in self.tables))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class TakingSink(RecordingSink):
    """Takes energy rates, too."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[EnergyRates] = []

    def apply_rates(self, rates: EnergyRates, now_s: float) -> None:
        self.rates.append(rates)
        self._changed.set()
