# Captured lines are kept whole.
# ruff: noqa: E501
from __future__ import annotations

import json

import pytest

from controller.simulation import vllm_errors
from controller.simulation.vllm_errors import ApiError

CAPTURED = {
    "missing": (
        vllm_errors.invalid("body.messages", "missing", "Field required", "<dict of 1 items>"),
        400,
        r"""{"error":{"message":"1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', 'input': '<dict of 1 items>'}","type":"Bad Request","param":"body.messages","code":400}}""",
    ),
    "unknown model": (
        vllm_errors.unknown_model("nope", "tiny"),
        404,
        '{"error":{"message":"The model `nope` does not exist. Valid aliases: tiny.","type":"NotFoundError","param":"model","code":404}}',
    ),
    "too long": (
        vllm_errors.too_long(512),
        400,
        '{"error":{"message":"This model\'s maximum context length is 512 tokens. However, your prompt contains at least 513 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=513)","type":"BadRequestError","param":"input_tokens","code":400}}',
    ),
    "media type": (
        vllm_errors.unsupported_media_type(),
        400,
        r"""{"error":{"message":"1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed","type":"Bad Request","param":null,"code":400}}""",
    ),
    "overloaded": (
        vllm_errors.overloaded(),
        503,
        '{"error":{"message":"The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.","type":"Service Unavailable","param":null,"code":503}}',
    ),
    "key": (vllm_errors.unauthorized(), 401, '{"error":"Unauthorized"}'),
    "path": (vllm_errors.detail(404), 404, '{"detail":"Not Found"}'),
    "method": (vllm_errors.detail(405), 405, '{"detail":"Method Not Allowed"}'),
    "gzip": (vllm_errors.unreadable_body(), 400, '{"detail":"There was an error parsing the body"}'),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_errors_read_as_those_of_a_real_server(name: str) -> None:
    error, status, body = CAPTURED[name]
    assert (error.status, error.body.decode()) == (status, body)


def test_what_is_not_emulated_says_so() -> None:
    error = vllm_errors.not_emulated("logprobs")
    assert isinstance(error, ApiError)
    assert json.loads(error.body)["error"]["param"] == "logprobs"
    assert "not emulated" in str(error)
