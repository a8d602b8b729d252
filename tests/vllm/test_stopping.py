"""Engines that are stopped or killed under load. Each test ends a server, which the next test starts again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.vllm.load import COMPLETIONS, filled, long
from tests.vllm.router import Router, running_router
from tests.vllm.servers import MAX_SEQUENCES, MODEL, Pair, Server
from tests.vllm.wire import Answer, Call, call, exchange, request

pytestmark = pytest.mark.vllm

LIMITS = {"first_byte_s": 10.0, "inter_chunk_s": 3.0}
PATIENT = LIMITS | {"first_byte_s": 120.0}
"""Where an answer is waited for to its end, on however slow a machine."""
SHORT = 400
"""Tokens of an answer that comes well within the time for a first byte, though not at once."""
LONG = 4000
MESSAGES = [{"role": "user", "content": "hello"}]
STREAMS = (
    (COMPLETIONS, long(4, stream=True)),
    ("/v1/chat/completions", {"model": MODEL, "messages": MESSAGES, "max_tokens": 4, "stream": True}),
    ("/v1/messages", {"model": MODEL, "messages": MESSAGES, "max_tokens": 4, "stream": True}),
    # Two events that say nothing of the answer come at once.
    ("/v1/responses", {"model": MODEL, "input": "hello", "max_output_tokens": 4, "stream": True}),
)


def completion(tokens: int, *, is_stream: bool) -> bytes:
    return request("POST", COMPLETIONS, long(tokens, stream=is_stream))


def pool(answer: Answer) -> bytes | None:
    return answer.get(b"x-wattroute-pool")


@contextlib.asynccontextmanager
async def stream_begun(router: Router, server: Server, tokens: int) -> AsyncIterator[Call]:
    async with call(router.port, completion(tokens, is_stream=True)) as under_way:
        assert pool(await under_way.head()) == server.name.encode()
        assert await under_way.chunk()
        yield under_way


async def others_are_served(router: Router, pool_id: bytes) -> None:
    """New requests, plain and streamed, are answered by the other pool."""
    answers = [await exchange(router.port, completion(4, is_stream=turn % 2 == 1)) for turn in range(10)]
    assert {(answer.status, answer.is_whole, pool(answer)) for answer in answers} == {(200, True, pool_id)}


async def test_a_killed_worker(pair: Pair, tmp_path: Path) -> None:
    server = pair.bf16
    with running_router(tmp_path, pair, prefers="bf16", timeouts=LIMITS) as router:
        async with stream_begun(router, server, LONG) as begun, filled(server, MAX_SEQUENCES - 2, besides=1):
            plain = asyncio.create_task(exchange(router.port, completion(SHORT, is_stream=False)))
            await asyncio.to_thread(server.until, lambda: server.running() == MAX_SEQUENCES, "the plain request runs")
            queued = [asyncio.create_task(exchange(router.port, request("POST", *stream))) for stream in STREAMS]
            await asyncio.to_thread(server.until, lambda: server.waiting() == len(STREAMS), "streams wait")
            server.signal_worker(signal.SIGKILL)
            told = await begun.rest()
            assert await begun.is_closed()
            answers = [await plain, *[await stream for stream in queued]]
        # vLLM itself tells the client of a stream, and then closes it as if it were complete.
        assert json.loads(told.events()[-2])["error"]["code"] == 500
        assert told.events()[-1] == b"[DONE]"
        assert [(answer.status, answer.is_whole, pool(answer)) for answer in answers] == [(200, True, b"int8")] * 5
        assert b'"finish_reason":"length"' in answers[0].body
        assert not [answer.body for answer in answers if b'"error"' in answer.body]
        await others_are_served(router, b"int8")
        await asyncio.to_thread(server.ends)
        router.until({"bf16": "ejected", "int8": "up"})
        await others_are_served(router, b"int8")


def tells_its_end(told: Answer) -> bool:
    """Whether a stream that was cut short says so: by the router where the engine fell silent, else by vLLM itself."""
    *_, before, last = told.events()
    if last == b"[DONE]":
        return told.is_whole and (b'"error":' in before or b'"finish_reason":"abort"' in before)
    return not told.is_whole and json.loads(last)["error"]["code"] == 500


async def test_sigterm_without_time_to_drain(pair: Pair, tmp_path: Path) -> None:
    """vLLM's default, with a worker that stands still. The engine is ended at once. Mostly its connections stay open
    without a further byte; it may also have the time to say that it has failed, or that it aborts what it was asked."""
    server = pair.int8
    with running_router(tmp_path, pair, prefers="int8", timeouts=LIMITS) as router:
        async with stream_begun(router, server, LONG) as begun:
            plain = asyncio.create_task(exchange(router.port, completion(SHORT, is_stream=False)))
            await asyncio.to_thread(server.until, lambda: server.running() == 2, "both run")
            server.signal_worker(signal.SIGSTOP)
            server.ask_to_stop()
            told = await begun.rest()
            assert tells_its_end(told), told
            assert await begun.is_closed()
            answer = await plain
        assert (answer.status, answer.is_whole) == (200, True)
        ended = answer.json()["choices"][0]["finish_reason"]
        assert (pool(answer), ended) in ((b"bf16", "length"), (b"int8", "abort"))
        await others_are_served(router, b"bf16")
        await asyncio.to_thread(server.ends)


async def test_sigterm_with_time_to_drain(pair: Pair, tmp_path: Path) -> None:
    """What is in flight ends in peace; what comes meanwhile gets 500 from the engine, and an answer from another."""
    server = pair.bf16
    with running_router(tmp_path, pair, prefers="bf16", timeouts=PATIENT) as router:
        async with stream_begun(router, server, 1500) as begun:
            plain = asyncio.create_task(exchange(router.port, completion(1500, is_stream=False)))
            await asyncio.to_thread(server.until, lambda: server.running() == 2, "both run")
            server.ask_to_stop()
            await others_are_served(router, b"int8")
            answers = [await begun.rest(), await plain]
        assert [(answer.status, answer.is_whole, pool(answer)) for answer in answers] == [(200, True, b"bf16")] * 2
        assert answers[0].events()[-1] == b"[DONE]"
        assert all(b'"finish_reason":"length"' in answer.body for answer in answers)
        await asyncio.to_thread(server.ends)
        await others_are_served(router, b"int8")
        pair.int8.ask_to_stop()
        await asyncio.to_thread(pair.int8.ends)
        refusal = await exchange(router.port, completion(4, is_stream=True))
    assert refusal.status == 503
    assert refusal.get(b"retry-after") is not None
    assert refusal.get(b"x-wattroute-reason") in (b"engine_unreachable", b"no_instance")
