from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import pytest

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ProfileError
from controller.profile.design import Cell
from controller.profile.measure import Bench, Pace
from controller.profile.power import GpuMeter
from controller.profile.target import Address, Target
from controller.signals.power.open_source import open_source
from controller.simulation.emulator import Emulator
from tests.fakes.emulated import MODEL, emulated, instance

CURVES: dict[str, Any] = {
    "step_base_s": 0.005,
    "step_per_seq_s": 0.0002,
    "step_base_j": 10.0,
    "step_per_seq_j": 0.5,
    "prefill_s_per_token": 0.00002,
    "prefill_j_per_token": 0.03,
}
PACE = Pace(window_s=0.6, warmup_s=0.1, rest_s=0.3)


@asynccontextmanager
async def bench(**changes: Any) -> AsyncIterator[tuple[Bench, Emulator]]:
    clock = SystemClock()
    async with emulated(instance(**{**CURVES, **changes})) as emulator, aiohttp.ClientSession() as session:
        spec = f"dcgm=http://127.0.0.1:{emulator.control_port}/metrics"
        async with open_source(spec, clock, Works(Random(0))) as source:
            target = Target(session, Address(f"http://127.0.0.1:{emulator.ports['bf16-0']}"))
            meter = GpuMeter(source, spec, ())
            await meter.find(clock.wall_s(), 2)
            yield Bench(target, MODEL, meter, pace=PACE, clock=clock), emulator


@asynccontextmanager
async def mixed(*uuids: str, counters: bool = True) -> AsyncIterator[tuple[Bench, Emulator]]:
    """A bench on `bf16-0` that is told to read the named GPUs, where the exporter shows those of two engines."""
    clock = SystemClock()
    option = "" if counters else "?energy=absent"
    async with (
        emulated(instance(**CURVES), instance("other-0", **CURVES)) as emulator,
        aiohttp.ClientSession() as session,
    ):
        spec = f"dcgm=http://127.0.0.1:{emulator.control_port}/metrics{option}"
        async with open_source(spec, clock, Works(Random(0))) as source:
            target = Target(session, Address(f"http://127.0.0.1:{emulator.ports['bf16-0']}"))
            meter = GpuMeter(source, spec, uuids)
            await meter.find(clock.wall_s(), 2)
            yield Bench(target, MODEL, meter, pace=PACE, clock=clock), emulator


@asynccontextmanager
async def stranger(port: int, requests: int = 3) -> AsyncIterator[None]:
    """Somebody else's requests."""
    async with aiohttp.ClientSession() as session:

        async def ask() -> None:
            body = {"prompt": "some words", "max_tokens": 20_000, "ignore_eos": True}
            async with session.post(f"http://127.0.0.1:{port}/v1/completions", json=body) as answer:
                await answer.read()

        tasks = [asyncio.create_task(ask()) for _ in range(requests)]
        await asyncio.sleep(0.05)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_power_without_work_is_that_of_the_idle_engine() -> None:
    async with bench() as (at, _):
        assert await at.rest_w() == pytest.approx(900.0, rel=0.05)


async def test_a_cell_adds_up_to_what_the_engine_did() -> None:
    async with bench() as (at, _):
        found = await at.measure(Cell(6, 64, 32), 900.0)
    assert found.fault == ""
    assert found.row.batch == pytest.approx(6 * 31 / 32, rel=0.1)
    expected_s = 0.005 + 0.0002 * found.row.batch + 0.00002 * found.row.prompt_tokens / found.row.steps
    assert found.row.busy_s / found.row.steps == pytest.approx(expected_s, rel=0.1)
    assert found.row.power_w > 1500
    assert found.answers > 0
    assert found.refused == 0


async def test_times_without_a_request_are_taken_out() -> None:
    async with bench() as (at, _):
        found = await at.measure(Cell(1, 32, 16), 900.0)
    assert found.row.busy_s < found.window_s
    assert found.row.busy_s / found.row.steps == pytest.approx(0.0053, rel=0.1)


async def test_others_on_the_instance_are_noticed_before() -> None:
    async with bench() as (at, emulator), stranger(emulator.ports["bf16-0"]):
        with pytest.raises(ProfileError, match=r"3 requests running .*not ours"):
            await at.require_quiet(wait_s=0.2)


async def test_others_on_the_instance_are_noticed_while_it_is_measured() -> None:
    async with bench() as (at, emulator):
        measuring = asyncio.create_task(at.measure(Cell(2, 32, 32), 900.0))
        await asyncio.sleep(0.8)
        async with stranger(emulator.ports["bf16-0"]):
            with pytest.raises(ProfileError, match="others use the instance"):
                await measuring
        emulator.engine("bf16-0").sync()


async def test_others_who_come_and_go_between_readings_are_noticed_by_their_tokens() -> None:
    async with bench() as (at, emulator):
        engine = emulator.engine("bf16-0")
        measuring = asyncio.create_task(at.measure(Cell(2, 32, 32), 900.0))
        await asyncio.sleep(0.8)
        engine.physics._batch.generation_tokens += 5000
        with pytest.raises(ProfileError, match=r"the engine made \d+ tokens, \d+ of which came here"):
            await measuring


async def test_a_cell_at_idle_power_is_left_out_with_the_reason() -> None:
    """As where the source of power shows other GPUs than the engine's."""
    async with bench() as (at, _):
        found = await at.measure(Cell(2, 32, 32), 5000.0)
    assert "hardly above the idle 5000 W" in found.fault


async def test_one_gpu_of_another_engine_that_works_steadily_is_named() -> None:
    """Half of the sum answers to the load, and the fit would take that for the whole."""
    async with (
        mixed("GPU-emulated-bf16-0-0", "GPU-emulated-other-0-1") as (at, emulator),
        stranger(emulator.ports["other-0"]),
    ):
        await asyncio.sleep(0.3)
        idle_w = await at.rest_w()
        with pytest.raises(ProfileError, match=r"GPU-emulated-other-0-1 \(\d+ W, \d+ W\) draw hardly more"):
            await at.measure(Cell(8, 32, 32), idle_w)


async def test_a_gauge_that_tells_the_same_at_rest_and_under_load_is_named() -> None:
    async with mixed("GPU-emulated-bf16-0-0", "GPU-emulated-other-0-1", counters=False) as (at, _):
        with pytest.raises(
            ProfileError, match=r"GPU-emulated-other-0-1 at [\d.]+ W before the load and all through it"
        ):
            await at.measure(Cell(8, 32, 32), 100.0)


async def test_an_engine_that_refuses_the_load_is_told() -> None:
    async with bench(max_num_queued_reqs=1) as (at, _):
        with pytest.raises(ProfileError, match=r"refuses this load \(\d+ of status 503\); lower --max-concurrency"):
            await at.measure(Cell(8, 32, 64), 900.0)


async def test_preempted_sequences_leave_a_cell_out() -> None:
    async with bench(kv_capacity_tokens=500) as (at, _):
        found = await at.measure(Cell(8, 40, 64), 900.0)
    assert "preempted" in found.fault
