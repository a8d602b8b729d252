"""The emulated tokenizer: a rule simple enough to build a prompt of an exact number of tokens. Pure.

Text is split at white space; a word of up to four characters is one token, a longer one has a token for every four
characters begun. A chat adds tokens for each message and for the opening of the answer, as a chat template does. The
figures are not those of the model's own tokenizer.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

CHARACTERS_PER_TOKEN = 4
MESSAGE_TOKENS = 4
ANSWER_TOKENS = 3

_SYLLABLES = tuple(first + second for first in "bdfgklmnprstvz" for second in "aeiou")
VOCABULARY: tuple[str, ...] = tuple(
    _SYLLABLES[n % len(_SYLLABLES)] + _SYLLABLES[(7 * n + n // len(_SYLLABLES)) % len(_SYLLABLES)] for n in range(1024)
)
"""Words of four letters that emulated answers consist of; each is one token, and the n-th has the id n."""

_ID_BY_WORD = {word: n for n, word in reversed(tuple(enumerate(VOCABULARY)))}
_OTHER_IDS = 100_000
_TEMPLATE_ID = 151_644


def count(text: str) -> int:
    """Tokens in a text."""
    return sum((len(word) + CHARACTERS_PER_TOKEN - 1) // CHARACTERS_PER_TOKEN for word in text.split())


def count_chat(messages: list[Any]) -> int:
    """Tokens in a chat, its template included. Parts that are not text, such as images, count as nothing."""
    return ANSWER_TOKENS + sum(MESSAGE_TOKENS + count(message_text(message)) for message in messages)


def message_text(message: Any) -> str:
    """The text of a chat message, whether it is a string or a list of parts."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return ""


def encode(text: str) -> list[int]:
    """Token ids: a vocabulary word's position, for other pieces a number from their checksum."""
    return [_id(piece) for piece in pieces(text)]


def encode_chat(messages: list[Any]) -> list[int]:
    """Token ids of a chat; those of its template are all alike."""
    ids: list[int] = []
    for message in messages:
        ids += [_TEMPLATE_ID] * MESSAGE_TOKENS + encode(message_text(message))
    return ids + [_TEMPLATE_ID] * ANSWER_TOKENS


def pieces(text: str) -> list[str]:
    """The pieces a text is cut into."""
    step = CHARACTERS_PER_TOKEN
    return [word[start : start + step] for word in text.split() for start in range(0, len(word), step)]


def decode(ids: list[int]) -> str:
    """Text of token ids; ids outside the vocabulary, whose text is not kept, are shown in brackets."""
    return " ".join(VOCABULARY[token] if 0 <= token < len(VOCABULARY) else f"<{token}>" for token in ids)


def words(n_tokens: int) -> str:
    """A text of exactly this many tokens."""
    return " ".join(VOCABULARY[n % len(VOCABULARY)] for n in range(n_tokens))


def chat_words(n_tokens: int) -> str:
    """Content of a single message whose chat has exactly this many tokens, or the fewest a chat can have."""
    return words(max(0, n_tokens - MESSAGE_TOKENS - ANSWER_TOKENS))


def _id(piece: str) -> int:
    known = _ID_BY_WORD.get(piece)
    return _OTHER_IDS + crc32(piece.encode()) % 50_000 if known is None else known
