"""A head known but for its key reads as if it were new, and no key's head is taken for another's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1.keyed_heads import MAX_KEYED, KeyedReader
from router.http1.request_head import RequestHead
from router.http1.request_reader import RequestReader
from tests.fakes.heads import raw_of, said

DROPPED = frozenset({b"authorization", b"x-api-key", b"api-key"})
FIELDS = [
    b"Host: a",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: x-api-key",
    b"X-Request-Id: abc",
    b"X-Request-Id: def",
    b"X-Session-Id: s",
    b"Authorization: Bearer one",
    b"Authorization: Bearer two",
    b"authorization: bearer one",
    b"AUTHORIZATION: Bearer one",
    b"Authorization:  Bearer one",
    b"Authorization: Bearer one ",
    b"Authorization: Bearer  one",
    b"Authorization: Basic a b",
    b"Authorization: ",
    b"Authorization: Bearer \xff",
    b"Authorization: Bearer a\rb",
    b"Authorization: Bearer a\nb",
    b"Authorization: Bearer \0",
    b"Authorization : Bearer one",
    b"X: Authorization: Bearer one",
    b"x-api-key: one",
    b"X-Api-Key: two",
    b"api-key: one",
    b" Authorization: Bearer one",
]


@given(st.lists(st.lists(st.sampled_from(FIELDS), max_size=5), min_size=2, max_size=8))
def test_what_was_read_before_changes_nothing(heads: list[list[bytes]]) -> None:
    reader = KeyedReader(DROPPED)
    for fields in heads:
        raw = raw_of(*fields)
        assert said(reader, raw) == said(RequestReader(DROPPED), raw)


@pytest.mark.parametrize("twin", [b"Authorization: Bearer two", b"authorization: Bearer two"])
def test_a_second_key_is_not_overlooked(twin: bytes) -> None:
    head, _ = KeyedReader(DROPPED).read(raw_of(b"Host: a", b"Authorization: Bearer one", twin))
    assert head.fields[b"authorization"] == b"Bearer one, Bearer two"


def test_no_keys_head_is_taken_for_anothers() -> None:
    reader = KeyedReader(DROPPED)
    seen = {}
    for number in range(3 * MAX_KEYED):
        for field in (b"Authorization: Bearer k%d", b"x-api-key: k%d"):
            head, _ = reader.read(raw_of(b"Host: a", field % number))
            assert head.hints is None
            head.keep_hints((field, number))
            seen[field, number] = head
    for (field, number), head in seen.items():
        assert head.hints == (field, number)
    head, _ = reader.read(raw_of(b"Host: a"))
    assert head.hints is None


def test_the_same_key_again_is_the_same_head() -> None:
    reader = KeyedReader(DROPPED)
    first, one = reader.read(raw_of(b"Host: a", b"Authorization: Bearer k", b"Content-Length: 1"))
    second, two = reader.read(raw_of(b"Host: a", b"Authorization: Bearer k", b"Content-Length: 22"))
    assert first is second
    assert (one, two) == (1, 22)


def test_hints_are_shared_by_heads_of_one_key_whatever_their_identifiers() -> None:
    reader = KeyedReader(DROPPED)

    def read(key: bytes, identifier: bytes) -> RequestHead:
        return reader.read(raw_of(b"Host: a", b"Authorization: Bearer " + key, b"X-Request-Id: " + identifier))[0]

    read(b"k", b"1").keep_hints("of k")
    assert read(b"k", b"2").hints == "of k"
    assert read(b"other", b"1").hints is None
    assert read(b"other", b"3").hints is None
    assert b"X-Request-Id: 2" in read(b"k", b"2").forwarded


def test_only_keys_that_end_here_are_taken_out() -> None:
    reader = KeyedReader(frozenset({b"x-api-key"}))
    head, _ = reader.read(raw_of(b"Host: a", b"Authorization: Bearer k", b"x-api-key: k"))
    assert b"Authorization: Bearer k" in head.forwarded
    assert b"x-api-key" not in head.forwarded
