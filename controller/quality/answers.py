"""What two engines answered to one deterministic request, and how far they agree. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_TOKENS = 4096
"""Tokens of an answer that are looked at; canaries ask for far fewer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An engine's answer.

    Attributes:
        text: as told.
        tokens: the engine's own where it told log-probabilities, else the words of the text.
        logprobs: of each token; empty where the engine told none.
    """

    text: str
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers beside each other.

    Attributes:
        agrees: the texts are equal.
        parted_at: equal tokens before they part, None where they agree.
        logprob_gap: mean absolute difference of the log-probabilities of those tokens, None where unknown.
    """

    agrees: bool
    parted_at: int | None
    logprob_gap: float | None


def read_answer(document: Any) -> Answer:
    """The first choice of a chat or text completion that was not streamed.

    Raises:
        ValueError: the document is none.
    """
    choices = document.get("choices") if isinstance(document, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping):
        raise ValueError("the answer has no choices")
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else choice.get("text")
    if text is None and isinstance(message, Mapping):
        text = ""  # a reasoning model that was cut short has said nothing yet
    if not isinstance(text, str):
        raise ValueError("the answer's first choice has no text")
    tokens, logprobs = _told_tokens(choice.get("logprobs"))
    if not tokens:
        return Answer(text, tuple(text.split()[:MAX_TOKENS]))
    return Answer(text, tokens, logprobs)


def compare(reference: Answer, candidate: Answer) -> Comparison:
    """How far a candidate's answer is the reference's."""
    same = 0
    for one, other in zip(reference.tokens, candidate.tokens, strict=False):
        if one != other:
            break
        same += 1
    gaps = [abs(a - b) for a, b in zip(reference.logprobs[:same], candidate.logprobs[:same], strict=False)]
    agrees = reference.text == candidate.text
    return Comparison(agrees, None if agrees else same, sum(gaps) / len(gaps) if gaps else None)


def _told_tokens(told: Any) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Tokens and log-probabilities as a chat (list of objects) or a text completion (two lists) tells them."""
    if not isinstance(told, Mapping):
        return (), ()
    content = told.get("content")
    if isinstance(content, list):
        pairs = [(item.get("token"), item.get("logprob")) for item in content if isinstance(item, Mapping)]
    elif isinstance(told.get("tokens"), list) and isinstance(told.get("token_logprobs"), list):
        pairs = list(zip(told["tokens"], told["token_logprobs"], strict=False))
    else:
        return (), ()
    sound = [
        (token, float(logprob))
        for token, logprob in pairs[:MAX_TOKENS]
        if isinstance(token, str) and isinstance(logprob, int | float) and not isinstance(logprob, bool)
    ]
    if len(sound) != len(pairs[:MAX_TOKENS]):
        return (), ()
    return tuple(token for token, _ in sound), tuple(logprob for _, logprob in sound)
