"""Several workers as users run them: caps that hold over all of them, deaths of workers and of the parent, drains."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.fakes.counting_engine import Gauge
from tests.fakes.fake_engine import MODEL, FakeEngine, Request, Wire, behave, chat
from tests.fakes.router_process import RouterProcess, router_process
from tests.fakes.running import RawClient

PLAIN = json.dumps({"model": MODEL, "messages": []}).encode()
STREAM = json.dumps({"model": MODEL, "messages": [], "stream": True}).encode()
CLIENTS = 300


async def post(port: int, body: bytes = PLAIN) -> int | None:
    """Status of an answer over a connection of its own, None if the connection was cut."""
    async with RawClient.to(port) as client:
        try:
            await client.post(body)
            return (await client.reply()).status
        except (ConnectionError, asyncio.IncompleteReadError):
            return None


async def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


async def admin(router: RouterProcess, holds: Callable[[Any], bool]) -> Any:
    """The state, once it is so."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while True:
            async with session.get(f"{router.admin_url}/state") as answer:
                state = await answer.json()
            if holds(state):
                return state
            await asyncio.sleep(0.05)


def in_flight(state: Any) -> int:
    return sum(view["in_flight"] for view in state["instances"])


@pytest.mark.parametrize("cap", [2, 5])
async def test_a_cap_holds_over_all_workers_and_everybody_is_served(tmp_path: Path, cap: int) -> None:
    gauge = Gauge(0.004)
    async with (
        FakeEngine(gauge) as engine,
        router_process(tmp_path, engine, workers=3, pool={"max_in_flight": cap}) as router,
    ):
        statuses = Counter(await asyncio.gather(*(post(router.port) for _ in range(CLIENTS))))
        assert statuses == {200: CLIENTS}
        assert gauge.most == cap, "never above, and all of it used"
        state = await admin(router, lambda state: in_flight(state) == 0)
        assert state["classes"][0]["finished"] == CLIENTS


async def test_workers_that_are_killed_give_their_slots_back(tmp_path: Path) -> None:
    hold = asyncio.Event()

    async def held(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            await hold.wait()
            with contextlib.suppress(ConnectionError):
                await chat(request, wire)
        else:
            await behave(request, wire)

    async with (
        FakeEngine(held) as engine,
        router_process(tmp_path, engine, workers=3, pool={"max_in_flight": 4}) as router,
    ):
        posts = [asyncio.create_task(post(router.port)) for _ in range(40)]
        await admin(router, lambda state: in_flight(state) == 4 and state["classes"][0]["queued"] == 36)
        for victim in list(await children(router.pid))[:2]:
            os.kill(victim, signal.SIGKILL)
        await admin(router, lambda state: in_flight(state) == 4)
        hold.set()
        statuses = Counter(await asyncio.gather(*posts))
        assert statuses[200] >= 1
        assert statuses[200] + statuses[None] == 40
        assert set(await asyncio.gather(*(post(router.port) for _ in range(20)))) == {200}
        await admin(router, lambda state: in_flight(state) == 0)
        assert sum("worker ended" in line for line in router.log) == 2


async def test_a_signal_drains_every_worker(tmp_path: Path) -> None:
    async def slow(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            await chat(request, wire, tokens=30, pause_s=0.02)
        else:
            await behave(request, wire)

    async with FakeEngine(slow) as engine, contextlib.AsyncExitStack() as stack:
        async with router_process(tmp_path, engine, workers=3, timeouts={"drain_s": 20.0}) as router:
            clients = [await stack.enter_async_context(RawClient.to(router.port)) for _ in range(24)]
            for client in clients:
                await client.post(STREAM)
                await client.head()
        for client in clients:
            assert (await client.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        file = tmp_path / "wattroute.yaml"
        section = {"port": 0, "admin_port": 0, "workers": 3, "timeouts": {"drain_s": 2.0}}
        pools = [{"name": "bf16", "precision": "bf16", "instances": [engine.url]}]
        file.write_text(yaml.safe_dump({"pools": pools, "router": section}))
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "router.cli", "--config", str(file), stderr=asyncio.subprocess.PIPE
        )
        assert parent.stderr is not None
        while b"router listens" not in await parent.stderr.readline():
            assert parent.returncode is None
        workers = await children(parent.pid)
        assert len(workers) == 3
        parent.kill()
        await parent.wait()
        async with asyncio.timeout(20):
            while any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers):
                await asyncio.sleep(0.05)
            await parent.stderr.read()
