from __future__ import annotations

import re

import pytest

from controller.demo.answers import Answer, StreamReader, fault_of
from controller.simulation.latency import Latencies
from tests.fakes.chat_stream import USAGE, WHOLE, event, sse


def read(pieces: list[bytes]) -> Answer:
    answer = Answer(sent_s=0.0, status=200)
    reader = StreamReader(answer, Latencies())
    for at_s, piece in enumerate(pieces):
        reader.feed(piece, float(at_s))
    return answer


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_a_stream_is_read_however_it_is_cut(size: int) -> None:
    answer = read([WHOLE[at : at + size] for at in range(0, len(WHOLE), size)])
    assert fault_of(answer, 2) is None
    assert (answer.streamed_tokens, answer.usage_tokens, answer.usage_prompt_tokens) == (2, 2, 9)
    assert (answer.finish_reason, answer.done) == ("length", True)


def test_the_first_event_without_text_is_no_token() -> None:
    answer = read([event(""), event(" a"), event(" b")])
    assert (answer.first_token_s, answer.last_token_s) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (WHOLE.replace(b"data: [DONE]\n\n", b""), r"without \[DONE\] after 2 of 2"),
        (WHOLE.replace(USAGE, b""), "without a usage event"),
        (WHOLE.replace(event(" a"), b""), "2 tokens were asked for, 1 streamed, 2 in the usage"),
        (WHOLE.replace(b'"completion_tokens": 2', b'"completion_tokens": 3'), "2 streamed, 3 in the usage"),
        (event(" a") + sse({"error": {"message": "engine died"}}) + b"data: [DONE]\n\n", "told an error.*engine died"),
        (b"data: {not json}\n\n" + WHOLE, "not what it should be"),
        (b"", r"without \[DONE\] after 0 of 2"),
    ],
)
def test_a_broken_stream_is_not_taken_for_whole(body: bytes, told: str) -> None:
    fault = fault_of(read([body]), 2)
    assert fault is not None
    assert re.search(told, fault)


def test_a_refusal_is_no_whole_answer() -> None:
    assert fault_of(Answer(0.0, status=503, error_text="busy"), 2) == "status 503: busy"
