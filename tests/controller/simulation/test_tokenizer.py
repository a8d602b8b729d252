from __future__ import annotations

import pytest

from controller.simulation import tokenizer


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("  \n ", 0),
        ("a", 1),
        ("four", 1),
        ("fives", 2),
        ("one two  three", 4),
        ("exactly8", 2),
        ("ninechars", 3),
    ],
)
def test_words_are_cut_every_four_characters(text: str, tokens: int) -> None:
    assert tokenizer.count(text) == tokens
    assert len(tokenizer.pieces(text)) == len(tokenizer.encode(text)) == tokens


@pytest.mark.parametrize("n", [0, 1, 7, 1024, 5000])
def test_words_has_exactly_as_many_tokens_as_asked(n: int) -> None:
    assert tokenizer.count(tokenizer.words(n)) == n


@pytest.mark.parametrize(("asked", "got"), [(50, 50), (8, 8), (7, 7), (1, 7)])
def test_chat_words_makes_a_chat_of_as_many_tokens_as_asked(asked: int, got: int) -> None:
    messages = [{"role": "user", "content": tokenizer.chat_words(asked)}]
    assert tokenizer.count_chat(messages) == len(tokenizer.encode_chat(messages)) == got


def test_vocabulary_comes_back_and_other_pieces_are_shown_as_ids() -> None:
    assert tokenizer.decode(tokenizer.encode(tokenizer.words(1024))) == tokenizer.words(1024)
    assert tokenizer.encode("Zebra") == tokenizer.encode("Zebra")
    assert tokenizer.decode([0, 120_000]) == f"{tokenizer.VOCABULARY[0]} <120000>"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image_url"}, {"text": "two"}]},
            "one two",
        ),
        ({"role": "assistant", "content": None}, ""),
        ("not a message", ""),
    ],
)
def test_text_of_messages_in_parts(message: object, text: str) -> None:
    assert tokenizer.message_text(message) == text
