"""What an engine refuses, the client sees as the engine said it, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vllm.load import filled
from tests.vllm.router import Router
from tests.vllm.same import the_same
from tests.vllm.servers import MAX_LENGTH, MODEL, Pair
from tests.vllm.wire import exchange, request

pytestmark = pytest.mark.vllm

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
MESSAGES = [{"role": "user", "content": "def hello(self):"}]
BODY = {"model": MODEL, "messages": MESSAGES, "max_tokens": 1}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
JSON = "Content-Type: application/json"
TOO_LONG = "hello " * (MAX_LENGTH + 10)
TOO_LONG_CHAT = {**BODY, "messages": [{"role": "user", "content": TOO_LONG}]}

REFUSED: dict[str, tuple[int, str, str, Any, tuple[str, ...]]] = {
    "bad JSON": (400, "POST", CHAT, b'{"model": "tiny", ', (JSON,)),
    "not UTF-8": (400, "POST", CHAT, b'{"model": "\xff"}', (JSON,)),
    "no object": (400, "POST", CHAT, b"[1]", (JSON,)),
    "no body": (400, "POST", CHAT, b"", (JSON,)),
    "unknown model": (404, "POST", CHAT, {**BODY, "model": "nope"}, ()),
    "unknown model, stream": (404, "POST", CHAT, {**BODY, "model": "nope", "stream": True}, ()),
    "unknown model, completions": (404, "POST", COMPLETIONS, {"model": "nope", "prompt": "x"}, ()),
    "unknown model, responses": (404, "POST", RESPONSES, {"model": "nope", "input": "x"}, ()),
    "unknown model, messages": (404, "POST", "/v1/messages", {**BODY, "model": "nope"}, ()),
    "too long": (400, "POST", CHAT, TOO_LONG_CHAT, ()),
    "too long, completions": (400, "POST", COMPLETIONS, {"model": MODEL, "prompt": TOO_LONG}, ()),
    "too long, messages": (
        400,
        "POST",
        "/v1/messages",
        {**BODY, "messages": [{"role": "user", "content": TOO_LONG}]},
        (),
    ),
    "max_tokens too large": (400, "POST", CHAT, {**BODY, "max_tokens": 100_000}, ()),
    "max_tokens negative": (400, "POST", CHAT, {**BODY, "max_tokens": -1}, ()),
    "no messages": (400, "POST", CHAT, {"model": MODEL}, ()),
    "wrong type": (400, "POST", CHAT, {**BODY, "temperature": "hot"}, ()),
    "wrong type of what the router reads": (400, "POST", CHAT, {**BODY, "model": 7, "stream": "perhaps"}, ()),
    "no content type": (400, "POST", CHAT, json.dumps(BODY).encode(), ()),
    "wrong content type": (400, "POST", CHAT, json.dumps(BODY).encode(), ("Content-Type: text/plain",)),
    "tools without parser": (400, "POST", CHAT, {**BODY, "tools": [TOOL]}, ()),
    "stream options without stream": (400, "POST", CHAT, {**BODY, "stream_options": {"include_usage": True}}, ()),
    "impossible schema": (
        400,
        "POST",
        CHAT,
        {**BODY, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nope"}}}},
        (),
    ),
    "unknown answer": (404, "GET", "/v1/responses/resp_0", None, ()),
    "unknown path": (404, "GET", "/no/such/path", None, ()),
    "root": (404, "GET", "/", None, ()),
    "posted to an unknown path": (404, "POST", "/no/such/path", BODY, ()),
    "no embeddings here": (404, "POST", "/v1/embeddings", {"model": MODEL, "input": "x"}, ()),
    "wrong method": (405, "GET", CHAT, None, ()),
    "unknown method": (400, "FROBNICATE", "/version", None, ()),
    "HEAD": (405, "HEAD", "/version", None, ()),
    "OPTIONS": (405, "OPTIONS", CHAT, None, ()),
    "foreign origin": (400, "OPTIONS", CHAT, None, ("Origin: http://x", "Access-Control-Request-Method: POST")),
    "feature that is off": (403, "POST", "/v1/chat/completions/render", BODY, ()),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refused_as_by_the_engine(pair: Pair, router: Router, case: str) -> None:
    status, method, target, body, fields = REFUSED[case]
    answer = await the_same(pair.bf16, router, method, target, body, *fields)
    assert answer.status == status


@pytest.mark.parametrize("server", ["bf16", "int8"])
async def test_a_refusal_carries_the_clients_request_id(pair: Pair, router: Router, server: str) -> None:
    body = {**BODY, "model": "nope"}
    answer = await the_same(getattr(pair, server), router, "POST", CHAT, body, "X-Request-Id: mine-123")
    assert answer.get(b"x-request-id") == b"mine-123"


async def test_an_engine_that_is_full(pair: Pair, router: Router) -> None:
    """Pinned to it, the client gets the engine's own refusal; otherwise another pool answers."""
    async with filled(pair.int8, 16):
        answer = await the_same(pair.int8, router, "POST", CHAT, BODY)
        assert answer.status == 503
        assert b"currently busy" in answer.body
        answers = [await exchange(router.port, request("POST", CHAT, BODY)) for _ in range(4)]
        assert {(found.status, found.get(b"x-wattroute-pool")) for found in answers} == {(200, b"bf16")}


async def test_a_compressed_body_that_cannot_be_unpacked(pair: Pair, router: Router) -> None:
    """Refused by the router, in the form of the engine's errors."""
    for coding, status, reason in (("gzip", 400, b"bad_request"), ("br", 415, b"unsupported_coding")):
        fields = (JSON, f"Content-Encoding: {coding}")
        answer = await exchange(router.port, request("POST", CHAT, json.dumps(BODY).encode(), *fields))
        assert (answer.status, answer.get(b"x-wattroute-reason")) == (status, reason)
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
