"""What the parent of several workers learns for all of them: probes of the engines and the allocation table.

Engines and source are asked once, however many workers there are, and every worker is told the same at the same time.
A worker that starts later is told what the others know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container

import msgspec

from router.contract import AllocationTable, InstanceId, encode
from router.contract_rates import EnergyRates, encode_rates
from router.fleet import EngineLoad
from router.ladder import Ladder
from router.settings import TableSettings
from router.worker_messages import Probe, Probes, Rates, Share, Table, TableConfirmed, line_of

GATHER_S = 0.02
"""How long results of probes wait for others, so that a large fleet's are not told one by one."""


class News:
    """Takes probes and tables as `router.dispatch.Dispatcher` does, and passes them on.

    Args:
        table: bounds of the tables obeyed.
        tell: writes a line to every worker.
    """

    def __init__(self, table: TableSettings, tell: Callable[[bytes], None]) -> None:
        self._ladder = Ladder(table)
        self._tell = tell
        self._known: dict[InstanceId, Probe] = {}
        self._untold: list[Probe] = []
        self._rates: EnergyRates | None = None
        self._share = 1.0

    @property
    def refused(self) -> dict[str, int]:
        """Tables that no worker was told of, by reason."""
        return dict(self._ladder.refused)

    def probed(self, instance_id: InstanceId, *, ok: bool | None, load: EngineLoad | None, now_s: float) -> None:
        """Pass the result of a probe on; the workers take the time of its arrival, milliseconds later, for its own."""
        probe, known = Probe(instance_id, ok, load), self._known.get(instance_id)
        # A worker that starts later is to know how the last probe ended, too.
        self._known[instance_id] = probe if ok is not None or known is None else Probe(instance_id, known.ok, load)
        if not self._untold:
            asyncio.get_running_loop().call_later(GATHER_S, self._tell_probes)
        self._untold.append(probe)

    def apply_table(self, table: AllocationTable, now_s: float, ahead_s: float = 0.0) -> bool:
        """Pass a table on, unless it is refused; True if it is new."""
        is_new = self._ladder.offer(table, now_s, ahead_s)
        if is_new:
            self._tell(_table_line(table, ahead_s))
        elif self._ladder.table == table:
            self._tell(line_of(TableConfirmed(ahead_s)))
        return is_new

    def apply_rates(self, rates: EnergyRates, now_s: float) -> None:
        """Pass energy rates on."""
        self._rates = rates
        self._tell(_rates_line(rates))

    def apply_share(self, share: float) -> None:
        """Pass the router's share of all caps on, where it is another."""
        if share != self._share:
            self._share = share
            self._tell(line_of(Share(share)))

    def refuse_table(self, reason: str) -> None:
        """Count a table that could not be read."""
        self._ladder.refused[reason] += 1

    def reconfigure(self, table: TableSettings) -> None:
        """Go by other settings, and forget what engines said: under these, their names may mean others."""
        self._ladder.reconfigure(table)
        self._known.clear()
        self._untold.clear()
        self._rates = None

    def keep(self, instances: Container[InstanceId]) -> None:
        """Instances have come and gone: know what these said alone."""
        self._tell_probes()
        self._known = {name: probe for name, probe in self._known.items() if name in instances}

    def catch_up(self, now_s: float) -> bytes:
        """Lines for a worker that starts now."""
        self._ladder.drop_expired(now_s)
        table = b"" if self._ladder.table is None else _table_line(self._ladder.table, self._ladder.ahead_s)
        rates = b"" if self._rates is None else _rates_line(self._rates)
        share = b"" if self._share == 1.0 else line_of(Share(self._share))
        return table + rates + share + line_of(Probes(tuple(self._known.values())))

    def _tell_probes(self) -> None:
        if not self._untold:
            return
        line = line_of(Probes(tuple(self._untold)))
        self._untold.clear()
        self._tell(line)


def _table_line(table: AllocationTable, ahead_s: float) -> bytes:
    return line_of(Table(msgspec.Raw(encode(table)), ahead_s))


def _rates_line(rates: EnergyRates) -> bytes:
    return line_of(Rates(msgspec.Raw(encode_rates(rates))))
