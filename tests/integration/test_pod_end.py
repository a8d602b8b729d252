"""A pod with a router beside its engine ends as the kubelet ends it, under load, and loses no request.

Hooks of both containers start at once; the engine is told to end when its own hook is over, the router when the engine
is gone. Balancers go on sending new requests until they have heard that the pod ends.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave, chat
from tests.fakes.router_process import RouterProcess, router_process

ASKED = {"model": "qwen", "messages": [{"role": "user", "content": "hi"}], "stream": True}
CLIENTS = 8
QUIET_S = 0.6
"""Less than a request takes."""


async def slowly(request: Request, wire: Wire) -> None:
    if "chat" in request.target:
        await chat(request, wire, tokens=5, pause_s=0.2)
    else:
        await behave(request, wire)


class Balancer:
    """Sends clients' requests to the pod, each on a connection of its own, until it hears that the pod ends."""

    def __init__(self, router: RouterProcess) -> None:
        self._url = f"{router.url}/v1/chat/completions"
        self.has_heard = asyncio.Event()
        self.outcomes: list[str] = []

    async def client(self, number: int) -> None:
        await asyncio.sleep(0.12 * number)  # so that they do not come and go together
        while not self.has_heard.is_set():
            async with aiohttp.ClientSession() as session:
                self.outcomes.append(await self._ask(session))

    async def _ask(self, session: aiohttp.ClientSession) -> str:
        try:
            async with session.post(self._url, json=ASKED) as answer:
                text = await answer.text()
        except aiohttp.ClientError as error:
            return type(error).__name__
        return (
            "whole" if answer.status == 200 and text.endswith("data: [DONE]\n\n") else f"{answer.status} {text[-80:]}"
        )

    async def until_served(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.outcomes) < count:
                await asyncio.sleep(0.02)


async def router_hook(folder: Path, router: RouterProcess) -> int:
    """The router's preStop hook, as the chart has it, in less time."""
    file = folder / "drain.yaml"
    written = yaml.safe_load((folder / "wattroute.yaml").read_text())
    written["router"]["admin_port"] = router.admin_port
    file.write_text(yaml.safe_dump(written))
    words = ["-m", "router.cli", "drain", "--config", str(file), "--quiet-s", str(QUIET_S)]
    process = await asyncio.create_subprocess_exec(sys.executable, *words)
    return await process.wait()


async def engine_hook(router: RouterProcess) -> int:
    """The engine's preStop hook, which the kubelet sends."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{router.admin_url}/drained?wait_s=60&quiet_s={QUIET_S}") as answer,
    ):
        return answer.status


async def until_draining(router: RouterProcess) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while (await session.get(f"{router.admin_url}/readyz")).status != 503:
            await asyncio.sleep(0.02)


@pytest.mark.e2e
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_pod_that_ends_under_load_loses_no_request(workers: int, tmp_path: Path) -> None:
    async with (
        FakeEngine(slowly) as engine,
        router_process(tmp_path, engine, workers=workers, timeouts={"drain_s": 60.0}) as router,
    ):
        balancer = Balancer(router)
        clients = [asyncio.create_task(balancer.client(number)) for number in range(CLIENTS)]
        await balancer.until_served(2 * CLIENTS)
        hooks = asyncio.gather(router_hook(tmp_path, router), engine_hook(router))
        await until_draining(router)
        await balancer.until_served(len(balancer.outcomes) + 3 * CLIENTS)
        assert not hooks.done(), "requests still come"
        balancer.has_heard.set()
        assert await hooks == [0, 200]
        assert all(client.done() for client in clients), "nothing is under way when the engine is told to end"
        await engine.kill()
        await asyncio.gather(*clients)
    assert set(balancer.outcomes) == {"whole"}
    assert len(balancer.outcomes) >= 5 * CLIENTS
