"""Ways to cut the link between a controller and its routers, and to mend it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from tests.bench.convergence import packets
from tests.bench.convergence.site import LOOK_S, TICK_S, Site, until
from tests.fakes.redis_server import RedisServer
from tests.fakes.sentinel import Watched

DOWN_AFTER_S = 2.0
"""A Sentinel acts after a master has been silent for so long."""
BEFORE_TICK_S = 0.8
"""A master dies so long before a tick, whose table cannot be written then."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One way.

    Attributes:
        begin: cuts the link.
        end: mends it; returns when it was back, by the monotonic clock.
        lasts: whether it stays cut until all tables have expired.
    """

    name: str
    begin: Callable[[Site], Awaitable[None]]
    end: Callable[[Site], Awaitable[float]]
    lasts: bool = True


def redis_killed(server: RedisServer) -> Cut:
    """It is back once the server that is started answers a PING; that holds nothing."""

    async def end(_: Site) -> float:
        await server.start()
        return monotonic()

    return Cut("Redis killed, started again empty", lambda _: server.stop(), end)


def redis_stopped(server: RedisServer) -> Cut:
    """SIGSTOP, and SIGCONT."""

    def pid(_: Site) -> int:
        assert server.process is not None
        return server.process.pid

    return _stopped("Redis stopped, goes on", pid)


def controller_stopped() -> Cut:
    """SIGSTOP, and SIGCONT."""
    return _stopped("controller stopped, goes on", lambda site: site.system.processes["controller"].pid)


def controller_killed() -> Cut:
    """It is back once the one that is started answers."""

    async def begin(site: Site) -> None:
        await asyncio.to_thread(site.system.kill, "controller")

    async def end(site: Site) -> float:
        site.system.launch("controller")

        async def answers() -> bool:
            return bool(await site.told(f"{site.system.api}/healthz"))

        return await until(answers, "the controller answers")

    return Cut("controller killed, started again", begin, end)


def redis_out_of_reach(server: RedisServer) -> Cut:
    """What is sent to it and by it is lost."""
    return _out_of_reach("packets to and from Redis dropped", lambda _: (server.port,))


def controller_out_of_reach() -> Cut:
    """What controller and routers send one another is lost."""

    def ports(site: Site) -> tuple[int, ...]:
        return (
            site.system.document["controller"]["port"],
            *(each.document["router"]["admin_port"] for each in site.routers),
        )

    return _out_of_reach("packets between controller and routers dropped", ports)


def failed_over(redis: Watched) -> Cut:
    """The master dies, so that a tick's table cannot be written; it is back once the replica says that it is one."""

    async def begin(site: Site) -> None:
        if redis.processes[redis.master].returncode is not None:
            await redis.replicate()
        before = await site.issued()

        async def has_ticked() -> bool:
            return await site.issued() > before

        await until(has_ticked, "a tick")
        await asyncio.sleep(TICK_S - BEFORE_TICK_S)
        redis.kill_master()

    async def end(_: Site) -> float:
        await redis.until_promoted(LOOK_S)
        return monotonic()

    return Cut("master killed, Sentinel promotes its replica", begin, end, lasts=False)


def _stopped(name: str, pid: Callable[[Site], int]) -> Cut:
    async def begin(site: Site) -> None:
        os.kill(pid(site), signal.SIGSTOP)

    async def end(site: Site) -> float:
        os.kill(pid(site), signal.SIGCONT)
        return monotonic()

    return Cut(name, begin, end)


def _out_of_reach(name: str, ports: Callable[[Site], tuple[int, ...]]) -> Cut:
    async def end(_: Site) -> float:
        await packets.carry()
        return monotonic()

    return Cut(name, lambda site: packets.lose(ports(site)), end)
