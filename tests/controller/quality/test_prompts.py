"""What is asked of engines, whatever the client's request held."""

from __future__ import annotations

import json

import pytest

from controller.quality.prompts import BUILT_IN, CHAT, TEXT, body_of, built_in, from_sample


def test_built_in_prompts_are_distinct_and_small() -> None:
    prompts = built_in()
    assert len({prompt.key for prompt in prompts}) == len(prompts) >= 20
    assert len({json.dumps(prompt.request) for prompt in prompts}) == len(prompts)
    assert {prompt.class_id for prompt in prompts} == {BUILT_IN}


def test_a_sample_is_asked_greedily_shortly_and_without_who_asked() -> None:
    sample = {
        "model": "m@fp8", "messages": [{"role": "user", "content": "hi"}], "stream": True, "user": "u-1",
        "stream_options": {"include_usage": True}, "max_completion_tokens": 900, "temperature": 0, "top_logprobs": 3,
        "priority": -5, "ignore_eos": True,
    }  # fmt: skip
    prompt = from_sample(CHAT, json.dumps(sample), "batch")
    assert body_of(prompt, model="m", max_tokens=16, logprobs=True, priority=9) == {
        "model": "m", "messages": sample["messages"], "stream": False, "temperature": 0.0, "n": 1, "max_tokens": 16,
        "logprobs": True, "priority": 9,
    }  # fmt: skip


def test_a_clients_shorter_limit_holds_and_text_completions_ask_for_one_logprob() -> None:
    prompt = from_sample(TEXT, '{"prompt": "a", "max_tokens": 4}', "chat")
    assert body_of(prompt, model=None, max_tokens=16, logprobs=True, priority=None) == {
        "prompt": "a", "stream": False, "temperature": 0.0, "n": 1, "max_tokens": 4, "logprobs": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("path", "body"), [(CHAT, "{secret"), (CHAT, '["secret"]'), ("/v1/embeddings", "{}")])
def test_an_unusable_sample_is_refused_without_its_content(path: str, body: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is checked below
        from_sample(path, body, "chat")
    assert "secret" not in str(raised.value)
