"""Clients that leave or stop reading, against the router as a process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import openai
import pytest

from tests.fakes.fake_engine import MODEL, FakeEngine, Request, Wire, behave, chat, delta
from tests.fakes.router_process import RouterProcess, router_process
from tests.fakes.running import RawClient

PLAIN = {"model": MODEL, "messages": []}
STREAM = {**PLAIN, "stream": True}


class Watch:
    """A script that holds every chat until its client leaves."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, request: Request, wire: Wire) -> None:
        if request.target != "/v1/chat/completions":
            await behave(request, wire)
            return
        if request.json().get("stream"):
            await wire.begin_stream()
            await wire.event(delta("a"))
        self.begun.set()
        await wire.wait_gone()
        self.gone.set()


async def in_flight(router: RouterProcess) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{router.admin_url}/state") as answer:
        return sum(view["in_flight"] for view in (await answer.json())["instances"])


async def becomes_idle(router: RouterProcess) -> None:
    async with asyncio.timeout(10):
        while await in_flight(router):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_leaving_frees_the_engine(tmp_path: Path, body: dict, workers: int) -> None:
    watch = Watch()
    async with FakeEngine(watch) as engine, router_process(tmp_path, engine, workers=workers) as router:
        async with RawClient.to(router.port) as client:
            await client.post(json.dumps(body).encode())
            await watch.begun.wait()
            assert await in_flight(router) == 1
        async with asyncio.timeout(10):
            await watch.gone.wait()
        await becomes_idle(router)


async def test_closing_a_stream_of_the_official_client_frees_the_engine(tmp_path: Path) -> None:
    watch = Watch()
    async with (
        FakeEngine(watch) as engine,
        router_process(tmp_path, engine) as router,
        openai.AsyncOpenAI(base_url=f"{router.url}/v1", api_key="k", max_retries=0) as client,
    ):
        stream = await client.chat.completions.create(model=MODEL, messages=[], stream=True)
        await anext(stream)
        await stream.close()
        async with asyncio.timeout(10):
            await watch.gone.wait()
        await becomes_idle(router)


async def test_an_engine_that_falls_silent_does_not_hold_the_client(tmp_path: Path) -> None:
    watch = Watch()
    timeouts = {"inter_chunk_s": 0.3}
    async with (
        FakeEngine(watch) as engine,
        router_process(tmp_path, engine, timeouts=timeouts) as router,
        openai.AsyncOpenAI(base_url=f"{router.url}/v1", api_key="k", max_retries=0) as client,
    ):
        stream = await client.chat.completions.create(model=MODEL, messages=[], stream=True)
        await anext(stream)
        with pytest.raises(openai.APIError, match="silent"):
            await anext(stream)
        async with asyncio.timeout(10):
            await watch.gone.wait()
        await becomes_idle(router)


async def test_a_slow_reader_does_not_fill_the_router(tmp_path: Path) -> None:
    sent = 0

    async def flood(request: Request, wire: Wire) -> None:
        nonlocal sent
        if request.target != "/v1/chat/completions":
            await behave(request, wire)
            return
        await wire.begin_stream()
        for _ in range(20_000):
            await wire.chunk(b"data: " + b"x" * 4000 + b"\n\n")
            sent += 4008
        await wire.end()

    async with (
        FakeEngine(flood) as engine,
        router_process(tmp_path, engine) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(json.dumps(STREAM).encode())
        await client.head()
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 40_000_000
        body = await client.reader.readexactly(20_000 * (4008 + 7) + 5)
        assert body.endswith(b"0\r\n\r\n")


async def test_stopping_the_router_lets_streams_end(tmp_path: Path) -> None:
    async def slow(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            await chat(request, wire, tokens=20, pause_s=0.02)
        else:
            await behave(request, wire)

    async with FakeEngine(slow) as engine, aiohttp.ClientSession() as session:
        async with router_process(tmp_path, engine) as router:
            answer = await session.post(f"{router.url}/v1/chat/completions", json=STREAM)
            await answer.content.readuntil(b"\n\n")
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")
