"""Redis is lost between the routers' word that instances are drained and their sleep: nothing is sent to them.

Processes of their own: Redis, routers and controller are the real ones; engines and GPUs are EMULATED.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.bench.convergence.site import TICK_S, Site, running_site, until
from tests.fakes.redis_server import running_redis
from tests.fakes.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]
ROUTERS = 4
ANSWERS_MORE = 2
"""At each router after all is seen: whoever waits at an engine that sleeps has then been answered, or has given up."""


def decides_at_once(document: dict[str, Any]) -> None:
    """The fleet is larger than its few clients need, and shrinks as soon as it may."""
    document["plan"] |= {"warmup_s": 3, "slow_interval_s": 5}
    for pool in document["plan"]["pools"].values():
        pool |= {"min_up_s": 0, "lower_after_s": 0}


async def test_what_goes_to_sleep_as_redis_is_lost_gets_no_request(tmp_path: Path) -> None:
    async with (
        running_redis() as redis,
        running_site(tmp_path, ROUTERS, {"redis_url": redis.url}, decides_at_once) as site,
    ):
        assert redis.process is not None
        answers: list[list[int | str]] = [[] for _ in site.routers]
        asking = [asyncio.create_task(ask(site, *each)) for each in zip(site.routers, answers, strict=True)]
        at_rest = {name for name, state in (await states(site)).items() if state == "sleeping"}

        drained = await newly_drained(site, at_rest)
        # The tick after the table finds that routers obey it; the one after that, late without Redis, commands sleep.
        sequence = await site.issued()
        await until(lambda: has_issued(site, sequence + 1), "the next tick")
        await asyncio.sleep(TICK_S / 2)
        redis.process.send_signal(signal.SIGSTOP)
        await until(lambda: all_sleep(site, drained), "they sleep")
        await until(site.expired, "all tables expire")
        await until(lambda: all_seen_asleep(site, drained), "every router sees that they sleep")
        redis.process.send_signal(signal.SIGCONT)
        before = [len(each) for each in answers]
        await until(lambda: all_longer(answers, before), "every client is answered")

        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert [{answer for answer in each if answer != 200} for each in answers] == [set()] * ROUTERS


async def ask(site: Site, router: System, answers: list[int | str]) -> None:
    """A client without end."""
    while True:
        answers.append(await site.answer(router))
        await asyncio.sleep(0.02)


async def newly_drained(site: Site, at_rest: set[str]) -> set[str]:
    """Who is drained beside those that rest, once somebody is."""
    found: set[str] = set()

    async def is_any() -> bool:
        table = await site.told(f"{site.system.api}/v1/allocation")
        found.update(set(table.get("draining", ())) - at_rest)
        return bool(found)

    await until(is_any, "an instance drains")
    return found


async def states(site: Site) -> dict[str, str]:
    """Of each emulated instance."""
    async with site.session.get(f"{site.system.emulator}/instances") as answer:
        return {each["instance_id"]: each["state"] for each in await answer.json()}


async def has_issued(site: Site, sequence: int) -> bool:
    return await site.issued() >= sequence


async def all_sleep(site: Site, names: set[str]) -> bool:
    found = await states(site)
    return all(found[name] == "sleeping" for name in names)


async def all_seen_asleep(site: Site, names: set[str]) -> bool:
    for router in site.routers:
        told = await site.told(f"{router.admin}/state")
        seen = {each["instance_id"]: each["state"] for each in told.get("instances", ())}
        if any(seen.get(name) != "asleep" for name in names):
            return False
    return True


async def all_longer(answers: list[list[int | str]], before: list[int]) -> bool:
    return all(len(each) >= count + ANSWERS_MORE for each, count in zip(answers, before, strict=True))
