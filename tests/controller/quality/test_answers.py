"""Reading two engines' answers and putting them beside each other."""

from __future__ import annotations

from typing import Any

import pytest

from controller.quality.answers import Answer, Comparison, compare, read_answer


def _chat(text: str | None, logprobs: Any = None) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "logprobs": logprobs}]}


def test_equal_texts_agree() -> None:
    assert compare(read_answer(_chat("one two")), read_answer(_chat("one two"))) == Comparison(True, None, None)


def test_where_answers_part_is_told_in_words_without_tokens() -> None:
    assert compare(read_answer(_chat("a b c d")), read_answer(_chat("a b x d"))).parted_at == 2


def test_log_probabilities_are_compared_up_to_where_the_answers_part() -> None:
    told = [{"token": t, "logprob": p} for t, p in (("a", -0.1), ("b", -0.2), ("c", -3.0))]
    other = [{"token": t, "logprob": p} for t, p in (("a", -0.2), ("b", -0.4), ("z", -0.1))]
    compared = compare(read_answer(_chat("abc", {"content": told})), read_answer(_chat("abz", {"content": other})))
    assert (compared.agrees, compared.parted_at) == (False, 2)
    assert compared.logprob_gap == pytest.approx(0.15)


def test_a_text_completion_tells_two_lists() -> None:
    document = {"choices": [{"text": " yes", "logprobs": {"tokens": [" yes"], "token_logprobs": [-0.5]}}]}
    assert read_answer(document) == Answer(" yes", (" yes",), (-0.5,))


def test_a_first_token_without_log_probability_leaves_the_words() -> None:
    document = {"choices": [{"text": "so be it", "logprobs": {"tokens": ["so"], "token_logprobs": [None]}}]}
    assert read_answer(document) == Answer("so be it", ("so", "be", "it"))


def test_an_answer_cut_short_while_reasoning_is_empty() -> None:
    assert read_answer(_chat(None)).text == ""


@pytest.mark.parametrize("document", [None, [], {}, {"choices": []}, {"choices": ["x"]}, {"choices": [{"text": 3}]}])
def test_what_is_no_answer_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="answer"):
        read_answer(document)
