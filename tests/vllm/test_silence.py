"""Engines that are paused, asleep or full say that they are healthy, and do not answer: no client hangs for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.fakes.system import get
from tests.vllm.load import COMPLETIONS, filled, long
from tests.vllm.router import Router, running_router
from tests.vllm.same import pinned
from tests.vllm.servers import MAX_SEQUENCES, MODEL, Pair, Server
from tests.vllm.wire import Answer, call, exchange, request

pytestmark = pytest.mark.vllm

LIMITS = {"first_byte_s": 3.0, "inter_chunk_s": 3.0}
FORMS = pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])


@pytest.fixture(scope="module")
def _impatient(servers: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    servers.make_ready()
    with running_router(tmp_path_factory.mktemp("impatient"), servers, prefers="bf16", timeouts=LIMITS) as found:
        yield found


@pytest.fixture
def impatient(pair: Pair, _impatient: Router) -> Router:
    """A router that waits seconds for its engines, and prefers BF16."""
    _impatient.until({"bf16": "up", "int8": "up"})
    return _impatient


def completion(tokens: int, *fields: str, is_stream: bool) -> bytes:
    return request("POST", COMPLETIONS, long(tokens, stream=is_stream), *fields)


def is_complete(answer: Answer, *, is_stream: bool) -> bool:
    ending = answer.events()[-1:] == ([b"[DONE]"] if is_stream else [])
    return answer.status == 200 and answer.is_whole and ending and b'"finish_reason":"length"' in answer.body


def seems_healthy(server: Server) -> bool:
    return get(f"{server.url}/health")[0] == 200


@FORMS
async def test_a_paused_engine_before_it_answers(pair: Pair, impatient: Router, is_stream: bool) -> None:
    """Another pool answers; where the client wants this one, it is told within the time for a first byte."""
    pair.bf16.order("/pause?mode=keep")
    assert seems_healthy(pair.bf16)
    free = asyncio.create_task(exchange(impatient.port, completion(4, is_stream=is_stream)))
    bound = asyncio.create_task(exchange(impatient.port, completion(4, pinned(pair.bf16), is_stream=is_stream)))
    answer = await free
    assert is_complete(answer, is_stream=is_stream)
    assert answer.get(b"x-wattroute-pool") == b"int8"
    refusal = await bound
    assert (refusal.status, refusal.get(b"x-wattroute-reason")) == (504, b"engine_timeout")
    assert refusal.json()["error"]["code"] == 504


async def test_a_stream_that_a_pause_stops(pair: Pair, impatient: Router) -> None:
    async with call(impatient.port, completion(4000, is_stream=True)) as under_way:
        assert (await under_way.head()).get(b"x-wattroute-pool") == b"bf16"
        assert await under_way.chunk()
        pair.bf16.order("/pause?mode=keep")
        answer = await under_way.rest()
        assert b'{"error":' in answer.events()[-1]
        assert b"[DONE]" not in answer.body
        assert not answer.is_whole
        assert await under_way.is_closed()
    pair.bf16.order("/resume")
    await asyncio.to_thread(pair.bf16.becomes_idle)


async def test_a_pause_shorter_than_the_limit(pair: Pair, impatient: Router) -> None:
    async with call(impatient.port, completion(300, is_stream=True)) as under_way:
        await under_way.head()
        assert await under_way.chunk()
        pair.bf16.order("/pause?mode=keep")
        late = asyncio.create_task(exchange(impatient.port, completion(4, pinned(pair.bf16), is_stream=False)))
        await asyncio.sleep(0.5)
        assert not late.done()
        pair.bf16.order("/resume")
        assert is_complete(await under_way.rest(), is_stream=True)
        assert is_complete(await late, is_stream=False)


@pytest.mark.parametrize("verb", ["/pause?mode=abort", "/sleep?level=1&mode=abort"])
async def test_what_the_engine_aborts_ends_as_the_engine_ends_it(pair: Pair, impatient: Router, verb: str) -> None:
    plain = asyncio.create_task(exchange(impatient.port, completion(4000, is_stream=False)))
    async with call(impatient.port, completion(4000, is_stream=True)) as under_way:
        await under_way.head()
        assert await under_way.chunk()
        await asyncio.to_thread(pair.bf16.until, lambda: pair.bf16.running() == 2, "both run")
        pair.bf16.order(verb)
        streamed = await under_way.rest()
    assert streamed.is_whole
    assert streamed.events()[-1] == b"[DONE]"
    assert b'"finish_reason":"abort"' in streamed.events()[-2]
    answer = await plain
    assert (answer.status, answer.json()["choices"][0]["finish_reason"]) == (200, "abort")


@pytest.mark.parametrize("level", [0, 1, 2])
async def test_a_sleeping_engine(pair: Pair, impatient: Router, level: int) -> None:
    """It says it is healthy; its metrics say that it sleeps, and the router sends it nothing."""
    pair.bf16.order(f"/sleep?level={level}&mode=abort")
    assert seems_healthy(pair.bf16)
    impatient.until({"bf16": "asleep", "int8": "up"})
    answer = await exchange(impatient.port, completion(4, is_stream=True))
    assert is_complete(answer, is_stream=True)
    assert answer.get(b"x-wattroute-pool") == b"int8"
    refusal = await exchange(impatient.port, completion(4, pinned(pair.bf16), is_stream=True))
    assert (refusal.status, refusal.get(b"x-wattroute-reason")) == (503, b"no_instance")
    pair.bf16.order("/wake_up")
    impatient.until({"bf16": "up"})
    woken = await exchange(impatient.port, completion(4, is_stream=True))
    assert is_complete(woken, is_stream=True)
    assert woken.get(b"x-wattroute-pool") == b"bf16"


@FORMS
async def test_a_request_in_the_engines_queue_moves(pair: Pair, impatient: Router, is_stream: bool) -> None:
    """vLLM says 200 to a stream that only waits: to the client nothing is said before the first token."""
    async with filled(pair.bf16, MAX_SEQUENCES):
        async with call(pair.bf16.port, completion(4, is_stream=True)) as direct:
            assert (await direct.head()).status == 200
        answer = await exchange(impatient.port, completion(4, is_stream=is_stream))
    assert is_complete(answer, is_stream=is_stream)
    assert answer.get(b"x-wattroute-pool") == b"int8"


async def test_a_stream_that_says_it_has_begun_in_the_engines_queue_moves(pair: Pair, impatient: Router) -> None:
    """vLLM sends the first two events of /v1/responses before it admits the request."""
    body = {"model": MODEL, "input": "hello", "max_output_tokens": 4, "stream": True}
    async with filled(pair.bf16, MAX_SEQUENCES):
        async with call(pair.bf16.port, request("POST", "/v1/responses", body)) as direct:
            await direct.head()
            assert b"response.created" in await direct.chunk()
        answer = await exchange(impatient.port, request("POST", "/v1/responses", body))
    assert (answer.status, answer.is_whole, answer.get(b"x-wattroute-pool")) == (200, True, b"int8")
    assert answer.body.count(b"event: response.created") == 1
    assert b"event: response.completed" in answer.body


@FORMS
async def test_a_request_in_the_engines_queue_gets_its_turn(pair: Pair, router: Router, is_stream: bool) -> None:
    async with filled(pair.bf16, MAX_SEQUENCES) as streams:
        waiting = asyncio.create_task(exchange(router.port, completion(4, pinned(pair.bf16), is_stream=is_stream)))
        await asyncio.to_thread(pair.bf16.until, lambda: pair.bf16.waiting() == 1, "it waits")
        assert not waiting.done()
        streams[0].leave()
        answer = await waiting
    assert is_complete(answer, is_stream=is_stream)
    assert answer.get(b"x-wattroute-pool") == b"bf16"
