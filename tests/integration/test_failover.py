"""Engines that die, hang or refuse while clients use the router as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.engine_process import engine_process
from tests.fakes.fake_engine import MODEL, FakeEngine, Request, Wire, behave, chat
from tests.fakes.router_process import router_process
from tests.fakes.running import until

PLAIN = {"model": MODEL, "messages": []}
STREAM = {**PLAIN, "stream": True}
ROUTER = {"health": {"probe_interval_s": 0.2}}


async def post(session: aiohttp.ClientSession, url: str, body: dict) -> tuple[int, bytes]:
    async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
        return answer.status, await answer.read()


async def state_of(session: aiohttp.ClientSession, admin_url: str, instance_id: str) -> str:
    async with session.get(f"{admin_url}/state") as answer:
        return {each["instance_id"]: each["state"] for each in (await answer.json())["instances"]}[instance_id]


async def comes_to_be(session: aiohttp.ClientSession, admin_url: str, instance_id: str, wanted: str) -> None:
    async with asyncio.timeout(30):
        while await state_of(session, admin_url, instance_id) != wanted:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
async def test_killing_an_engine_loses_no_request_that_had_not_begun_to_stream(tmp_path: Path, workers: int) -> None:
    held = asyncio.Event()

    async def queued(request: Request, wire: Wire) -> None:
        """As vLLM with a full batch: 200 at once, the first event only when the request's turn comes."""
        if request.target != "/v1/chat/completions":
            await behave(request, wire)
            return
        if request.json().get("stream"):
            await wire.begin_stream()
        held.set()
        await wire.wait_gone()

    async with (
        FakeEngine(queued) as doomed,
        FakeEngine() as healthy,
        router_process(tmp_path, doomed, healthy, workers=workers, **ROUTER) as router,
        aiohttp.ClientSession() as session,
    ):
        asked = [asyncio.create_task(post(session, router.url, body)) for body in (PLAIN, STREAM) * 20]
        await held.wait()
        await until(lambda: _chats(doomed) + _chats(healthy) == 40)
        assert _chats(doomed) > 0
        await doomed.kill()
        answers = await asyncio.gather(*asked)
        assert {status for status, _ in answers} == {200}
        assert all(b"w2" in body for _, body in answers)


async def test_a_frozen_engine_under_load_loses_no_request_and_serves_again_once_it_goes_on(tmp_path: Path) -> None:
    answers: list[tuple[int, bytes]] = []

    async def ask_on(session: aiohttp.ClientSession, url: str, body: dict) -> None:
        while not over.is_set():
            answers.append(await post(session, url, body))

    over = asyncio.Event()
    async with (
        engine_process() as frozen,
        engine_process() as other,
        router_process(tmp_path, frozen, other, timeouts={"first_byte_s": 2.0}, **ROUTER) as router,
        aiohttp.ClientSession() as session,
    ):
        crowd = [asyncio.create_task(ask_on(session, router.url, body)) for body in (PLAIN, STREAM) * 4]
        await until(lambda: len(answers) > 100)
        frozen.freeze()
        await comes_to_be(session, router.admin_url, "bf16-0", "ejected")
        before = len(answers)
        await until(lambda: len(answers) > before + 100)
        frozen.thaw()
        await comes_to_be(session, router.admin_url, "bf16-0", "up")
        over.set()
        await asyncio.gather(*crowd)
    assert {status for status, _ in answers} == {200}
    assert all(b"w2" in body for _, body in answers)


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_engine_on_its_way_back_takes_over_from_the_last_one_that_dies(tmp_path: Path, workers: int) -> None:
    is_well = False

    async def comes_back(request: Request, wire: Wire) -> None:
        if request.target == "/health" and not is_well:
            await wire.answer(503, b"")
            return
        await behave(request, wire)

    health = {"probe_interval_s": 0.2, "recover_after": 100}
    async with (
        FakeEngine(comes_back) as returning,
        FakeEngine() as doomed,
        router_process(tmp_path, returning, doomed, workers=workers, health=health) as router,
        aiohttp.ClientSession() as session,
    ):
        await comes_to_be(session, router.admin_url, "bf16-0", "ejected")
        before = _chats(returning)
        assert [(await post(session, router.url, PLAIN))[0] for _ in range(8)] == [200] * 8
        assert _chats(returning) == before, "one that is up goes first"
        is_well = True
        asked = len(returning.requests)
        await until(lambda: len(returning.requests) > asked + 4 * workers)
        await doomed.kill()
        assert [(await post(session, router.url, body))[0] for body in (PLAIN, STREAM) * 8] == [200] * 16
        assert await state_of(session, router.admin_url, "bf16-0") == "ejected"
        async with session.get(f"{router.admin_url}/metrics") as answer:
            told = [line for line in (await answer.text()).splitlines() if "_last_means_total{" in line]
        assert [float(line.split()[-1]) for line in told] == [16.0]


@pytest.mark.parametrize("answers_meanwhile", [True, False])
async def test_a_router_that_stood_still_takes_that_time_for_nobodys_silence(
    tmp_path: Path, answers_meanwhile: bool
) -> None:
    asked, stopped, thawed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answers_late(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            asked.set()
            await (stopped if answers_meanwhile else thawed).wait()
        await behave(request, wire)

    async with (
        FakeEngine(answers_late) as engine,
        router_process(tmp_path, engine, timeouts={"first_byte_s": 2.0}, **ROUTER) as router,
        aiohttp.ClientSession() as session,
    ):
        answer = asyncio.create_task(post(session, router.url, PLAIN))
        await asked.wait()
        await asyncio.sleep(0.5)  # the engine's time is counted by now
        os.kill(router.pid, signal.SIGSTOP)
        stopped.set()
        await asyncio.sleep(4.0)
        os.kill(router.pid, signal.SIGCONT)
        async with session.get(f"{router.admin_url}/state") as state:
            assert state.status == 200
        thawed.set()
        assert (await answer)[0] == 200
        assert _chats(engine) == 1


async def test_streams_that_had_begun_end_with_an_error_and_are_not_begun_again(tmp_path: Path) -> None:
    async def slow(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            await chat(request, wire, tokens=1000, pause_s=0.01)
        else:
            await behave(request, wire)

    async with (
        FakeEngine(slow) as engine,
        router_process(tmp_path, engine, **ROUTER) as router,
        aiohttp.ClientSession() as session,
    ):
        async with session.post(f"{router.url}/v1/chat/completions", json=STREAM) as answer:
            await answer.content.readuntil(b"\n\n")
            await engine.kill()
            parts: list[bytes] = []
            with pytest.raises(aiohttp.ClientPayloadError):
                await _collect(answer.content, parts)
        body = b"".join(parts)
        assert b'"error"' in body
        assert b"[DONE]" not in body
        assert _chats(engine) == 1


async def test_an_engine_that_comes_back_is_used_again(tmp_path: Path) -> None:
    async with (
        FakeEngine() as one,
        FakeEngine() as two,
        router_process(tmp_path, one, two, **ROUTER) as router,
        aiohttp.ClientSession() as session,
    ):
        await one.kill()
        for _ in range(10):
            assert (await post(session, router.url, PLAIN))[0] == 200
        await one.start()
        before = _chats(one)
        async with asyncio.timeout(20):
            while _chats(one) == before:
                assert (await post(session, router.url, PLAIN))[0] == 200
                await asyncio.sleep(0.02)


async def test_a_router_that_starts_before_its_engines(tmp_path: Path) -> None:
    engine = FakeEngine()
    await engine.start()
    await engine.kill()
    reserved = reserve(engine.port)
    async with router_process(tmp_path, engine, **ROUTER) as router, aiohttp.ClientSession() as session:
        await until(lambda: any("engine fails probes instance_id=bf16-0" in line for line in router.log))
        assert (await post(session, router.url, PLAIN))[0] == 503
        await engine.start()
        async with asyncio.timeout(20):
            while (await post(session, router.url, PLAIN))[0] != 200:
                await asyncio.sleep(0.02)
        await engine.kill()
    reserved.close()


async def test_engines_that_close_their_idle_connections_cost_no_request(tmp_path: Path) -> None:
    async with (
        FakeEngine(is_closing_idle=True) as engine,
        router_process(tmp_path, engine, retry={"max_attempts": 1}) as router,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(50):
            assert (await post(session, router.url, PLAIN))[0] == 200


async def test_a_busy_engine_is_passed_over_and_stays_in_service(tmp_path: Path) -> None:
    async def busy(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            await wire.answer(503, b'{"error":{"message":"The engine is currently busy","code":503}}')
        else:
            await behave(request, wire)

    async with (
        FakeEngine(busy) as one,
        FakeEngine() as two,
        router_process(tmp_path, one, two, **ROUTER) as router,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(20):
            assert (await post(session, router.url, PLAIN))[0] == 200
        async with session.get(f"{router.admin_url}/state") as answer:
            states = {view["instance_id"]: view["state"] for view in (await answer.json())["instances"]}
        assert states == {"bf16-0": "up", "bf16-1": "up"}


def reserve(port: int) -> socket.socket:
    """Keep a port from others without listening on it: connections are refused, the engine may still take it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held


def _chats(engine: FakeEngine) -> int:
    return sum(request.target == "/v1/chat/completions" for request in engine.requests)


async def _collect(content: aiohttp.StreamReader, parts: list[bytes]) -> None:
    while more := await content.readany():
        parts.append(more)
