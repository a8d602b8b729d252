"""Several routers and a controller as processes, on a real Redis and without one: engines are asked as by one router.

Engines are EMULATED.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.bench.scale.__main__ import Size, document, started
from tests.bench.scale.engines import answer
from tests.fakes.fake_engine import MODEL, FakeEngine, Request, Wire, behave
from tests.fakes.ports import free_ports
from tests.fakes.redis_server import running_redis
from tests.fakes.router_process import RouterProcess, router_process

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]
ROUTERS = 4
LIMIT_S = 40.0
BACK_S = 12.0
"""Own probes again: the controller's word counts for 6 s, what is left is a slow machine's."""
COUNTED_S = 6.0
ASKED = ("/health", "/metrics", "/is_sleeping")


async def vllm(request: Request, wire: Wire) -> None:
    """An engine in good health that tells its load."""
    if request.target == "/metrics":
        await wire.send(answer(b"/metrics", time.monotonic()))
    else:
        await behave(request, wire)


def asked(engine: FakeEngine) -> int:
    return sum(request.target in ASKED for request in engine.requests)


async def rate_of(engine: FakeEngine) -> float:
    """Questions a second."""
    before, began_s = asked(engine), time.monotonic()
    await asyncio.sleep(COUNTED_S)
    return (asked(engine) - before) / (time.monotonic() - began_s)


class Fleet:
    """Routers with their clients."""

    def __init__(self, session: aiohttp.ClientSession, routers: list[RouterProcess]) -> None:
        self.session, self.routers = session, routers
        self.statuses: list[int] = []

    async def state(self, router: RouterProcess) -> dict[str, Any]:
        async with self.session.get(f"{router.admin_url}/state") as response:
            return dict(json.loads(await response.read()))

    async def all_are(self, state: str, agreed: int | None = None) -> bool:
        seen = [(await self.state(router))["loads"] for router in self.routers]
        return all(each["state"] == state and agreed in (None, each["agreed"]) for each in seen)

    async def until(self, holds: Callable[[], Awaitable[bool]], limit_s: float = LIMIT_S) -> None:
        async with asyncio.timeout(limit_s):
            while not await holds():
                await asyncio.sleep(0.1)

    async def send(self) -> None:
        """Requests to every router, again and again."""
        while True:
            for router in self.routers:
                body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
                async with self.session.post(f"{router.url}/v1/chat/completions", json=body) as response:
                    self.statuses.append(response.status)
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def routers_of(
    folder: Path, engines: list[FakeEngine], table: dict[str, str], workers: int
) -> AsyncIterator[Fleet]:
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        routers = []
        for number in range(ROUTERS):
            own = folder / f"router-{number}"
            own.mkdir()
            routers.append(
                await stack.enter_async_context(
                    router_process(
                        own,
                        *engines,
                        workers=workers if number == 0 else 1,
                        pool={"name": "bf16-0"},
                        sections={"table": table},
                        name=f"router-{number}",
                        health={"probe_interval_s": 0.5, "probe_timeout_s": 0.5},  # type: ignore[arg-type]
                    )
                )
            )
        fleet = Fleet(session, routers)
        sending = asyncio.create_task(fleet.send())
        try:
            yield fleet
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize("way", ["redis", "http"])
async def test_engines_are_asked_as_by_one_router_while_a_controller_tells(way: str, tmp_path: Path) -> None:
    async with running_redis() as redis, FakeEngine(vllm) as one, FakeEngine(vllm) as two:
        (port,) = free_ports(1)
        config, engines = tmp_path / "wattroute.yaml", [one, two]
        settings = document(Size(ROUTERS, 2, 1), redis, port, tmp_path, 2.0)
        settings["pools"][0]["instances"] = [engine.url for engine in engines]
        if way == "http":
            settings["table"] = {"url": f"http://127.0.0.1:{port}/v1/allocation"}
        command = ("-m", "controller.cli", "controller", "--config", str(config))
        async with routers_of(tmp_path, engines, settings["table"], workers=2) as fleet:
            if way == "http":
                settings["signals"] = {"router_urls": [router.admin_url for router in fleet.routers]}
            config.write_text(yaml.safe_dump(settings))
            await fleet.until(lambda: fleet.all_are("own"))
            alone = await rate_of(one)

            async with started(tmp_path, "controller", *command, ready=False) as controller:
                await fleet.until(lambda: fleet.all_are("shared", agreed=2))
                shared = await rate_of(one)
                # The controller's own questions are among these, three a second at the most.
                assert shared - 3.0 < 0.5 * alone, (shared, alone)
                assert await fleet.all_are("shared", agreed=2)

                controller.send_signal(signal.SIGSTOP)
                await fleet.until(lambda: fleet.all_are("own"), BACK_S)
                assert await rate_of(one) > 0.7 * alone
                controller.send_signal(signal.SIGCONT)
                await fleet.until(lambda: fleet.all_are("shared", agreed=2))

                await one.kill()
                await fleet.until(lambda: _all_see(fleet, "ejected"), BACK_S)
                await one.start()
                await fleet.until(lambda: _all_see(fleet, "up"), BACK_S)
                await fleet.until(lambda: fleet.all_are("shared", agreed=2))
            await fleet.until(lambda: fleet.all_are("own"), BACK_S)
            assert await rate_of(one) > 0.7 * alone
            assert set(fleet.statuses) == {200}
            assert any("engines' loads not told any more" in line for line in fleet.routers[0].log)


async def _all_see(fleet: Fleet, state: str) -> bool:
    """Whether every router has the first engine in this state."""
    seen = [(await fleet.state(router))["instances"][0]["state"] for router in fleet.routers]
    return set(seen) == {state}
