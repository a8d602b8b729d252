"""Greedy answers: equal at every precision but for a stated share, and nonsense where an engine is broken."""

from __future__ import annotations

from random import Random
from typing import Any

import aiohttp

from controller.simulation.vllm_voice import BATCH_FRAC, Voice
from controller.simulation.vllm_wire import NO_TURN
from tests.fakes.emulated import emulated, instance

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 16, "temperature": 0}


def test_a_precision_parts_at_its_share_of_prompts_always_alike() -> None:
    voice, rng = Voice("fp8", 0.1), Random(0)
    turns = [voice.turn(key, rng) for key in range(4000)]
    parted = sum(turn != NO_TURN for turn in turns) / len(turns)
    assert 0.08 < parted < 0.13
    assert all(0 < turn < 16 for turn in turns if turn != NO_TURN)
    key = next(k for k in range(4000) if turns[k] != NO_TURN)
    again = [voice.turn(key, rng) for _ in range(50)]
    assert again.count(turns[key]) >= 45


def test_an_engine_parts_from_itself_now_and_then() -> None:
    voice, rng = Voice("bf16", 0.0), Random(0)
    parted = sum(voice.turn(1, rng) != NO_TURN for _ in range(10_000)) / 10_000
    assert BATCH_FRAC / 2 < parted < BATCH_FRAC * 2


def test_a_broken_one_has_nothing_right() -> None:
    voice = Voice("fp8", 0.0)
    voice.is_broken = True
    assert {voice.turn(key, Random(0)) for key in range(100)} == {0}


async def _text(session: aiohttp.ClientSession, port: int, body: dict[str, Any]) -> str:
    async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as response:
        assert response.status == 200, await response.text()
        return str((await response.json())["choices"][0]["message"]["content"])


async def test_engines_answer_greedy_requests_alike_until_one_is_broken_at_the_control_port() -> None:
    async with emulated(instance("a-0"), instance("b-0")) as emulator, aiohttp.ClientSession() as session:
        a, b = emulator.ports["a-0"], emulator.ports["b-0"]
        asks = [{**ASK, "messages": [{"role": "user", "content": f"hello {n}"}]} for n in range(20)]
        first = [await _text(session, a, ask) for ask in asks]
        second = [await _text(session, b, ask) for ask in asks]
        assert sum(one == two for one, two in zip(first, second, strict=True)) >= 18
        assert len(set(first)) > 10
        control = f"http://127.0.0.1:{emulator.control_port}/instances/b-0"
        async with session.post(f"{control}/break") as response:
            assert (await response.json())["broken"] is True
        assert [await _text(session, b, ask) for ask in asks] != second
        assert await _text(session, b, ASK) != await _text(session, b, ASK)
        async with session.post(f"{control}/mend") as response:
            assert (await response.json())["broken"] is False
        mended = [await _text(session, b, ask) for ask in asks]
        assert sum(one == two for one, two in zip(first, mended, strict=True)) >= 18


async def test_sampled_answers_still_differ() -> None:
    async with emulated(instance()) as emulator, aiohttp.ClientSession() as session:
        port = emulator.ports["bf16-0"]
        body = {**ASK, "temperature": 1.0}
        assert len({await _text(session, port, body) for _ in range(5)}) > 1
