"""See the package.

Routers, controllers and Redis run as an operator starts them, engines as pods that replicas make and unmake; engines
and GPUs are EMULATED, and so are the API server and what keeps pods. A script that a seed draws kills, freezes and
restarts them and sets their clocks, several at once, while clients ask and a call limits the site. Afterwards every
request is accounted for, and it is waited until one controller leads and all routers obey its newest table.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.store.ledger import verify_file
from tests.bench import about
from tests.bench.troubles import judge
from tests.bench.troubles.cluster import FAULTS
from tests.bench.troubles.crowd import crowding
from tests.bench.troubles.judge import Look, Requests
from tests.bench.troubles.part import LOOK_S
from tests.bench.troubles.script import Trouble, drawn
from tests.bench.troubles.site import (
    CONTROLLERS,
    LEAST,
    MOST,
    ROUTERS,
    Site,
    leading,
    obeyed,
    running_site,
    settled,
    until,
)
from tests.fakes.moved_clock import LIBRARY
from tests.fakes.system import ROOT

CALL = {"event_id": "troubled", "limit_w": 20_000.0, "duration_s": 7200, "ramp_s": 10}
UNTIDY = ("never retrieved", "never awaited", "Unclosed", 'Traceback (most recent call last):\n  File "<frozen runpy>')
"""What no log may have: tasks whose end nobody looked at, and processes that ended by an error."""
LACKS_RIGHTS = 2
"""Exit code of a controller that the API server refuses the lease for long: it ends by itself, and is started again."""
CONVERGE_S = 60.0
"""After which it is given up."""


@dataclass(frozen=True, slots=True)
class Played:
    """A script, and what was seen.

    Attributes:
        converged_s: from the script's end until one leads and all routers obey its table; None: never.
        written: replicas, in order.
        ends: how often a controller that was refused the lease at its start ended by itself.
        faults: promises that were broken.
    """

    seed: int
    script: tuple[Trouble, ...]
    requests: Requests
    converged_s: float | None
    written: tuple[int, ...]
    ends: int
    faults: tuple[str, ...]


async def call(site: Site) -> None:
    """Enter the call with whoever leads, and wait until it is in force there."""
    (name,) = await leading(site)
    async with site.session.post(f"{site.address(name)}/v1/events", json=CALL) as answer:
        if answer.status != 201:
            raise RuntimeError(f"the call is refused: {answer.status} {await answer.text()}")


async def look(site: Site) -> Look:
    """One look at all of them."""
    sequences, leaders = await asyncio.gather(obeyed(site), leading(site))
    has_call = None
    if len(leaders) == 1 and (events := await site.told(leaders[0], "/v1/events")):
        has_call = any(each["event_id"] == CALL["event_id"] for each in events["events"])
    return Look(asyncio.get_running_loop().time(), sequences, tuple(leaders), has_call)


async def look_forever(site: Site, looks: list[Look]) -> None:
    """Look again and again."""
    while True:
        looks.append(await look(site))
        await asyncio.sleep(LOOK_S)


async def run(site: Site, script: Sequence[Trouble]) -> None:
    """Play the script."""

    async def one(trouble: Trouble) -> None:
        await asyncio.sleep(trouble.at_s)
        sys.stderr.write(f"{trouble}\n")
        await site.play(trouble)

    async with asyncio.TaskGroup() as group:
        for trouble in script:
            group.create_task(one(trouble))


async def play(folder: Path, seed: int, seconds: float, every_s: float) -> Played:
    """One script on a new site."""
    chance = random.Random(seed)
    async with running_site(folder) as site:
        script = drawn(site.groups, seconds, every_s, chance)
        await call(site)
        looks: list[Look] = []
        async with crowding(site, chance) as crowd:
            begin_s = asyncio.get_running_loop().time()
            looking = asyncio.create_task(look_forever(site, looks))
            await run(site, script)
            converged_s = await _converged(site)
            await asyncio.sleep(2.0)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        requests = judge.requests(crowd.asked, script, begin_s, ROUTERS)
        written = tuple(
            int(request.body["spec"].get("replicas", 0))
            for request in site.kube.asked(lambda r: r.method == "PUT" and r.path.endswith("/scale"))
        )
        found = judge.faults(looks, script, begin_s, ROUTERS)
        found += [f"{each} replicas" for each in judge.out_of_bounds(written, LEAST, MOST)]
        found += await _ended(site, folder)
        ends = sum(len(part.ends) for part in site.parts.values())
        return Played(seed, script, requests, converged_s, written, ends, tuple(found))


async def _converged(site: Site) -> float | None:
    try:
        return await until(site, settled, CONVERGE_S)
    except TimeoutError:
        return None


async def _ended(site: Site, folder: Path) -> list[str]:
    """What goes wrong at the end: exit codes, logs, records."""
    found = []
    for name, part in site.parts.items():
        if code := await part.end():
            found.append(f"{name} ended with {code}")
        found += [f"{name} ended by itself with {code}" for code in part.ends if code != LACKS_RIGHTS]
        text = part.log.read_text()
        found += [f"{name} logs '{mark}'" for mark in UNTIDY if mark in text]
    for name in CONTROLLERS:
        try:
            verify_file(folder / name / "ledger.sqlite")
        except FAULTS as error:
            found.append(f"the ledger of {name}: {error}")
    return found


def line(played: Played) -> str:
    """Of a table in Markdown."""
    counted, script = played.requests, played.script
    at_once = max((sum(a.at_s <= one.at_s < a.end_s for a in script) for one in script), default=0)
    took = "never" if played.converged_s is None else f"{played.converged_s:.1f}"
    lost = ", ".join(f"{count} x {what}" for what, count in counted.lost.items()) or "0"
    replicas = f"{min(played.written)} to {max(played.written)}" if played.written else "none"
    return (
        f"| {played.seed} | {len(script)} | {at_once} | {counted.whole:,} | {counted.with_router} | {counted.begun} | "
        f"{lost} | {took} | {len(played.written)}: {replicas} | {played.ends} | {'; '.join(played.faults) or 'none'} |"
    )


HEAD = (
    "| seed | troubles | at once | whole | ended with their router | begun streams of a broken engine | lost | "
    "one table again, s | replicas written | "
    "ended by themselves | promises broken |\n|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---|"
)


async def main(seeds: Sequence[int], seconds: float, every_s: float, keep: Path | None) -> int:
    """Play and print; returns how many scripts broke a promise."""
    if LIBRARY is None:
        sys.stderr.write("no libfaketime (a package of Debian): no clock is set in these scripts\n")
    sys.stdout.write(f"{about.line(ROOT)}; engines and GPUs EMULATED\n\n{HEAD}\n")
    broken = 0
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix=f"troubles-{seed}-", dir=keep))
        try:
            played = await play(folder, seed, seconds, every_s)
        finally:
            if keep is None:
                shutil.rmtree(folder)
        broken += bool(played.faults or played.requests.lost or played.converged_s is None)
        sys.stdout.write(f"{line(played)}\n")
        sys.stdout.flush()
    return broken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3))
    parser.add_argument("--seconds", type=float, default=180.0, help="of each script")
    parser.add_argument("--every", type=float, default=4.0, help="mean time between two troubles, s")
    parser.add_argument("--keep", type=Path, help="a folder in which logs and records are left")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends it, nothing is left running
    sys.exit(min(1, asyncio.run(main(given.seeds, given.seconds, given.every, given.keep))))
