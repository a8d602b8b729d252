"""What canaries ask: requests sampled at routers, or short built-in ones where there is no traffic. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
BUILT_IN = "built-in"
"""Class of the built-in prompts."""

_QUESTIONS = (
    "What is the capital of France? Answer with one word.",
    "What is 17 + 25? Answer with the number only.",
    "List the first five prime numbers, separated by commas.",
    "Spell the word 'rhythm' backwards.",
    "Which planet is closest to the sun? One word.",
    "Complete the sequence: 2, 4, 8, 16,",
    "Write the chemical formula of water.",
    "Translate 'good morning' into German.",
    "How many days has a leap year? Number only.",
    "Name the author of 'Hamlet'.",
    "What colour results from mixing blue and yellow paint?",
    "Write 42 in binary.",
    "Return the Python expression that reverses a list x.",
    "What is the square root of 144? Number only.",
    "Which gas do plants take in for photosynthesis?",
    "Sort these numbers: 9, 3, 7, 1.",
    "What is the plural of 'mouse'?",
    "Name the largest ocean on Earth.",
    "What is 12 multiplied by 12? Number only.",
    "In SQL, which clause filters groups? One word.",
    "Write the HTTP status code for 'not found'.",
    "What is the boiling point of water at sea level in degrees Celsius? Number only.",
    "Say the alphabet from a to g.",
    "Which month comes after September?",
)
_DROPPED = (
    "stream_options", "service_tier", "user", "prompt_cache_key", "metadata", "store", "max_completion_tokens", "seed",
    "priority", "safety_identifier", "best_of", "ignore_eos", "min_tokens", "echo", "prompt_logprobs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question.

    Attributes:
        key: names it, so that its reference answer may be kept; None for a client's request, which is not.
        path: of the engine's API.
        request: what is sent, without model and length.
        class_id: whose request it was, or `BUILT_IN`.
    """

    key: str | None
    path: str
    request: Mapping[str, Any]
    class_id: str


def built_in() -> tuple[Prompt, ...]:
    """The built-in questions."""
    return tuple(
        Prompt(f"builtin-{n}", CHAT, {"messages": [{"role": "user", "content": text}]}, BUILT_IN)
        for n, text in enumerate(_QUESTIONS)
    )


def from_sample(path: str, body: str, class_id: str) -> Prompt:
    """A client's request, to be asked again.

    Raises:
        ValueError: it is no request to be asked again; the text tells nothing of its content.
    """
    if path not in (CHAT, TEXT):
        raise ValueError("only chat and text completions are asked again")
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("a sampled body is no JSON") from error
    if not isinstance(request, dict):
        raise ValueError("a sampled body is no JSON object")
    return Prompt(None, path, {key: value for key, value in request.items() if key not in _DROPPED}, class_id)


def body_of(
    prompt: Prompt, *, model: str | None, max_tokens: int, logprobs: bool, priority: int | None
) -> dict[str, Any]:
    """What is sent to an engine: one short answer, greedy, not streamed.

    Args:
        prompt: the question.
        model: name of the served model; None leaves the request's own.
        max_tokens: longest answer; a client's own limit holds where it is less.
        logprobs: whether log-probabilities are asked for.
        priority: of vLLM's priority scheduling, larger is later; None where engines do not have it.
    """
    request = dict(prompt.request)
    own = request.get("max_tokens")
    limit = min(own, max_tokens) if isinstance(own, int) and own > 0 else max_tokens
    request |= {"stream": False, "temperature": 0.0, "n": 1, "max_tokens": limit}
    if model is not None:
        request["model"] = model
    request.pop("logprobs", None)
    request.pop("top_logprobs", None)
    if logprobs:
        request["logprobs"] = True if prompt.path == CHAT else 1
    if priority is not None:
        request["priority"] = priority
    return request
