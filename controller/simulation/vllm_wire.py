"""Answers of a vLLM server as bytes: key for key those of 0.32. Pure.

A token of a stream is one HTTP chunk with one event. All emulated words have the same length, so a stream's events
differ in nothing but the word: `StreamTemplate.event_head + word + event_tail` is a finished chunk, its size line
included.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from controller.simulation.tokenizer import VOCABULARY
from controller.simulation.vllm_request import GenerationRequest, ServedModel

VERSION = "0.32.0"
OWNER = "wattroute-emulator"
FINGERPRINT = f"vllm-{VERSION}-emulated"
DONE = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
"""Last event and the end of the chunked body."""

WORDS: tuple[bytes, ...] = tuple(f" {word}".encode() for word in VOCABULARY)
_WORD_BYTES = 5
NO_TURN = 1 << 40
"""A turn that no answer reaches."""
_TURN_WORDS = 401


def dump(value: object) -> bytes:
    """JSON as vLLM writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def chunk(payload: bytes) -> bytes:
    """A chunk of an HTTP body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


@dataclass(frozen=True, slots=True)
class Identity:
    """What all parts of an answer carry.

    Attributes:
        answer_id: e.g. ``chatcmpl-0123456789abcdef``.
        created_s: seconds since the epoch.
    """

    answer_id: str
    created_s: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One finished answer of a request.

    Attributes:
        first_word: where in the vocabulary its text begins.
        turn: token from which on its text goes on elsewhere in the vocabulary.
    """

    index: int
    first_word: int
    tokens: int
    finish_reason: str
    turn: int = NO_TURN


def word_at(first_word: int, k: int, turn: int = NO_TURN) -> bytes:
    """The k-th word of an answer."""
    return WORDS[(first_word + k + (_TURN_WORDS if k >= turn else 0)) % len(WORDS)]


def text(first_word: int, tokens: int, turn: int = NO_TURN) -> str:
    """Text of an answer, or of its beginning."""
    return b"".join(word_at(first_word, k, turn) for k in range(tokens)).decode()


class StreamTemplate:
    """The chunks of one choice of a streaming answer.

    Attributes:
        opening: the chunk before the first token, empty for completions.
        event_head, event_tail: what surrounds the word of a token; None where each event tells the usage so far.
    """

    __slots__ = ("_identity", "_index", "_request", "event_head", "event_tail", "opening")

    def __init__(self, request: GenerationRequest, identity: Identity, index: int) -> None:
        self._request = request
        self._identity = identity
        self._index = index
        self.opening = self._opening() if request.chat else b""
        self.event_head: bytes | None = None
        self.event_tail = b""
        if not request.continuous_usage:
            whole = self._event("#" * _WORD_BYTES, None, 0)
            self.event_head, self.event_tail = whole.split(b"#" * _WORD_BYTES)

    def token(self, word: bytes, tokens: int) -> bytes:
        """The chunk of a token that is not the last; `tokens` counts it."""
        if self.event_head is not None:
            return b"".join((self.event_head, word, self.event_tail))
        return self._event(word.decode(), None, tokens)

    def last(self, word: bytes, finish_reason: str, tokens: int) -> bytes:
        """The chunk that ends the choice."""
        return self._event(word.decode(), finish_reason, tokens)

    def _opening(self) -> bytes:
        choice = {
            "index": self._index,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
        }
        event = self._envelope([choice])
        if self._request.continuous_usage:
            event["usage"] = self._usage(0)
        event.update(prompt_token_ids=None, prompt_text=None)
        return _sse(event)

    def _event(self, word: str, finish_reason: str | None, tokens: int) -> bytes:
        event = self._envelope([self._choice(word, finish_reason)])
        if self._request.continuous_usage:
            event["usage"] = self._usage(tokens)
        if finish_reason is not None and not self._request.include_usage:
            event["system_fingerprint"] = FINGERPRINT
        return _sse(event)

    def _choice(self, word: str, finish_reason: str | None) -> dict[str, Any]:
        if not self._request.chat:
            choice: dict[str, Any] = {"index": self._index, "text": word, "logprobs": None}
            choice |= {"finish_reason": finish_reason, "stop_reason": None}
            return choice | {"prompt_token_ids": None, "token_ids": None}
        choice = {"index": self._index, "delta": {"content": word}, "logprobs": None, "finish_reason": finish_reason}
        if finish_reason is not None:
            choice["stop_reason"] = None
        return choice | {"token_ids": None}

    def _envelope(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return stream_envelope(self._request, self._identity, choices)

    def _usage(self, tokens: int) -> dict[str, Any]:
        usage: dict[str, Any] = _counts(self._request.total_prompt_tokens, tokens)
        return usage | {"completion_tokens_details": None} if self._request.chat else usage


def stream_envelope(request: GenerationRequest, identity: Identity, choices: list[dict[str, Any]]) -> dict[str, Any]:
    """What every event of a stream begins with."""
    return {
        "id": identity.answer_id,
        "object": "chat.completion.chunk" if request.chat else "text_completion",
        "created": identity.created_s,
        "model": request.model,
        "choices": choices,
    }


def usage_event(request: GenerationRequest, identity: Identity, tokens: int) -> bytes:
    """The event before the end that `include_usage` asks for."""
    event = stream_envelope(request, identity, [])
    event["usage"] = _counts(request.total_prompt_tokens, tokens)
    event["system_fingerprint"] = FINGERPRINT
    return _sse(event)


def whole_answer(request: GenerationRequest, identity: Identity, choices: list[Choice]) -> bytes:
    """Body of an answer that is not streamed."""
    usage: dict[str, Any] = _counts(request.total_prompt_tokens, sum(choice.tokens for choice in choices))
    body: dict[str, Any] = {
        "id": identity.answer_id,
        "object": "chat.completion" if request.chat else "text_completion",
        "created": identity.created_s,
        "model": request.model,
        "choices": [_whole_chat(choice) if request.chat else _whole_text(choice) for choice in choices],
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
        "usage": usage | {"prompt_tokens_details": None, "completion_tokens_details": None},
    }
    if request.chat:
        body |= {"prompt_logprobs": None, "prompt_token_ids": None, "prompt_text": None}
    return dump(body | {"kv_transfer_params": None, "ec_transfer_params": None, "metrics": None})


def models(served: ServedModel, created_s: int) -> bytes:
    """Body of /v1/models."""
    permission = {
        "id": "modelperm-emulated",
        "object": "model_permission",
        "created": created_s,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    card = {
        "id": served.name,
        "object": "model",
        "created": created_s,
        "owned_by": OWNER,
        "root": served.root,
        "parent": None,
        "max_model_len": served.max_model_len,
        "permission": [permission],
    }
    return dump({"object": "list", "data": [card]})


def _whole_chat(choice: Choice) -> dict[str, Any]:
    message = {
        "role": "assistant",
        "content": text(choice.first_word, choice.tokens, choice.turn),
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
        "reasoning": None,
    }
    return {
        "index": choice.index,
        "message": message,
        "logprobs": None,
        "finish_reason": choice.finish_reason,
        "stop_reason": None,
        "token_ids": None,
        "routed_experts": None,
    }


def _whole_text(choice: Choice) -> dict[str, Any]:
    return {
        "index": choice.index,
        "text": text(choice.first_word, choice.tokens, choice.turn),
        "logprobs": None,
        "finish_reason": choice.finish_reason,
        "stop_reason": None,
        "token_ids": None,
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "routed_experts": None,
    }


def _counts(prompt_tokens: int, tokens: int) -> dict[str, int]:
    return {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens + tokens, "completion_tokens": tokens}


def _sse(event: dict[str, Any]) -> bytes:
    return chunk(b"data: " + dump(event) + b"\n\n")
