from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controller.clock import SystemClock
from controller.errors import ConfigError, ProfileError
from controller.profile.design import Cell
from controller.profile.load import ClosedLoop
from controller.profile.target import Address
from tests.fakes.emulated import MODEL, emulated, instance


@asynccontextmanager
async def loading(port: int, cell: Cell, key: str | None = None) -> AsyncIterator[ClosedLoop]:
    async with aiohttp.ClientSession() as session:
        address = Address(f"http://127.0.0.1:{port}", key)
        load = ClosedLoop(session, address, MODEL, cell=cell, rng=Random(3), clock=SystemClock())
        load.begin()
        try:
            yield load
        finally:
            await load.end()


async def until_finished(load: ClosedLoop, count: int) -> None:
    while load.counts.finished < count:
        load.check()
        await asyncio.sleep(0.005)


async def test_the_engine_sees_as_many_requests_as_asked_and_counts_the_same_tokens() -> None:
    async with emulated() as emulator:
        engine = emulator.engine("bf16-0")
        async with loading(emulator.ports["bf16-0"], Cell(4, 50, 20)) as load:
            await until_finished(load, 12)
            assert load.counts.in_flight == 4
            assert load.counts.started == 4
            engine.sync()
            made = engine.physics.generation_tokens
            seen = load.counts.tokens
            assert made - 60 <= seen <= made
            assert engine.physics.prompt_tokens % 50 == 0
        await asyncio.sleep(0.05)
        engine.sync()
        assert engine.physics.running == 0
    assert load.counts.gaps > 0
    assert load.counts.gap_s / load.counts.gaps == pytest.approx(0.00104, rel=1.0)


async def test_time_without_a_request_is_counted() -> None:
    async with emulated() as emulator, loading(emulator.ports["bf16-0"], Cell(1, 10, 8)) as load:
        await until_finished(load, 5)
        assert load.idle_s() > 0


async def test_a_full_engine_is_counted_and_asked_again() -> None:
    refusing = instance(max_num_queued_reqs=2)
    async with emulated(refusing) as emulator, loading(emulator.ports["bf16-0"], Cell(6, 10, 20)) as load:
        await until_finished(load, 4)
        assert load.counts.statuses[503] >= 4
        load.check()


@pytest.mark.parametrize(("key", "kind", "told"), [(None, ConfigError, "--api-key-file"), ("no", ConfigError, "401")])
async def test_a_refusal_that_no_repetition_changes_ends_the_load(key: str | None, kind: type, told: str) -> None:
    async with (
        emulated(instance(api_key="sk-1")) as emulator,
        loading(emulator.ports["bf16-0"], Cell(1, 9, 9), key) as load,
    ):
        with pytest.raises(kind, match=told) as error:
            await until_finished(load, 1)
        assert "sk-1" not in str(error.value)


async def test_an_answer_cut_to_the_engine_s_context_is_told() -> None:
    small = instance(kv_capacity_tokens=100)
    async with emulated(small) as emulator, loading(emulator.ports["bf16-0"], Cell(1, 90, 60)) as load:
        with pytest.raises(ProfileError, match="lengths must be as asked"):
            await until_finished(load, 3)


@asynccontextmanager
async def answering(text: str) -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/event-stream")

    app = web.Application()
    app.router.add_post("/v1/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_tokens_that_an_engine_puts_into_one_event_are_counted() -> None:
    """vLLM joins the tokens of a stream whose reader lags; the emulator does not."""
    usage = '{"usage":{"prompt_tokens":5,"completion_tokens":%d}}'
    stream = f'data: {{"choices":[1]}}\n\ndata: {{"choices":[2]}}\n\ndata: {usage % 8}\n\n'
    async with answering(stream) as port, loading(port, Cell(1, 5, 8)) as load:
        load._rng.randint = lambda low, high: high if low > 0 else 0  # type: ignore[method-assign]
        await until_finished(load, 3)
        assert load.counts.tokens_per_event == pytest.approx(4.0)
        assert load.counts.tokens == pytest.approx(4.0 * load.counts.events)


@pytest.mark.parametrize(
    "text",
    [
        'data: {"choices":[]}\n\ndata: [DONE]\n\n',
        'data: {"error":{"message":"dead","code":500}}\n\ndata: [DONE]\n\n',
        "",
    ],
    ids=["no usage", "died within", "empty"],
)
async def test_a_stream_that_does_not_end_well_is_told(text: str) -> None:
    async with answering(text) as port, loading(port, Cell(1, 5, 8)) as load:
        with pytest.raises(ProfileError, match="ended without usage"):
            await until_finished(load, 1)


async def test_prompts_begin_differently_and_hold_plain_tokens() -> None:
    seen: list[dict[str, Any]] = []

    async def keep(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/v1/completions", keep)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with loading(runner.addresses[0][1], Cell(8, 40, 12)):
        while len(seen) < 8:
            await asyncio.sleep(0.01)
    await runner.cleanup()
    assert len({tuple(body["prompt"][:8]) for body in seen}) == len(seen)
    assert all(len(body["prompt"]) == 40 and body["ignore_eos"] for body in seen)
    assert all(body["min_tokens"] == body["max_tokens"] for body in seen)


async def test_the_end_of_a_prompt_and_of_a_step_can_be_waited_for() -> None:
    slow = instance(step_base_s=0.03)
    async with emulated(slow) as emulator, loading(emulator.ports["bf16-0"], Cell(1, 10, 12)) as load:
        engine = emulator.engine("bf16-0")
        for _ in range(2):
            await load.next_token(5.0, is_first=True)
            (seq,) = (stream.seq for stream in engine._streams._entered.values())
            assert seq.generated == 1
        before = engine.physics.steps
        await load.next_token(5.0, is_first=False)
        assert engine.physics.steps == before + 1
        await load.next_token(0.001, is_first=True)
