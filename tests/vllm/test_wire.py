"""Answers count as the same only where nothing but ids and times differs."""

from __future__ import annotations

import pytest

from tests.vllm.wire import Answer, without_own_values


def test_ids_and_times_are_replaced() -> None:
    body = b'{"id":"chatcmpl-8f7d2aa896c005ab","created":1795225125,"model":"tiny"}'
    assert without_own_values(body) == b'{"id":"chatcmpl-ID","created":TIME,"model":"tiny"}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"tiny"}',
        b'{"id":"chatcmpl-mine-123"}',
        b'{"text":"8f7d2aa896c005ab"}',
        b'{"created_cache_tokens":0}',
        b'{"usage":{"prompt_tokens":19}}',
    ],
)
def test_nothing_else_is(body: bytes) -> None:
    assert without_own_values(body) == body


def test_kinds_of_ids_differ() -> None:
    assert without_own_values(b'{"id":"cmpl-8f7d2aa896c005ab"}') != without_own_values(
        b'{"id":"resp_8f7d2aa896c005ab"}'
    )


def answer(*fields: tuple[bytes, bytes], status: int = 200, body: bytes = b"{}") -> Answer:
    return Answer(status, list(fields), body)


def test_what_the_router_adds_and_what_differs_anyway() -> None:
    direct = answer((b"date", b"now"), (b"server", b"uvicorn"), (b"x-request-id", b"0" * 32), (b"connection", b"close"))
    routed = answer(
        (b"date", b"then"), (b"server", b"uvicorn"), (b"x-request-id", b"a" * 32), (b"x-wattroute-pool", b"p")
    )
    assert direct.same() == routed.same()


def test_fields_of_one_name_keep_their_order() -> None:
    one, two, other = (b"a", b"1"), (b"a", b"2"), (b"b", b"3")
    assert answer(one, two, other).same() == answer(other, one, two).same()
    assert answer(one, two, other).same() != answer(two, one, other).same()


@pytest.mark.parametrize(
    "other",
    [
        answer((b"server", b"other")),
        answer(),
        answer((b"server", b"uvicorn"), (b"server", b"uvicorn")),
        answer((b"server", b"uvicorn"), status=201),
        answer((b"server", b"uvicorn"), body=b"{ }"),
        answer((b"server", b"uvicorn"), (b"x-request-id", b"mine")),
    ],
)
def test_any_other_difference(other: Answer) -> None:
    assert answer((b"server", b"uvicorn")).same() != other.same()
