"""From an event's receipt until every router obeys a table made for it: ``python -m tests.bench.notice``.

Emulator, routers and controller run as an operator starts them, with a client at each router; events are posted at all
phases of the controller's ticks. The routers are asked every hundredth of a second for the table that they obey.
Engines and GPUs are EMULATED.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

from tests.bench import about
from tests.bench.convergence.__main__ import LINKS
from tests.bench.convergence.site import TICK_S, Site, running_site, until
from tests.fakes.system import ROOT

BETWEEN_S = 10.0
"""Until what an event moved has come to rest."""
LIMIT_W = 3000.0


async def delay_s(site: Site, event_id: str, limit_w: float) -> float:
    """From sending an event until all routers obey the first table that names it, or a later one."""
    events = f"{site.system.api}/v1/events"
    began_s = monotonic()
    asked = {"limit_w": limit_w, "duration_s": 60, "event_id": event_id}
    async with site.session.post(events, json=asked) as answer:
        if answer.status != 201:
            raise RuntimeError(f"the event was not taken: {answer.status} {await answer.text():.200}")
    named: list[int] = []

    async def obeyed() -> bool:
        if not named:
            table = await site.told(f"{site.system.api}/v1/allocation")
            if (table.get("event") or {}).get("event_id") != event_id:
                return False
            named.append(int(table["sequence"]))
        return min(await site.obeyed()) >= named[0]

    took_s = await until(obeyed, f"all routers obey a table for {event_id}") - began_s
    async with site.session.delete(f"{events}/{event_id}"):
        return took_s


async def delays_s(folder: Path, routers: int, events: int, table: dict[str, Any] | None) -> list[float]:
    """Of each event, where tables come from `table`, or from the controller."""
    async with running_site(folder, routers, table) as site:
        await until(site.settled, "all routers obey the table that is published")
        found = []
        for number in range(events):
            await asyncio.sleep(BETWEEN_S + TICK_S * number / events)
            found.append(await delay_s(site, f"notice-{number}", LIMIT_W + 10.0 * number))
        return found


async def main(ways: list[str], routers: int, events: int) -> None:
    """Measure and print."""
    machine = about.line(ROOT)
    sys.stdout.write(f"{machine}; {routers} routers; engines and GPUs EMULATED\n")
    for way in ways:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            async with LINKS[way](folder) as (table, _):
                found = await delays_s(folder, routers, events, table)
        sys.stdout.write(
            f"{way}: {events} events, median {statistics.median(found):.2f} s, longest {max(found):.2f} s\n"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10)
    parser.add_argument("--routers", type=int, default=4)
    parser.add_argument("--ways", nargs="+", choices=tuple(LINKS), default=["HTTP", "Redis"])
    given = parser.parse_args()
    asyncio.run(main(given.ways, given.routers, given.events))
