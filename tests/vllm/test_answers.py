"""Every form of request is answered through the router as the engine itself answers it, byte for byte."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from tests.fakes.system import get
from tests.vllm.router import Router
from tests.vllm.same import pinned, the_same
from tests.vllm.servers import MAX_LENGTH, MODEL, Pair, Server
from tests.vllm.wire import call, exchange, request

pytestmark = pytest.mark.vllm

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
MESSAGES = [{"role": "user", "content": "def hello(self):"}]
COMMON = {"model": MODEL, "temperature": 0, "max_tokens": 4}
SAMPLED = {**COMMON, "temperature": 1.0, "seed": 3, "n": 2, "max_tokens": 2}
SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 1, "maximum": 9}, "is_new": {"type": "boolean"}},
    "required": ["count", "is_new"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA}}
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
WITH_RUNNING_USAGE = {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {**COMMON, "messages": MESSAGES}),
    "chat n=2": (CHAT, {**SAMPLED, "messages": MESSAGES}),
    "chat logprobs": (CHAT, {**COMMON, "messages": MESSAGES, "logprobs": True, "top_logprobs": 3}),
    "chat stop": (CHAT, {**COMMON, "messages": MESSAGES, "stop": ["t"]}),
    "chat priority": (CHAT, {**COMMON, "messages": MESSAGES, "priority": -5}),
    "chat service tier": (CHAT, {**COMMON, "messages": MESSAGES, "service_tier": "flex"}),
    "chat prompt not ascii": (CHAT, {**COMMON, "messages": [{"role": "user", "content": "Wärme 热 \u2028 😀"}]}),
    "chat unknown field": (CHAT, {**COMMON, "messages": MESSAGES, "no_such_field": 1}),
    "chat without model": (CHAT, {"messages": MESSAGES, "max_tokens": 1, "temperature": 0}),
    "chat token ids": (CHAT, {**COMMON, "messages": MESSAGES, "return_token_ids": True}),
    "chat batch": ("/v1/chat/completions/batch", {**COMMON, "messages": [MESSAGES, MESSAGES]}),
    "completion": (COMPLETIONS, {**COMMON, "prompt": "x"}),
    "completions": (COMPLETIONS, {**COMMON, "prompt": ["x", "y"]}),
    "completion n=2": (COMPLETIONS, {**SAMPLED, "prompt": "x"}),
    "completion logprobs, echo": (COMPLETIONS, {**COMMON, "prompt": "x", "logprobs": 2, "echo": True}),
    "completion cut to what fits": (COMPLETIONS, {**COMMON, "prompt": [300] * (MAX_LENGTH - 6), "max_tokens": 100}),
    "responses": ("/v1/responses", {"model": MODEL, "input": "hello", "max_output_tokens": 4, "temperature": 0}),
    "messages": ("/v1/messages", {**COMMON, "messages": MESSAGES}),
    "invocations": ("/invocations", {**COMMON, "messages": MESSAGES}),
}
STREAMED = {name: body for name, body in CASES.items() if name not in ("chat batch", "completion cut to what fits")}
OTHERS: dict[str, tuple[str, str, Any]] = {
    "count tokens": ("POST", "/v1/messages/count_tokens", {**COMMON, "messages": MESSAGES}),
    "tokenize a prompt": ("POST", "/tokenize", {"model": MODEL, "prompt": "hello", "return_token_strs": True}),
    "tokenize a chat": ("POST", "/tokenize", {"model": MODEL, "messages": MESSAGES}),
    "detokenize": ("POST", "/detokenize", {"model": MODEL, "tokens": [300, 301]}),
    "version": ("GET", "/version", None),
    "ping": ("GET", "/ping", None),
    "posted ping": ("POST", "/ping", None),
    "load": ("GET", "/load", None),
    "OpenAPI": ("GET", "/openapi.json", None),
}


@pytest.fixture(params=["bf16", "int8"])
def server(request: pytest.FixtureRequest, pair: Pair) -> Server:
    return getattr(pair, request.param)


@pytest.mark.parametrize("case", CASES)
async def test_plain(server: Server, router: Router, case: str) -> None:
    answer = await the_same(server, router, "POST", *CASES[case])
    assert answer.status == 200


@pytest.mark.parametrize("case", STREAMED)
@pytest.mark.parametrize("options", [{"stream": True}, WITH_USAGE], ids=["without usage", "with usage"])
async def test_streamed(server: Server, router: Router, case: str, options: dict[str, Any]) -> None:
    target, body = STREAMED[case]
    if target in ("/v1/responses", "/v1/messages"):
        options = {"stream": True}
    answer = await the_same(server, router, "POST", target, {**body, **options})
    assert answer.status == 200
    assert len(answer.events()) >= 2


@pytest.mark.parametrize("case", ["chat", "completion"])
async def test_streamed_with_usage_in_every_event(server: Server, router: Router, case: str) -> None:
    target, body = CASES[case]
    answer = await the_same(server, router, "POST", target, {**body, **WITH_RUNNING_USAGE})
    *events, done = answer.events()
    assert done == b"[DONE]"
    assert all(json.loads(event)["usage"]["prompt_tokens"] > 0 for event in events)


async def test_structured_output(server: Server, router: Router) -> None:
    body = {**COMMON, "messages": MESSAGES, "max_tokens": 40, "response_format": FORMAT}
    answer = await the_same(server, router, "POST", CHAT, body)
    found = json.loads(answer.json()["choices"][0]["message"]["content"])
    assert found.keys() == {"count", "is_new"}


@pytest.mark.parametrize("case", OTHERS)
async def test_what_is_no_generation(server: Server, router: Router, case: str) -> None:
    answer = await the_same(server, router, *OTHERS[case])
    assert answer.status == 200


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
async def test_the_clients_request_id(server: Server, router: Router, is_stream: bool) -> None:
    target, body = CASES["chat"]
    answer = await the_same(server, router, "POST", target, {**body, "stream": is_stream}, "X-Request-Id: mine-123")
    assert answer.get(b"x-request-id") == b"mine-123"
    assert b'"id":"chatcmpl-mine-123"' in answer.body


@pytest.mark.parametrize("form", ["JSON", "TEXT"])
async def test_load_reported_in_a_header(server: Server, router: Router, form: str) -> None:
    answer = await the_same(server, router, "POST", *CASES["chat"], f"endpoint-load-metrics-format: {form}")
    assert b"kv_cache_usage_perc" in (answer.get(b"endpoint-load-metrics") or b"")


async def test_a_precision_pinned_by_the_models_name(server: Server, router: Router) -> None:
    target, body = CASES["chat"]
    expected = await exchange(server.port, request("POST", target, body))
    found = await exchange(router.port, request("POST", target, {**body, "model": f"{MODEL}@{server.name}"}))
    assert found.get(b"x-wattroute-pool") == server.name.encode()
    assert found.same() == expected.same()


async def test_a_client_that_waits_for_100_continue(server: Server, router: Router) -> None:
    target, document = CASES["chat"]
    head, _, body = request("POST", target, document, pinned(server), "Expect: 100-continue").partition(b"\r\n\r\n")
    answers = []
    for port in (server.port, router.port):
        async with call(port, head + b"\r\n\r\n") as under_way:
            assert (await under_way.head()).status == 100
            await under_way.send(body)
            answers.append((await under_way.rest()).same())
    assert answers[0] == answers[1]


async def test_a_body_in_chunks(server: Server, router: Router) -> None:
    target, document = CASES["chat"]
    whole = request("POST", target, document, pinned(server))
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:], b""))
    chunked = b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", chunks])
    expected, found = await exchange(server.port, whole), await exchange(router.port, chunked)
    assert found.same() == expected.same()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compressed_body_is_unpacked_for_the_engine(server: Server, router: Router, coding: str) -> None:
    """vLLM itself refuses it."""
    target, document = CASES["chat"]
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}[coding]
    fields = (pinned(server), "Content-Type: application/json", f"Content-Encoding: {coding}")
    packed = request("POST", target, pack(json.dumps(document).encode()), *fields)
    assert (await exchange(server.port, packed)).status == 400
    expected, found = (
        await exchange(server.port, request("POST", target, document)),
        await exchange(router.port, packed),
    )
    assert found.status == 200
    assert found.same() == expected.same()


async def test_the_models_of_both_pools_in_one_list(pair: Pair, router: Router) -> None:
    lists = [(await exchange(port, request("GET", "/v1/models"))).json() for port in (pair.bf16.port, pair.int8.port)]
    answer = await exchange(router.port, request("GET", "/v1/models"))
    assert answer.status == 200
    merged = answer.json()
    assert [model["id"] for model in merged["data"]] == [MODEL, f"{MODEL}-bf16", f"{MODEL}-int8"]
    own = {model["id"]: model for found in reversed(lists) for model in found["data"]}
    for model in merged["data"]:
        expected = own[model["id"]]
        assert model.keys() == expected.keys()
        assert (model["root"], model["max_model_len"]) == (expected["root"], expected["max_model_len"])


async def test_health_is_the_routers_own(pair: Pair, router: Router) -> None:
    assert get(f"{pair.bf16.url}/health") == (200, b"")
    assert get(f"{router.url}/health") == (200, b'{"status":"ok"}')
