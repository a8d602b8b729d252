"""Many routers as Redis and the controller see them, in one process.

Each reads the table and the engines' loads, and tells of itself, by the router's own code; what it tells is made up:
one request in flight on every instance, and counters that follow the clock. The first engines are probed by all, by the
router's own code, too.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import time
from pathlib import Path

from router import config_file
from router.accounting import ClassCounts, Traffic
from router.contract import AllocationTable, InstanceId
from router.discovery.static import list_instances
from router.fleet import EngineLoad
from router.namesake import Identity
from router.presence import Presence
from router.probes import Prober
from router.settings import CONTROLLER_SECTIONS, RouterFile
from router.snapshot import InstanceView, Snapshot, TableView
from router.spent import Spent
from router.table_redis import RedisTableSource
from router.transport.asking import EngineSession
from router.transport.redis_place import redis_place

PROBED = 2
"""So many engines are probed by every router; all of them would be more than one process can ask."""
PER_S = 2.0
TOKENS = 200


class Router:
    """One router: what it has heard, and what it tells."""

    def __init__(self, settings: RouterFile, number: int) -> None:
        self.number, self.share = number, 1.0
        self._sequence = -1
        self._began_s = time.monotonic()
        self._classes = [cls.name for cls in settings.classes]
        self._pools = [pool.name for pool in settings.pools]
        self._instances = list_instances(settings.pools)

    def apply_table(self, table: AllocationTable, now_s: float, ahead_s: float) -> bool:
        self._sequence = table.sequence
        return True

    def refuse_table(self, reason: str) -> None:
        """A table that it cannot read is no table."""

    def apply_share(self, share: float) -> None:
        self.share = share

    def probed(self, instance_id: InstanceId, *, ok: bool | None, load: EngineLoad | None, now_s: float) -> None:
        """What the engines say is of no use to a router without requests."""

    async def snapshot(self) -> Snapshot:
        count = int(PER_S * (time.monotonic() - self._began_s))
        counts = [ClassCounts(name, requests=count, finished=count, in_flight=2) for name in self._classes]
        traffic = [Traffic.empty(name, pool) for name in self._classes for pool in self._pools]
        for item in traffic:
            item.input_tokens, item.output_tokens = 5 * TOKENS * count, TOKENS * count
        views = [
            InstanceView(each.instance_id, each.pool_id, str(each.precision), each.url, "up", 1, 100, False)
            for each in self._instances
        ]
        spent = [
            Spent(each.instance_id, name, 5 * TOKENS * count, TOKENS * count, 1)
            for each in self._instances
            for name in self._classes
        ]
        return Snapshot(time.time(), True, TableView("fresh", self._sequence), counts, traffic, views, {}, spent=spent)


async def run(settings: RouterFile, count: int) -> None:
    """Until the process is ended."""
    runs, engines = [], EngineSession()
    for number in range(count):
        router, rng = Router(settings, number), random.Random(number)
        place = redis_place(settings.table, {})
        prober = Prober(
            engines,
            list_instances(settings.pools)[:PROBED],
            settings.router.health,
            sink=router,
            steady_s=time.time,
            rng=rng,
        )
        source = RedisTableSource(place, settings.table, sink=router, steady_s=time.time, rng=rng, loads=prober)
        presence = Presence(
            place,
            settings.table,
            who=Identity(f"router-{number}", str(number), math.inf),
            snapshot=router.snapshot,
            sink=router,
            wall_s=time.time,
            monotonic_s=time.monotonic,
            rng=rng,
        )
        runs += [source.run(), presence.run(), prober.run()]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(*runs)


if __name__ == "__main__":
    asyncio.run(run(config_file.load(Path(sys.argv[1]), RouterFile, ignore=CONTROLLER_SECTIONS), int(sys.argv[2])))
