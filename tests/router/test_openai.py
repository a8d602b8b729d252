"""Facts of requests, and usage at the tail of answers as vLLM writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.openai import (
    PREFIX_BYTES,
    RequestFacts,
    Usage,
    error_body,
    read_facts,
    read_facts_and_prefix,
    usage_in_tail,
    with_model,
)


def facts_of(**members: Any) -> RequestFacts:
    return read_facts(json.dumps(members).encode())


def test_the_fields_of_a_chat_request_are_read() -> None:
    body = json.dumps(
        {
            "model": "qwen@fp8",
            "messages": [{"role": "user", "content": 'say "model": "x", \\" and ☃'}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 64,
            "service_tier": "flex",
            "user": "u-1",
        }
    ).encode()
    assert read_facts(body) == RequestFacts(
        model="qwen@fp8",
        stream=True,
        include_usage=True,
        max_tokens=64,
        service_tier="flex",
        session_key="u-1",
        body_bytes=len(body),
        valid=True,
    )


def test_a_bare_object_is_valid_and_says_nothing() -> None:
    assert read_facts(bytearray(b" {} ")) == RequestFacts(body_bytes=4, valid=True)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"model": }', b"\xff\xfe", b'{"a":1}x', b"--boundary\r\n", b"[" * 300_000],
    ids=repr,
)
def test_what_is_no_json_object_is_marked_and_never_raises(body: bytes) -> None:
    assert read_facts(body) == RequestFacts(body_bytes=len(body))


def test_a_deeply_nested_prompt_never_raises() -> None:
    body = b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert read_facts(body).body_bytes == len(body)


def test_a_field_of_the_wrong_type_does_not_hide_the_others() -> None:
    facts = facts_of(model=7, stream="yes", stream_options=[1], max_tokens="9", service_tier="flex", user={"a": 1})
    assert facts == RequestFacts(service_tier="flex", body_bytes=facts.body_bytes, valid=True)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"max_completion_tokens": 5, "max_tokens": 9}, 5),
        ({"max_completion_tokens": None, "max_tokens": 9}, 9),
        ({"max_output_tokens": 3}, 3),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": -1}, None),
        ({"max_tokens": True}, None),
        ({}, None),
    ],
)
def test_the_most_output_tokens(members: dict[str, Any], expected: int | None) -> None:
    assert facts_of(**members).max_tokens == expected


def test_the_cache_key_names_the_session_before_the_user() -> None:
    assert facts_of(user="u", prompt_cache_key="k").session_key == "k"
    assert facts_of(user="", prompt_cache_key="").session_key is None


def test_the_last_of_two_equal_members_counts_as_in_the_engine() -> None:
    assert read_facts(b'{"model":"a","model":"b"}').model == "b"


SYSTEM = {"role": "system", "content": "You are helpful. " * 20}
QUESTION = {"role": "user", "content": "Why is the sky blue?"}
ANSWER = {"content": "Because of Rayleigh.", "role": "assistant"}
FOLLOW_UP = {"role": "user", "content": [{"type": "text", "text": "And at sunset?"}]}


def prefix_of(*, pretty: bool = False, **members: Any) -> int | None:
    return read_facts_and_prefix(json.dumps(members, indent=2 if pretty else None).encode()).prefix


@pytest.mark.parametrize("size", [1, 50, 2 * PREFIX_BYTES])
def test_all_turns_of_a_chat_have_one_position(size: int) -> None:
    question = {**QUESTION, "content": "why " * size}
    first = prefix_of(messages=[SYSTEM, question])
    assert first is not None
    assert prefix_of(messages=[SYSTEM, question, ANSWER, FOLLOW_UP]) == first
    assert prefix_of(messages=[SYSTEM, question, ANSWER, FOLLOW_UP, ANSWER, QUESTION], stream=True) == first
    assert prefix_of(pretty=True, messages=[SYSTEM, question, ANSWER]) == first


def test_chats_that_begin_otherwise_have_other_positions() -> None:
    other_system, other_question = {**SYSTEM, "content": "Be terse."}, {**QUESTION, "content": "Why not?"}
    found = [
        prefix_of(messages=messages)
        for messages in ([SYSTEM, QUESTION], [other_system, QUESTION], [SYSTEM, other_question], [QUESTION], [SYSTEM])
    ]
    assert None not in found
    assert len(set(found)) == len(found)


def test_what_follows_the_first_two_kilobytes_of_a_message_tells_nothing() -> None:
    long = "x" * PREFIX_BYTES
    assert prefix_of(messages=[{"role": "user", "content": long + "a"}]) == prefix_of(
        messages=[{"role": "user", "content": long + "b"}]
    )


@pytest.mark.parametrize("key", ["prompt", "input"])
def test_other_prompts_are_told_apart_by_their_beginning(key: str) -> None:
    long = "once upon a time " * 200
    assert prefix_of(**{key: long + "a"}) == prefix_of(**{key: long + "b"}) is not None
    assert prefix_of(**{key: "a"}) != prefix_of(**{key: "b"})
    assert prefix_of(**{key: [1, 2, 3]}) != prefix_of(**{key: [1, 2, 4]})
    assert prefix_of(**{key: ["a", "b"]}) is not None


def test_the_messages_of_a_response_are_read_as_those_of_a_chat() -> None:
    assert prefix_of(input=[SYSTEM, QUESTION]) == prefix_of(input=[SYSTEM, QUESTION, ANSWER, FOLLOW_UP])
    assert prefix_of(input=[SYSTEM, QUESTION]) == prefix_of(messages=[SYSTEM, QUESTION])


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"messages": []},
        {"messages": "hi"},
        {"messages": [1]},
        {"messages": [{"role": 1, "content": "x"}]},
        {"messages": None},
    ],
    ids=repr,
)
def test_where_there_is_no_prompt_there_is_no_position_and_nothing_else_is_hidden(members: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", "max_tokens": 3, **members}).encode()
    assert read_facts_and_prefix(body) == read_facts(body)
    assert read_facts_and_prefix(body).max_tokens == 3


def test_messages_without_content_do_no_harm() -> None:
    assert prefix_of(messages=[{"role": "user"}, {"content": None}]) is not None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b'{"messages":' + b"[" * 100_000], ids=lambda body: body[:9]
)
def test_reading_the_prefix_never_raises(body: bytes) -> None:
    assert read_facts_and_prefix(body) == RequestFacts(body_bytes=len(body))


def test_a_buffer_that_was_read_may_grow_again() -> None:
    body = bytearray(json.dumps({"messages": [SYSTEM, QUESTION]}).encode())
    read_facts_and_prefix(body)
    body += b" "


def test_the_model_is_replaced_and_nothing_else() -> None:
    body = (
        b'{"model": "qwen@bf16", "n": 1.50, "messages": [{"content": "\\u2603 \\"model\\": 1e3"}],'
        b'"seed":12345678901234567890}'
    )
    replaced = with_model(body, 'a"b')
    assert json.loads(replaced) == {**json.loads(body), "model": 'a"b'}
    for kept in (b"1.50", b'"\\u2603 \\"model\\": 1e3"', b"12345678901234567890"):
        assert kept in replaced


def test_a_body_that_is_no_object_has_no_model_to_replace() -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        with_model(b"[1]", "m")


STREAM_TAIL = (
    b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"`"},"finish_reason":"length"}]}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795225095,"model":"tiny","choices":[],'
    b'"usage":{"prompt_tokens":19,"total_tokens":27,"completion_tokens":8},"system_fingerprint":"vllm-0.32.0"}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.mark.parametrize(
    "tail",
    [
        STREAM_TAIL,
        STREAM_TAIL[60:],
        bytearray(STREAM_TAIL),
        STREAM_TAIL.replace(b"data: [DONE]", b"\r\ne\r\ndata: [DONE]") + b"\r\n0\r\n\r\n",
        b'{"choices":[],"usage":{"prompt_tokens":19,"total_tokens":27,"completion_tokens":8,'
        b'"prompt_tokens_details":null,"completion_tokens_details":null},"prompt_logprobs":null}',
        b'{"usage": {"prompt_tokens": 19, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 3}}}',
        b'..."usage":{"input_tokens":19,"input_tokens_details":{"cached_tokens":0},"output_tokens":8,"total_tokens":27}',
        b'data: {"usage":{"prompt_tokens":19,"completion_tokens":1}}\n\n'
        b'data: {"usage":{"prompt_tokens":19,"completion_tokens":8}}\n\n',
    ],
    ids=["stream", "cut", "bytearray", "chunk lines", "plain", "details", "responses", "running totals"],
)
def test_usage_is_found(tail: bytes) -> None:
    assert usage_in_tail(tail) == Usage(19, 8)


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"data: [DONE]\n\n",
        b'{"usage":null}',
        b'{"usage":{}}',
        b'{"usage":{"prompt_tokens":19,"completion_to',
        b'{"usage":{"prompt_tokens":-5,"completion_tokens":8}}',
        b'{"usage":{"prompt_tokens":"many","completion_tokens":8}}',
        b'{"usage":{"prompt_tokens":19,"completion_tokens":99999999999999999999999}}',
        b'{"content":"\\"usage\\":{\\"prompt_tokens\\":19,\\"completion_tokens\\":8}"}',
    ],
    ids=repr,
)
def test_no_usage_is_made_up(tail: bytes) -> None:
    assert usage_in_tail(tail) is None


def test_a_missing_half_of_usage_counts_nothing() -> None:
    assert usage_in_tail(b'"usage":{"prompt_tokens":5}') == Usage(5, 0)


def test_errors_have_the_shape_clients_know() -> None:
    assert json.loads(error_body("class 'x' is not configured", type_="BadRequestError", code=400, param="class")) == {
        "error": {"message": "class 'x' is not configured", "type": "BadRequestError", "param": "class", "code": 400}
    }
