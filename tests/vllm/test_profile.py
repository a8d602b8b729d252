"""What a profile asks of an engine, a real one answers: facts, exact lengths, counters that agree with the client's."""

from __future__ import annotations

import asyncio
from random import Random

import aiohttp
import pytest

from controller.clock import SystemClock
from controller.profile.design import Cell
from controller.profile.kernel import UNQUANTIZED, from_log
from controller.profile.load import ClosedLoop
from controller.profile.target import Address, Target
from tests.vllm.servers import MAX_LENGTH, MAX_SEQUENCES, MODEL, Pair

pytestmark = pytest.mark.vllm


async def test_engines_tell_their_precision_and_limits(pair: Pair) -> None:
    found = []
    async with aiohttp.ClientSession() as session:
        for server in (pair.bf16, pair.int8):
            found.append(await Target(session, Address(f"http://127.0.0.1:{server.port}")).facts(None))
    assert [engine.model for engine in found] == [MODEL, MODEL]
    assert all(engine.is_told and not engine.is_emulated and engine.gpus == 1 for engine in found)
    assert [engine.precision for engine in found] == ["bf16", "compressed-tensors"]
    for engine in found:
        assert (engine.limits.max_model_len, engine.limits.max_num_seqs) == (MAX_LENGTH, MAX_SEQUENCES)
        assert engine.limits.kv_capacity_tokens
        assert engine.version


async def test_the_log_of_the_start_tells_the_kernel(pair: Pair) -> None:
    found = [from_log(server.log.read_text()) for server in (pair.bf16, pair.int8)]
    assert [kernel and kernel.name for kernel in found] == [UNQUANTIZED, "CPUInt8ScaledMMLinearKernel"]


async def test_a_load_has_the_lengths_asked_for_and_the_engine_counts_it(pair: Pair) -> None:
    address = Address(f"http://127.0.0.1:{pair.bf16.port}")
    async with aiohttp.ClientSession() as session:
        target = Target(session, address)
        before = await target.counters()
        cell = Cell(4, 200, 32)
        load = ClosedLoop(session, address, MODEL, cell=cell, rng=Random(5), clock=SystemClock())
        load.begin()
        while load.counts.finished < 12:
            load.check()
            await asyncio.sleep(0.02)
        after = await target.counters()
        seen = load.counts
        await load.end()
        while (await target.counters()).running:
            await asyncio.sleep(0.05)
    made, prompts = after.generation_tokens - before.generation_tokens, after.first_tokens - before.first_tokens
    assert made == pytest.approx(seen.tokens, rel=0.2)
    assert after.prompt_tokens - before.prompt_tokens == 200 * prompts
    assert after.cached_tokens == before.cached_tokens
    assert made / cell.concurrency <= after.steps - before.steps <= made
