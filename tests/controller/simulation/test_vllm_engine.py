from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.model.observation import InstanceState
from controller.simulation.batch import MAX_BATCHED_TOKENS
from controller.simulation.vllm_answer import Answer
from controller.simulation.vllm_engine import EmulatedEngine, EngineSpec, InFlight
from controller.simulation.vllm_request import ServedModel, parse_completion
from controller.simulation.vllm_wire import Identity
from tests.fakes.emulated import quick_curves


class Client:
    """Stands in for the exchange of a request."""

    def __init__(self) -> None:
        self.body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.on_disconnect: Callable[[], None] | None = None
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def end(self, data: bytes) -> None:
        self.write(data)

    def respond(self, status: int, body: bytes) -> None:
        self.body.set_result(body)

    def leave(self) -> None:
        assert self.on_disconnect is not None
        self.on_disconnect()


@asynccontextmanager
async def engine(state: InstanceState = InstanceState.SERVING, **changes: Any) -> AsyncIterator[EmulatedEngine]:
    served = ServedModel("m", "m", 10_000)
    spec = EngineSpec(quick_curves(**changes), served, "bf16", state)
    made = EmulatedEngine(spec, rng=Random(3), clock=SystemClock())
    try:
        yield made
    finally:
        made.close()


def ask(target: EmulatedEngine, tokens: int, **fields: Any) -> Client:
    client = Client()
    body = {"prompt": "one two three", "max_tokens": tokens, "ignore_eos": True, **fields}
    request = parse_completion(body, target.spec.served)
    target.submit(Answer(client, request, Identity("cmpl-1", 1)))  # type: ignore[arg-type]
    return client


async def test_an_answer_comes_and_is_counted() -> None:
    async with engine() as target:
        body = await ask(target, 20, n=2).body
        gauges = target.gauges()
        histograms = target.metrics.histograms
    assert b'"completion_tokens":40' in body
    assert (gauges.prompt_tokens, gauges.generation_tokens, gauges.running, gauges.waiting) == (8, 40, 0, 0)
    assert target.metrics.finished["length"] == 2
    assert sum(histograms["time_to_first_token_seconds"].counts) == 2
    assert sum(histograms["inter_token_latency_seconds"].counts) == 38
    assert histograms["iteration_tokens_total"].total == pytest.approx(40)
    assert target.in_flight == 0


async def test_a_step_that_gives_no_token_is_not_counted_as_vllm_counts_none() -> None:
    async with engine() as target:
        prompt = [300] * (2 * MAX_BATCHED_TOKENS + 10)
        target.spec = replace(target.spec, served=ServedModel("m", "m", 20_000))
        await ask(target, 4, prompt=prompt).body
        steps = sum(target.metrics.histograms["iteration_tokens_total"].counts)
    assert (target.physics.steps, steps) == (6, 4)


async def test_a_client_that_leaves_frees_its_room_at_once() -> None:
    async with engine() as target:
        client = ask(target, 9000, n=3)
        held = ask(target, 9000)
        assert (target.physics.running + target.physics.waiting, target.answers) == (4, 2)
        client.leave()
        assert (target.physics.running + target.physics.waiting, target.answers) == (1, 1)
        held.leave()
        assert target.physics.kv_cache_usage_frac == 0
        assert sum(target.metrics.finished.values()) == 0


async def test_a_sleeping_engine_holds_requests_and_answers_them_after_the_wake() -> None:
    async with engine() as target:
        await target.sleep(1, InFlight.ABORT)
        assert (target.state, target.sleep_level, target.is_paused) == (InstanceState.SLEEPING, 1, True)
        client = ask(target, 5)
        assert target.gauges().waiting == 0
        assert target.in_flight == 1
        assert not client.body.done()
        await target.wake()
        assert (target.state, target.sleep_level, target.is_paused) == (InstanceState.SERVING, None, False)
        assert b'"completion_tokens":5' in await client.body


async def test_abort_ends_answers_where_they_are() -> None:
    async with engine() as target:
        client = ask(target, 9000)
        await target.pause(InFlight.ABORT)
        assert b'"finish_reason":"abort"' in await client.body
        assert target.physics.running == 0


async def test_wait_lets_answers_end_and_holds_new_ones() -> None:
    async with engine() as target:
        first = ask(target, 30)
        sleeping = asyncio.create_task(target.sleep(2, InFlight.WAIT))
        await asyncio.sleep(0)
        second = ask(target, 3)
        await sleeping
        assert first.body.done()
        assert not second.body.done()
        assert target.gauges().sleep_level == 2
        await target.wake()
        await second.body


async def test_keep_freezes_answers_and_goes_on_with_them() -> None:
    async with engine() as target:
        client = ask(target, 200)
        await target.pause(InFlight.KEEP)
        await asyncio.sleep(0.01)
        tokens = target.gauges().generation_tokens
        await asyncio.sleep(0.01)
        assert target.gauges().generation_tokens == tokens < 200
        target.resume()
        assert b'"completion_tokens":200' in await client.body


async def test_sleep_level_0_only_stops_the_scheduler() -> None:
    async with engine() as target:
        await target.sleep(0, InFlight.KEEP)
        assert (target.state, target.sleep_level, target.is_paused) == (InstanceState.SERVING, 0, True)
        client = ask(target, 2)
        await target.wake()
        await client.body
        assert target.sleep_level is None


async def test_resuming_does_not_wake() -> None:
    async with engine(InstanceState.SLEEPING) as target:
        client = ask(target, 2)
        target.resume()
        assert target.in_flight == 1
        assert target.sleep_level == 1
        client.leave()
        assert target.in_flight == 0


async def test_a_second_sleep_or_wake_waits_for_the_first() -> None:
    async with engine() as target:
        await asyncio.gather(target.sleep(1, InFlight.ABORT), target.sleep(1, InFlight.ABORT))
        assert not target.physics.is_changing
        await asyncio.gather(target.wake(), target.wake())
        assert target.state is InstanceState.SERVING


async def test_stop_and_start_tell_each_state_and_begin_counting_anew() -> None:
    async with engine() as target:
        states: list[InstanceState] = []
        serving = asyncio.Event()

        def follow() -> None:
            states.append(target.state)
            if target.state is InstanceState.SERVING:
                serving.set()

        target.on_state = follow
        await ask(target, 5).body
        target.stop()
        energy_j = target.physics.energy_j
        target.start()
        await serving.wait()
        gauges = target.gauges()
        assert states == [InstanceState.OFF, InstanceState.STARTING, InstanceState.SERVING]
        assert (gauges.prompt_tokens, gauges.generation_tokens) == (0, 0)
        assert sum(target.metrics.finished.values()) == 0
        assert target.physics.energy_j >= energy_j
        await ask(target, 5).body
        assert target.gauges().generation_tokens == 5


async def test_a_seed_repeats_the_length_of_an_answer() -> None:
    async with engine() as target:
        bodies = [await ask(target, 2000, ignore_eos=False, seed=5).body for _ in range(2)]
        usage = [body.split(b'"usage":')[1] for body in bodies]
    assert usage[0] == usage[1]


async def test_steps_that_end_while_the_loop_is_busy_lose_and_repeat_no_token() -> None:
    async with engine() as target:
        client = ask(target, 30, stream=True)
        loop = asyncio.get_running_loop()
        late_s = loop.time() + 0.05
        while loop.time() < late_s:
            pass
        target.sync()
        assert client.written.count(b"data: {") == 30
        words = client.written.split(b'"text":"')[1:]
        assert len({word[:5] for word in words}) == 30
        assert sum(target.metrics.histograms["inter_token_latency_seconds"].counts) == 29
