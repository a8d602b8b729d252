"""Which requests are kept for canaries, and how many."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from router.canary import Sampler, is_deterministic
from router.contract import ClassId
from router.settings.canary import SampleSettings

CHAT = b"/v1/chat/completions"
CLASS = ClassId("standard")


def _body(**more: Any) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0, **more}
    ).encode()


def _always(**settings: Any) -> Sampler:
    return Sampler(SampleSettings(**settings), lambda: 0.0)


@pytest.mark.parametrize("more", [{}, {"temperature": 1, "top_k": 1}, {"n": 1}, {"stream": True}, {"tools": []}])
def test_one_greedy_answer_is_deterministic(more: dict[str, Any]) -> None:
    assert is_deterministic(_body(**more))


@pytest.mark.parametrize(
    "body",
    [
        _body(temperature=0.1), _body(temperature=None), _body(n=2), _body(best_of=3), _body(tools=[{"type": "f"}]),
        _body(functions=[{}]), _body(temperature="0"), b"", b"[]", b"{", b"\xff", b'{"messages":[]}',
    ],
)  # fmt: skip
def test_all_else_is_not(body: bytes) -> None:
    assert not is_deterministic(body)


def test_the_newest_are_kept_with_their_class_as_they_were_sent() -> None:
    sampler = _always(keep=2)
    for n in range(4):
        sampler.offer(CHAT, bytearray(_body(max_tokens=n + 1)), CLASS)
    kept = sampler.samples()
    assert [json.loads(sample.body)["max_tokens"] for sample in kept] == [3, 4]
    assert {(sample.path, sample.class_id) for sample in kept} == {("/v1/chat/completions", "standard")}


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (b"/v1/embeddings", _body()), (b"/v1/chat/completions?x=1", _body()), (CHAT, None), (CHAT, _body(n=2)),
        (CHAT, _body(user="x" * 200)), (CHAT, b'{"temperature":0,"messages":["\xff"]}'),
    ],
)  # fmt: skip
def test_what_is_of_no_use_is_not_kept(target: bytes, body: bytes | None) -> None:
    sampler = _always(max_body_bytes=200)
    sampler.offer(target, body, CLASS)
    assert sampler.samples() == []


def test_no_more_than_the_share_is_looked_at() -> None:
    rng = Random(2)
    sampler = Sampler(SampleSettings(keep=256, frac=0.005), rng.random)
    for _ in range(20_000):
        sampler.offer(CHAT, _body(), CLASS)
    kept = sampler.samples()
    assert 60 <= len(kept) <= 140
    assert len({sample.sample_id for sample in kept}) == len(kept)


def test_a_share_above_half_a_per_cent_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"0\.005"):
        SampleSettings(frac=0.01)
