"""What a profile asks of an engine, a real one answers: facts, exact lengths, counters that agree with the client's."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from random import Random

import aiohttp
import pytest

from controller.clock import SystemClock
from controller.errors import FitRefused, ProfileError
from controller.profile.design import Cell
from controller.profile.kernel import UNQUANTIZED, from_log
from controller.profile.load import ClosedLoop
from controller.profile.options import ProfileOptions
from controller.profile.run import profile
from controller.profile.target import Address, Target
from tests.vllm.servers import MAX_LENGTH, MAX_SEQUENCES, MODEL, Pair
from tests.vllm.watts import DECODE_J, PROMPT_J, STEP_J, exporter, work_j

pytestmark = pytest.mark.vllm

STEADY_R2 = 0.95
"""Of the fit of step times. What computing a prompt takes is bounded below by them: where they are noise, the parts of
the energy are not found either."""


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


async def test_a_profile_finds_the_energy_of_steps_and_tokens_however_unsteady_the_machine(
    pair: Pair, tmp_path: Path
) -> None:
    """Power is EMULATED, a function of the engine's own counters; throughput is what the machine gives.

    Totals of a window hold whatever the speed was in it, so cells are right that are too unsteady for a fit.
    """
    found = None
    async with exporter(pair.bf16.url) as metrics:
        options = ProfileOptions(
            pair.bf16.url,
            power=f"dcgm={metrics}",
            out=tmp_path / "c.yaml",
            quick=True,
            window_s=1.5,
            long_input=512,
            output_tokens=40,
            max_spread_frac=0.5,
        )
        with contextlib.suppress(FitRefused, ProfileError):
            found = await profile(options, lambda *_: None, SystemClock())
    entries = [json.loads(line) for line in options.cells_path.read_text().splitlines()]
    rows = [entry["cell"]["row"] for entry in entries if "cell" in entry]
    assert len(rows) >= 7
    for row in rows:
        expected_j = work_j(row["steps"], row["decode_tokens"], row["prompt_tokens"])
        assert row["energy_j"] == pytest.approx(expected_j, rel=0.015), row
    if found is None or found.fit.steps.time.r2 < STEADY_R2:
        return
    assert found.is_emulated
    assert found.fit.steps.held_at_zero == ()
    energy = found.fit.energy_terms
    assert list(energy) == pytest.approx([STEP_J, DECODE_J, PROMPT_J], rel=0.05)
