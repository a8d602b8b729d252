from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.simulation import tokenizer
from controller.simulation.emulator import Emulator
from tests.fakes.emulated import MODEL, emulated, instance

TOKENIZED = {"count": 2, "max_model_len": 100_000, "tokens": [0, 1], "token_strs": None}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 4, "ignore_eos": True}


def url(emulator: Emulator, path: str, name: str = "bf16-0") -> str:
    return f"http://127.0.0.1:{emulator.ports[name]}{path}"


def client(emulator: Emulator, key: str = "none") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=url(emulator, "/v1"), api_key=key, max_retries=0)


async def call(emulator: Emulator, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, url(emulator, path), json=body) as response:
        assert response.headers["x-wattroute-emulated"] == "1"
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def test_the_official_client_gets_whole_answers() -> None:
    async with emulated() as emulator, client(emulator) as api:
        answer = await api.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=7, extra_body={"ignore_eos": True}
        )
        completion = await api.completions.create(model=MODEL, prompt="a b c", max_tokens=3)
        models = await api.models.list()
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (8, 7)
    assert len((answer.choices[0].message.content or "").split()) == 7
    assert answer.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 3
    assert [model.id for model in models.data] == [MODEL]
    assert models.data[0].owned_by == "wattroute-emulator"


async def test_the_official_client_gets_streams() -> None:
    async with emulated() as emulator, client(emulator) as api:
        stream = await api.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": tokenizer.chat_words(100)}],
            max_completion_tokens=25,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )
        chunks = [chunk async for chunk in stream]
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert words[0] == ""
    assert len([word for word in words if word]) == 25
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (100, 25)


async def test_many_streams_at_once_all_get_their_tokens() -> None:
    async def one(session: aiohttp.ClientSession, tokens: int) -> int:
        body = CHAT | {"max_tokens": tokens, "stream": True}
        async with session.post(url(emulator, "/v1/chat/completions"), json=body) as response:
            text = await response.text()
        assert text.endswith("data: [DONE]\n\n")
        return text.count('"content":" ')

    connector = aiohttp.TCPConnector(limit=0)
    async with emulated() as emulator, aiohttp.ClientSession(connector=connector) as session:
        asked = [5 + n % 40 for n in range(300)]
        assert await asyncio.gather(*(one(session, tokens) for tokens in asked)) == asked
        physics = emulator.engine("bf16-0").physics
        assert (physics.generation_tokens, physics.kv_cache_usage_frac) == (sum(asked), 0)


async def test_errors_reach_the_official_client_as_its_own() -> None:
    async with emulated() as emulator, client(emulator) as api:
        with pytest.raises(openai.NotFoundError, match="The model `nope` does not exist"):
            await api.chat.completions.create(model="nope", messages=[])
        with pytest.raises(openai.BadRequestError, match="max_tokens must be at least 1"):
            await api.chat.completions.create(model=MODEL, messages=[], max_tokens=-1)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("GET", "/health", None, 200, None),
        ("GET", "/ping", None, 200, None),
        ("POST", "/ping", None, 200, None),
        ("GET", "/version", None, 200, {"version": "0.32.0", "emulated": True}),
        ("GET", "/load", None, 200, {"server_load": 0}),
        ("GET", "/nosuch", None, 404, {"detail": "Not Found"}),
        ("GET", "/", None, 404, {"detail": "Not Found"}),
        ("GET", "/v1/chat/completions", None, 405, {"detail": "Method Not Allowed"}),
        ("POST", "/tokenize", {"prompt": "baba bedi"}, 200, TOKENIZED),
        ("POST", "/detokenize", {"tokens": [0, 1]}, 200, {"prompt": "baba bedi"}),
        ("GET", "/is_sleeping", None, 200, {"is_sleeping": False}),
        ("GET", "/is_paused", None, 200, {"is_paused": False}),
    ],
)
async def test_simple_paths(method: str, path: str, body: Any, status: int, answer: Any) -> None:
    async with emulated() as emulator:
        assert await call(emulator, method, path, body) == (status, answer)


async def test_tokenize_counts_as_generation_does() -> None:
    async with emulated() as emulator:
        _, counted = await call(emulator, "POST", "/tokenize", {"messages": CHAT["messages"]})
        _, answer = await call(emulator, "POST", "/v1/chat/completions", CHAT)
        _, pieces = await call(emulator, "POST", "/tokenize", {"prompt": "longword a", "return_token_strs": True})
    assert counted["count"] == len(counted["tokens"]) == answer["usage"]["prompt_tokens"]
    assert pieces["token_strs"] == ["long", "word", "a"]


@pytest.mark.parametrize(("path", "body"), [("/tokenize", {}), ("/detokenize", {"tokens": ["a"]})])
async def test_tokenizer_paths_refuse_bad_input(path: str, body: Any) -> None:
    async with emulated() as emulator:
        status, answer = await call(emulator, "POST", path, body)
    assert (status, answer["error"]["code"]) == (400, 400)


async def test_a_head_request_to_health_is_not_allowed() -> None:
    async with (
        emulated() as emulator,
        aiohttp.ClientSession() as session,
        session.head(url(emulator, "/health")) as response,
    ):
        assert (response.status, response.headers["allow"]) == (405, "GET")


async def test_request_ids_are_taken_over() -> None:
    headers = {"X-Request-Id": "my-req-123"}
    async with emulated() as emulator, aiohttp.ClientSession(headers=headers) as session:
        async with session.post(url(emulator, "/v1/chat/completions"), json=CHAT) as response:
            assert (await response.json())["id"] == "chatcmpl-my-req-123"
        async with session.post(url(emulator, "/v1/completions"), json={"prompt": "x"}) as response:
            assert (await response.json())["id"] == "cmpl-my-req-123"


async def test_the_api_key_guards_v1_only() -> None:
    async with emulated(instance(api_key="sk-test")) as emulator:
        assert await call(emulator, "GET", "/v1/models") == (401, {"error": "Unauthorized"})
        assert (await call(emulator, "GET", "/health"))[0] == 200
        async with client(emulator, "sk-test") as api:
            assert len((await api.models.list()).data) == 1
        with pytest.raises(openai.AuthenticationError):
            async with client(emulator, "sk-wrong") as api:
                await api.models.list()


async def test_a_full_queue_refuses_and_counts() -> None:
    async with emulated(instance(max_num_queued_reqs=1)) as emulator, aiohttp.ClientSession() as session:
        long = CHAT | {"max_tokens": 50_000, "stream": True}
        async with session.post(url(emulator, "/v1/chat/completions"), json=long) as response:
            assert response.status == 200
            status, answer = await call(emulator, "POST", "/v1/chat/completions", CHAT)
            assert (status, answer["error"]["type"]) == (503, "Service Unavailable")
            assert await call(emulator, "GET", "/load") == (200, {"server_load": 1})
        assert emulator.engine("bf16-0").metrics.rejections == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_is_cancelled(stream: bool) -> None:
    async with emulated() as emulator:
        engine = emulator.engine("bf16-0")
        body = json.dumps(CHAT | {"max_tokens": 50_000, "stream": stream}).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", emulator.ports["bf16-0"])
        writer.write(head.encode() + body)
        while engine.in_flight == 0:
            await asyncio.sleep(0.001)
        writer.close()
        while engine.in_flight:
            await asyncio.sleep(0.001)
        assert engine.physics.running == 0


async def test_sleep_and_wake_over_http() -> None:
    async with emulated() as emulator:
        assert await call(emulator, "POST", "/sleep?level=1&mode=wait") == (200, {"status": "sleeping", "level": 1})
        assert await call(emulator, "GET", "/is_sleeping") == (200, {"is_sleeping": True})
        assert await call(emulator, "GET", "/is_paused") == (200, {"is_paused": True})
        assert await call(emulator, "GET", "/health") == (200, None)
        waiting = asyncio.create_task(call(emulator, "POST", "/v1/chat/completions", CHAT))
        while emulator.engine("bf16-0").in_flight == 0:
            await asyncio.sleep(0.001)
        assert await call(emulator, "POST", "/wake_up") == (200, {"status": "awake", "tags": None})
        assert (await waiting)[0] == 200
        assert await call(emulator, "GET", "/is_sleeping") == (200, {"is_sleeping": False})


GREEDY: dict[str, Any] = {**CHAT, "temperature": 0}


async def test_weights_that_level_2_dropped_have_to_be_read_anew() -> None:
    reload = {"method": "reload_weights"}
    async with emulated() as emulator:

        async def said() -> str:
            status, answer = await call(emulator, "POST", "/v1/chat/completions", GREEDY)
            assert status == 200
            return str(answer["choices"][0]["message"]["content"])

        async def is_asleep() -> bool:
            return bool((await call(emulator, "GET", "/is_sleeping"))[1]["is_sleeping"])

        assert (await call(emulator, "POST", "/sleep?level=2"))[0] == 200
        assert (await call(emulator, "POST", "/collective_rpc", reload))[0] == 500
        assert (await call(emulator, "POST", "/wake_up"))[0] == 200
        assert emulator.engine("bf16-0").is_broken
        assert len({await said() for _ in range(4)}) > 1, "status 200, and nonsense"
        assert (await call(emulator, "POST", "/sleep?level=2"))[0] == 200
        assert await call(emulator, "POST", "/wake_up?tags=weights") == (200, {"status": "awake", "tags": ["weights"]})
        assert await call(emulator, "POST", "/collective_rpc", reload) == (200, {"results": [None] * 2})
        assert await is_asleep()
        assert (await call(emulator, "POST", "/wake_up?tags=kv_cache"))[0] == 200
        assert not await is_asleep()
        assert not emulator.engine("bf16-0").is_broken
        assert (await call(emulator, "POST", "/collective_rpc", {"method": "x"}))[0] == 400


async def test_pause_and_resume_over_http() -> None:
    async with emulated() as emulator:
        assert await call(emulator, "POST", "/pause?mode=keep") == (200, {"status": "paused"})
        assert await call(emulator, "GET", "/is_paused") == (200, {"is_paused": True})
        assert await call(emulator, "POST", "/resume") == (200, {"status": "resumed"})
        assert (await call(emulator, "POST", "/v1/chat/completions", CHAT))[0] == 200


@pytest.mark.parametrize("path", ["/sleep?level=7", "/sleep?mode=never", "/pause?mode="])
async def test_unknown_modes_are_refused(path: str) -> None:
    async with emulated() as emulator:
        status, answer = await call(emulator, "POST", path)
        if path.endswith("="):
            assert status == 200  # an empty parameter counts as absent
        else:
            assert (status, answer["error"]["type"]) == (400, "BadRequestError")


async def test_metrics_are_those_of_a_vllm_server() -> None:
    async with emulated() as emulator, aiohttp.ClientSession() as session:
        await call(emulator, "POST", "/v1/chat/completions", CHAT)
        async with session.get(url(emulator, "/metrics")) as response:
            families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    expected = {
        "vllm:num_requests_running": "gauge",
        "vllm:num_requests_waiting": "gauge",
        "vllm:num_requests_waiting_by_reason": "gauge",
        "vllm:kv_cache_usage_perc": "gauge",
        "vllm:engine_sleep_state": "gauge",
        "vllm:prompt_tokens": "counter",
        "vllm:generation_tokens": "counter",
        "vllm:request_success": "counter",
        "vllm:num_preemptions": "counter",
        "vllm:admission_rejections": "counter",
        "vllm:time_to_first_token_seconds": "histogram",
        "vllm:inter_token_latency_seconds": "histogram",
        "vllm:e2e_request_latency_seconds": "histogram",
        "wattroute_emulator_info": "gauge",
    }
    assert {name: families[name].type for name in expected} == expected
    tokens = next(sample for sample in families["vllm:generation_tokens"].samples if sample.name.endswith("_total"))
    assert (tokens.value, tokens.labels) == (4.0, {"engine": "0", "model_name": MODEL})
