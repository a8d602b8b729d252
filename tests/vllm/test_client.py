"""The official client, synchronous and asynchronous, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.vllm.router import Router
from tests.vllm.servers import MODEL, Pair

pytestmark = pytest.mark.vllm

MESSAGES: list[Any] = [{"role": "user", "content": "def hello(self):"}]
CHAT: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "temperature": 0, "max_tokens": 8}


@pytest.fixture
async def client(router: Router) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{router.url}/v1", api_key="k", max_retries=0) as found:
        yield found


async def text_of(stream: Any) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def test_plain_and_streamed_say_the_same(client: openai.AsyncOpenAI) -> None:
    pinned = {"x-wattroute-precision": "int8"}
    raw = await client.chat.completions.with_raw_response.create(**CHAT, extra_headers=pinned)
    assert raw.headers["x-wattroute-pool"] == "int8"
    plain = raw.parse()
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 8
    stream = await client.chat.completions.create(**CHAT, stream=True, extra_headers=pinned)
    assert await text_of(stream) == plain.choices[0].message.content


async def test_usage_ends_a_stream_that_asks_for_it(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8


async def test_many_streams_at_once(client: openai.AsyncOpenAI) -> None:
    async def one() -> str:
        return await text_of(await client.chat.completions.create(**CHAT, stream=True))

    texts = await asyncio.gather(*(one() for _ in range(12)))
    assert all(texts)
    # Each of the two models has one answer.
    assert len(set(texts)) <= 2


async def test_completions_models_and_responses(client: openai.AsyncOpenAI) -> None:
    completion = await client.completions.create(model=MODEL, prompt="x", max_tokens=3)
    assert completion.choices[0].finish_reason == "length"
    assert {model.id async for model in await client.models.list()} == {MODEL, f"{MODEL}-bf16", f"{MODEL}-int8"}
    response = await client.responses.create(model=MODEL, input="hello", max_output_tokens=16)
    assert response.output_text
    stream = await client.responses.create(model=MODEL, input="hello", max_output_tokens=16, stream=True)
    assert [event.type async for event in stream][-1] == "response.completed"


async def test_errors_are_those_the_client_knows(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(**{**CHAT, "model": "nope"})
    assert unknown.value.body["param"] == "model"
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(**{**CHAT, "max_tokens": 100_000})


async def test_the_synchronous_client(pair: Pair, router: Router) -> None:
    def talk() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=f"{router.url}/v1", api_key="k", max_retries=0) as client:
            plain = client.chat.completions.create(**{**CHAT, "model": f"{MODEL}@bf16"})
            stream = client.chat.completions.create(**{**CHAT, "model": f"{MODEL}@bf16"}, stream=True)
            return plain.choices[0].message.content, "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    plain, streamed = await asyncio.to_thread(talk)
    assert plain == streamed
