"""A client that leaves frees its engine, whatever the request was doing."""

from __future__ import annotations

import asyncio

import pytest

from tests.vllm.load import COMPLETIONS, filled, long
from tests.vllm.router import Router
from tests.vllm.same import pinned
from tests.vllm.servers import MAX_SEQUENCES, Pair
from tests.vllm.wire import call, request

pytestmark = pytest.mark.vllm

TOKENS = 4000
"""Some 12 s: the tokens made tell whether the answer was cut short."""


async def idle(pair: Pair, router: Router) -> None:
    await asyncio.to_thread(pair.bf16.becomes_idle)
    assert router.in_flight() == 0


@pytest.mark.parametrize("half_close", [False, True], ids=["close", "half-close"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
async def test_leaving_frees_the_engine(pair: Pair, router: Router, is_stream: bool, half_close: bool) -> None:
    server = pair.bf16
    before = server.gauge("vllm:generation_tokens_total")
    data = request("POST", COMPLETIONS, long(TOKENS, stream=is_stream), pinned(server))
    async with call(router.port, data) as under_way:
        await asyncio.to_thread(server.until, lambda: server.running() == 1, "it runs")
        if is_stream:
            await under_way.head()
            assert await under_way.chunk()
        assert router.in_flight() == 1
        if half_close:
            under_way.half_close()
        else:
            under_way.leave()
        await idle(pair, router)
    assert server.gauge("vllm:generation_tokens_total") - before < TOKENS


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
async def test_leaving_an_engines_queue(pair: Pair, router: Router, is_stream: bool) -> None:
    server = pair.bf16
    async with filled(server, MAX_SEQUENCES):
        async with call(router.port, request("POST", COMPLETIONS, long(4, stream=is_stream), pinned(server))):
            await asyncio.to_thread(server.until, lambda: server.waiting() == 1, "it waits")
        await asyncio.to_thread(server.until, lambda: server.waiting() == 0, "it has left the queue")
        assert server.running() == MAX_SEQUENCES


async def test_many_leave_at_once(pair: Pair, router: Router) -> None:
    server = pair.bf16
    before = server.gauge("vllm:generation_tokens_total")
    data = request("POST", COMPLETIONS, long(TOKENS, stream=True), pinned(server))

    async def leave() -> None:
        async with call(router.port, data) as under_way:
            await under_way.head()
            assert await under_way.chunk()

    await asyncio.gather(*(leave() for _ in range(MAX_SEQUENCES)))
    await idle(pair, router)
    assert server.gauge("vllm:generation_tokens_total") - before < TOKENS * MAX_SEQUENCES
