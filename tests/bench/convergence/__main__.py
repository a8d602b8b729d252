"""See the package.

Redis, Sentinel, routers and controller run as an operator starts them, with a client at each router; engines and GPUs
are EMULATED. All of it has a network of its own, where nft and unshare are found: there packets can be dropped. The
link between controller and routers is cut in one way after the other. Once it is back, all routers are asked every
hundredth of a second for the table that they obey, until each obeys freshly the one that the controller published when
the link came back, or a later one; in any case one that is later than any from before the cut.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import about
from tests.bench.convergence import cuts, packets
from tests.bench.convergence.cuts import Cut
from tests.bench.convergence.site import TICK_S, Site, running_site, until
from tests.fakes.ports import free_ports
from tests.fakes.redis_server import running_redis
from tests.fakes.sentinel import watched
from tests.fakes.system import ROOT

Link = tuple[dict[str, Any] | None, tuple[Cut, ...]]
"""Where tables come from, None for the controller itself, and the ways in which that is cut."""


@dataclass(frozen=True, slots=True)
class Found:
    """Of one way to cut the link.

    Attributes:
        took_s: of each round, until all routers obeyed the newest table.
        asked: requests of the clients in that time and between.
        lost: those without a good answer, by what came instead.
    """

    link: str
    cut: str
    took_s: tuple[float, ...]
    asked: int
    lost: Mapping[str, int]


@contextlib.asynccontextmanager
async def over_redis(_: Path) -> AsyncIterator[Link]:
    """Through one Redis."""
    async with running_redis() as server:
        dropped = (cuts.redis_out_of_reach(server),) if packets.can_drop() else ()
        yield {"redis_url": server.url}, (cuts.redis_killed(server), cuts.redis_stopped(server), *dropped)


@contextlib.asynccontextmanager
async def over_sentinel(folder: Path) -> AsyncIterator[Link]:
    """Through whichever Redis is the master, by two Sentinels, of which the first is gone as if with the master."""
    async with watched(folder, down_after_ms=int(1000 * cuts.DOWN_AFTER_S)) as redis:
        settings = redis.settings
        gone = f"127.0.0.1:{free_ports(1)[0]}"
        table = {"redis_url": settings.redis_url, "sentinels": [gone, *settings.sentinels]}
        yield table, (cuts.failed_over(redis),)


@contextlib.asynccontextmanager
async def over_http(_: Path) -> AsyncIterator[Link]:
    """Without a Redis."""
    dropped = (cuts.controller_out_of_reach(),) if packets.can_drop() else ()
    yield None, (cuts.controller_stopped(), cuts.controller_killed(), *dropped)


LINKS: dict[str, Callable[[Path], AbstractAsyncContextManager[Link]]] = {
    "Redis": over_redis,
    "Sentinel": over_sentinel,
    "HTTP": over_http,
}


async def round_s(site: Site, cut: Cut, phase_s: float) -> float:
    """From the link's return until all routers obey the newest table; it is cut by `phase_s` longer."""
    await until(site.settled, "all routers obey the table that is published")
    await cut.begin(site)
    before = max(await site.obeyed())
    if cut.lasts:
        await until(site.expired, "all tables expire")
        await asyncio.sleep(phase_s)
    back_s = await cut.end(site)
    newest = max(before + 1, await site.issued())

    async def obeyed() -> bool:
        return min(await site.obeyed()) >= newest

    return await until(obeyed, "all routers obey the newest table") - back_s


async def measured(link: str, routers: int, rounds: int) -> AsyncIterator[Found]:
    """Each way to cut a link."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with LINKS[link](folder) as (table, ways), running_site(folder, routers, table) as site:
            for cut in ways:
                site.answers.clear()
                # Tables expire at one phase of the ticks; links come back at all of them.
                took_s = tuple([await round_s(site, cut, TICK_S * number / rounds) for number in range(rounds)])
                lost = {str(what): count for what, count in site.answers.items() if what != 200}
                yield Found(link, cut.name, took_s, site.answers.total(), lost)


def table_of(found: Sequence[Found]) -> str:
    """Markdown."""
    lines = [
        "| link | cut | rounds | median, s | longest, s | requests | lost |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in found:
        median_s, longest_s = statistics.median(each.took_s), max(each.took_s)
        times = f"{len(each.took_s)} | {median_s:.2f} | {longest_s:.2f}"
        lost = ", ".join(f"{count} {what}" for what, count in each.lost.items()) or "0"
        lines.append(f"| {each.link} | {each.cut} | {times} | {each.asked:,} | {lost} |")
    return "\n".join(lines)


async def main(links: Sequence[str], routers: int, rounds: int) -> None:
    """Measure and print."""
    machine, found = about.line(ROOT), []
    for link in links:
        async for each in measured(link, routers, rounds):
            found.append(each)
            sys.stderr.write(f"{each}\n")
    sys.stdout.write(f"{machine}; {routers} routers; engines and GPUs EMULATED\n\n{table_of(found)}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each way to cut a link")
    parser.add_argument("--routers", type=int, default=4)
    parser.add_argument("--links", nargs="+", choices=tuple(LINKS), default=tuple(LINKS))
    given = parser.parse_args()
    packets.enter([sys.executable, "-m", "tests.bench.convergence", *sys.argv[1:]])
    asyncio.run(main(given.links, given.routers, given.rounds))
