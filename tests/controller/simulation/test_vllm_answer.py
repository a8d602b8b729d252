from __future__ import annotations

import json
from typing import Any

from controller.simulation.batch import Sequence
from controller.simulation.vllm_answer import Answer
from controller.simulation.vllm_request import ServedModel, parse_chat
from controller.simulation.vllm_wire import Identity


class Wire:
    """Stands in for the exchange and keeps what was sent."""

    def __init__(self) -> None:
        self.sent = b""
        self.has_ended = False

    def begin_stream(self, content_type: str) -> None:
        self.sent += b"HEAD\n"

    def write(self, data: bytes) -> None:
        self.sent += data

    def end(self, data: bytes) -> None:
        self.sent += data
        self.has_ended = True

    def respond(self, status: int, body: bytes) -> None:
        self.sent = body
        self.has_ended = True


def begin(**fields: Any) -> tuple[Wire, Answer]:
    wire = Wire()
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    answer = Answer(wire, parse_chat(body, ServedModel("m", "m", 100)), Identity("chatcmpl-1", 5))  # type: ignore[arg-type]
    answer.begin()
    return wire, answer


def events(wire: Wire) -> list[Any]:
    found = [line[6:] for line in wire.sent.decode().split("\n") if line.startswith("data: ")]
    assert found[-1] == "[DONE]"
    return [json.loads(item) for item in found[:-1]]


def test_the_head_goes_out_before_any_token() -> None:
    wire, _ = begin(stream=True)
    assert wire.sent == b"HEAD\n"


def test_all_choices_open_before_the_first_token_and_the_last_ends_the_stream() -> None:
    wire, answer = begin(stream=True, n=2, stream_options={"include_usage": True})
    one, two = (answer.add(Sequence(n, 8, 2, 0.0), "length", 1024 + n) for n in (0, 1))
    for stream in (one, two):
        stream.tokens = 1
        answer.token(stream)
    for stream in (one, two):
        stream.tokens = 2
        assert not wire.has_ended
        answer.finish(stream)
    got = events(wire)
    roles = [event["choices"][0]["index"] for event in got[:2] if event["choices"][0]["delta"].get("role")]
    assert roles == [0, 1]
    assert [event["choices"][0]["finish_reason"] for event in got[2:-1]] == [None, None, "length", "length"]
    assert got[-1]["usage"] == {"prompt_tokens": 8, "total_tokens": 12, "completion_tokens": 4}
    assert wire.has_ended


def test_a_single_token_answer_still_opens() -> None:
    wire, answer = begin(stream=True)
    stream = answer.add(Sequence(0, 8, 1, 0.0), "stop", 0)
    stream.tokens = 1
    answer.finish(stream)
    got = events(wire)
    assert got[0]["choices"][0]["delta"]["role"] == "assistant"
    assert got[1]["choices"][0]["finish_reason"] == "stop"


def test_an_aborted_stream_ends_properly() -> None:
    wire, answer = begin(stream=True)
    answer.abort(answer.add(Sequence(0, 8, 9, 0.0), "length", 0))
    last = events(wire)[-1]["choices"][0]
    assert (last["finish_reason"], last["delta"]) == ("abort", {"content": ""})


def test_a_whole_answer_waits_for_all_choices_and_sorts_them() -> None:
    wire, answer = begin(n=2)
    one, two = (answer.add(Sequence(n, 8, 3, 0.0), "length", n) for n in (0, 1))
    for stream in (two, one):
        answer.token(stream)
        stream.tokens = 3
        assert not wire.has_ended
        answer.finish(stream)
    body = json.loads(wire.sent)
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert body["usage"]["completion_tokens"] == 6
    assert len(body["choices"][0]["message"]["content"].split()) == 3
