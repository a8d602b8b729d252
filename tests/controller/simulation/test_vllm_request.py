from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from controller.simulation.vllm_errors import ApiError
from controller.simulation.vllm_request import (
    GenerationRequest,
    ServedModel,
    answer_tokens,
    parse_chat,
    parse_completion,
    parse_json,
)

SERVED = ServedModel("tiny", "tiny@bf16", 512)
CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "hello there"}]}


def message(error: ApiError) -> str:
    return str(json.loads(error.body)["error"]["message"])


def chat(**fields: Any) -> GenerationRequest:
    return parse_chat(CHAT | fields, SERVED)


def test_defaults_of_a_chat() -> None:
    request = chat()
    assert request.prompt_tokens == (4 + 4 + 3,)
    assert (request.n, request.max_tokens, request.stream, request.ignore_eos) == (1, (512 - 11,), False, False)
    assert request.wanted_max_tokens is None


def test_fields_are_read() -> None:
    request = chat(
        max_tokens=9,
        max_completion_tokens=7,
        n=2,
        seed=3,
        min_tokens=2,
        ignore_eos=True,
        stream=True,
        stream_options={"include_usage": True, "continuous_usage_stats": True},
        nosuchfield=1,
        priority=-5,
    )
    assert (request.max_tokens, request.n, request.seed, request.min_tokens) == ((7,), 2, 3, 2)
    assert request.ignore_eos
    assert request.include_usage
    assert request.continuous_usage


def test_a_limit_beyond_the_context_is_cut_to_what_fits() -> None:
    assert chat(max_tokens=510).max_tokens == (512 - 11,)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [("a b", (2,)), ("", (1,)), (["a", "b c d"], (1, 3)), ([300, 301, 302], (3,)), ([[1, 2], [3]], (2, 1))],
)
def test_prompts_come_in_several_forms(prompt: Any, tokens: tuple[int, ...]) -> None:
    request = parse_completion({"prompt": prompt}, SERVED)
    assert request.prompt_tokens == tokens
    assert request.total_prompt_tokens == sum(tokens)
    assert request.max_tokens == (16,) * len(tokens)


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"model": "nope"}, 404, "The model `nope` does not exist. Valid aliases: tiny."),
        ({"messages": None}, 400, "'loc': 'body.messages', 'msg': 'Field required'"),
        ({"messages": "hi"}, 400, "Input should be a valid list"),
        ({"max_tokens": -1}, 400, "max_tokens must be at least 1, got -1. (parameter=max_tokens, value=-1)"),
        ({"max_tokens": 100000}, 400, "max_tokens=100000 cannot be greater than max_model_len=512. Please request"),
        ({"temperature": "hot"}, 400, "'type': 'float_parsing', 'loc': 'body.temperature'"),
        ({"max_tokens": "many"}, 400, "'type': 'int_parsing', 'loc': 'body.max_tokens'"),
        ({"stream": "yes"}, 400, "'type': 'bool_parsing', 'loc': 'body.stream'"),
        ({"n": 0}, 400, "n must be between 1 and 128, got 0."),
        ({"n": 1000}, 400, "n must be between 1 and 128"),
        ({"min_tokens": 9, "max_tokens": 3}, 400, "min_tokens must be between 0 and max_tokens=3, got 9."),
        ({"stream_options": {"include_usage": True}}, 400, "Stream options can only be defined when `stream=True`."),
        ({"stream": True, "stream_options": "x"}, 400, "instance of StreamOptions"),
        ({"tools": [{"type": "function"}]}, 400, '"auto" tool choice requires --enable-auto-tool-choice'),
        ({"logprobs": True}, 400, "logprobs is not emulated"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format is not emulated"),
        ({"messages": [{"role": "user", "content": "a " * 600}]}, 400, "prompt contains at least 513 input tokens"),
    ],
)
def test_bad_values_are_refused_as_vllm_does(fields: dict[str, Any], status: int, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        chat(**fields)
    assert caught.value.status == status
    assert text in message(caught.value)


@pytest.mark.parametrize("prompt", [None, 5, [], [True], [[]], {"a": 1}])
def test_bad_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(ApiError) as caught:
        parse_completion({"prompt": prompt}, SERVED)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("", b"{}", "Unsupported Media Type"),
        ("text/plain", b"{}", "Unsupported Media Type"),
        ("application/json", b"", "'loc': 'body', 'msg': 'Field required', 'input': 'None'"),
        (
            "application/json",
            b'{"model": "tiny", ',
            "{'type': 'json_invalid', 'loc': 'body.18', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', "
            "'ctx': {'error': 'Expecting property name enclosed in double quotes'}}",
        ),
        ("application/json", b"[1, 2]", "'input': '<list of 2 items>'"),
    ],
)
def test_bad_bodies_are_refused_as_vllm_does(content_type: str, body: bytes, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_json(content_type, body)
    assert caught.value.status == 400
    assert text in message(caught.value)


@pytest.mark.parametrize("body", [b"\x1f\x8b\x08\x00\xff", b"[" * 100_000])
def test_unreadable_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse_json("application/json; charset=utf-8", body)
    assert caught.value.body == b'{"detail":"There was an error parsing the body"}'


def test_length_of_answers() -> None:
    rng = Random(1)
    assert answer_tokens(chat(max_tokens=9, ignore_eos=True), 0, SERVED, rng) == (9, "length")
    lengths = [answer_tokens(chat(max_tokens=300, min_tokens=5), 0, SERVED, rng) for _ in range(500)]
    assert {reason for _, reason in lengths} == {"stop", "length"}
    assert all(5 <= length <= 300 for length, _ in lengths)
    assert all((length == 300) == (reason == "length") for length, reason in lengths)
    assert [answer_tokens(chat(), 0, SERVED, Random(4)) for _ in range(2)] == [
        answer_tokens(chat(), 0, SERVED, Random(4))
    ] * 2
