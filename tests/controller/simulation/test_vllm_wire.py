# Captured lines are kept whole.
# ruff: noqa: E501
from __future__ import annotations

import json
from dataclasses import replace

import pytest

from controller.simulation import vllm_wire
from controller.simulation.vllm_request import GenerationRequest, ServedModel
from controller.simulation.vllm_wire import Choice, Identity, StreamTemplate

IDENTITY = Identity("chatcmpl-b9c14aeb62abed1f", 1795225095)
CHAT = GenerationRequest(
    chat=True,
    model="tiny",
    prompt_tokens=(19,),
    n=1,
    max_tokens=(8,),
    min_tokens=0,
    ignore_eos=True,
    seed=None,
    stream=True,
    include_usage=False,
    continuous_usage=False,
    wanted_max_tokens=8,
)
TEXT = replace(CHAT, chat=False, prompt_tokens=(7,))
HEAD = 'data: {"id":"chatcmpl-b9c14aeb62abed1f","object":"chat.completion.chunk","created":1795225095,"model":"tiny",'
TEXT_HEAD = 'data: {"id":"chatcmpl-b9c14aeb62abed1f","object":"text_completion","created":1795225095,"model":"tiny",'
PRINT = ',"system_fingerprint":"vllm-0.32.0-emulated"}'


def event(chunk: bytes) -> str:
    """The event in a chunk whose framing is right."""
    size, _, rest = chunk.partition(b"\r\n")
    payload = rest[: int(size, 16)]
    assert rest[int(size, 16) :] == b"\r\n"
    assert payload.endswith(b"\n\n")
    return payload[:-2].decode()


@pytest.mark.parametrize(
    ("request_", "opening", "token", "last"),
    [
        (
            CHAT,
            '"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}',
            '"choices":[{"index":0,"delta":{"content":" abcd"},"logprobs":null,"finish_reason":null,"token_ids":null}]}',
            '"choices":[{"index":0,"delta":{"content":" abcd"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]'
            + PRINT,
        ),
        (
            replace(CHAT, continuous_usage=True, include_usage=True),
            '"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":19,"total_tokens":19,"completion_tokens":0,"completion_tokens_details":null},"prompt_token_ids":null,"prompt_text":null}',
            '"choices":[{"index":0,"delta":{"content":" abcd"},"logprobs":null,"finish_reason":null,"token_ids":null}],"usage":{"prompt_tokens":19,"total_tokens":22,"completion_tokens":3,"completion_tokens_details":null}}',
            '"choices":[{"index":0,"delta":{"content":" abcd"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}],"usage":{"prompt_tokens":19,"total_tokens":22,"completion_tokens":3,"completion_tokens_details":null}}',
        ),
    ],
    ids=["plain", "continuous usage"],
)
def test_chat_events_are_those_of_a_real_server(
    request_: GenerationRequest, opening: str, token: str, last: str
) -> None:
    template = StreamTemplate(request_, IDENTITY, 0)
    assert event(template.opening) == HEAD + opening
    assert event(template.token(b" abcd", 3)) == HEAD + token
    assert event(template.last(b" abcd", "length", 3)) == HEAD + last


def test_completion_events_are_those_of_a_real_server() -> None:
    template = StreamTemplate(TEXT, IDENTITY, 1)
    choice = '"choices":[{"index":1,"text":" abcd","logprobs":null,"finish_reason":%s,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]'
    assert template.opening == b""
    assert event(template.token(b" abcd", 1)) == TEXT_HEAD + choice % "null" + "}"
    assert event(template.last(b" abcd", "stop", 8)) == TEXT_HEAD + choice % '"stop"' + PRINT
    counted = StreamTemplate(replace(TEXT, continuous_usage=True), IDENTITY, 0)
    assert event(counted.token(b" abcd", 3)).endswith(
        '"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3}}'
    )


def test_usage_and_end_of_a_stream() -> None:
    assert event(vllm_wire.usage_event(CHAT, IDENTITY, 8)) == (
        HEAD + '"choices":[],"usage":{"prompt_tokens":19,"total_tokens":27,"completion_tokens":8}' + PRINT
    )
    assert vllm_wire.DONE == b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def test_whole_chat_is_that_of_a_real_server() -> None:
    body = vllm_wire.whole_answer(CHAT, IDENTITY, [Choice(0, 0, 2, "length")]).decode()
    assert body == (
        '{"id":"chatcmpl-b9c14aeb62abed1f","object":"chat.completion","created":1795225095,"model":"tiny","choices":[{"index":0,"message":{"role":"assistant","content":" baba bedi","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"routed_experts":null}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-emulated","usage":{"prompt_tokens":19,"total_tokens":21,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":null},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}'
    )


def test_whole_completion_is_that_of_a_real_server() -> None:
    request = replace(TEXT, prompt_tokens=(1, 1))
    choices = [Choice(0, 0, 1, "length"), Choice(1, 1023, 2, "stop")]
    body = vllm_wire.whole_answer(request, IDENTITY, choices).decode()
    choice = '{"index":%d,"text":"%s","logprobs":null,"finish_reason":"%s","stop_reason":null,"token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null,"routed_experts":null}'
    last = vllm_wire.VOCABULARY[-1]
    assert body == (
        '{"id":"chatcmpl-b9c14aeb62abed1f","object":"text_completion","created":1795225095,"model":"tiny","choices":['
        + choice % (0, " baba", "length")
        + ","
        + choice % (1, f" {last} baba", "stop")
        + '],"service_tier":null,"system_fingerprint":"vllm-0.32.0-emulated","usage":{"prompt_tokens":2,"total_tokens":5,"completion_tokens":3,"prompt_tokens_details":null,"completion_tokens_details":null},"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}'
    )


def test_model_card_has_the_keys_of_a_real_one_and_names_its_owner() -> None:
    card = json.loads(vllm_wire.models(ServedModel("tiny", "tiny@fp8", 512), 1795225095))["data"][0]
    expected = "id object created owned_by root parent max_model_len permission"
    permission = (
        "id object created allow_create_engine allow_sampling allow_logprobs allow_search_indices allow_view "
        "allow_fine_tuning organization group is_blocking"
    )
    assert [*card] == expected.split()
    assert [*card["permission"][0]] == permission.split()
    assert (card["owned_by"], card["root"], card["max_model_len"]) == ("wattroute-emulator", "tiny@fp8", 512)


def test_every_word_is_as_long_as_the_framing_assumes() -> None:
    assert {len(word) for word in vllm_wire.WORDS} == {5}
