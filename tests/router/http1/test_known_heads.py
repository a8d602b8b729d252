"""A head known but for its length reads as if it were new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1.known_heads import MAX_HEADS, read_length
from router.http1.request_reader import RequestReader
from router.http1.response_head import ResponseReader
from tests.fakes.heads import raw_of, said

FIELDS = [
    b"Host: a",
    b"Content-Length: 5",
    b"content-length: 7",
    b"CONTENT-LENGTH: 5",
    b"Content-Length:5",
    b"Content-Length:  5",
    b"Content-Length: 5 ",
    b"Content-Length: +5",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"X: Content-Length: 5",
    b" folded",
    b"X-Request-Id: abc",
    b"x-request-id:  def ",
    b"traceparent: 00-1-2-01",
    b"X-Request-Id: a\rb",
    b"X-Request-Id : a",
    b"Connection: x-request-id",
]


@given(st.lists(st.lists(st.sampled_from(FIELDS), max_size=4), min_size=2, max_size=8))
def test_what_was_read_before_changes_nothing(heads: list[list[bytes]]) -> None:
    reader = RequestReader()
    for fields in heads:
        raw = raw_of(*fields)
        assert said(reader, raw) == said(RequestReader(), raw)


def test_a_head_with_another_length_is_the_same_head() -> None:
    reader = RequestReader()
    first, one = reader.read(raw_of(b"Host: a", b"Content-Length: 1"))
    second, two = reader.read(raw_of(b"Host: a", b"Content-Length: 22"))
    assert first is second
    assert (one, two) == (1, 22)


def test_hints_are_shared_by_heads_that_differ_by_an_identifier_only() -> None:
    reader = RequestReader()
    head, _ = reader.read(raw_of(b"Host: a", b"X-Request-Id: 1"))
    head.keep_hints("hints")
    assert reader.read(raw_of(b"Host: a", b"X-Request-Id: 2"))[0].hints == "hints"
    assert reader.read(raw_of(b"Host: b", b"X-Request-Id: 2"))[0].hints is None


def test_identifiers_of_answers_are_passed_on() -> None:
    reader = ResponseReader()
    for number in range(3):
        head, length = reader.read(b"HTTP/1.1 200 OK\r\nx-request-id: %d\r\ncontent-length: 5\r\n\r\n" % number)
        assert length == 5
        assert head.start == b"HTTP/1.1 200 OK\r\nx-request-id: %d\r\n" % number


def test_what_is_kept_is_bounded() -> None:
    reader = RequestReader()
    kept = [reader.read(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)[0] for number in range(MAX_HEADS + 1)]
    assert reader.read(b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n")[0] is not kept[0]


@pytest.mark.parametrize("value", [b"", b"+1", b"-1", b"1,1", b"0x1", b"1 1", b"9" * 19, "١".encode()])
def test_a_length_is_a_plain_number(value: bytes) -> None:
    with pytest.raises(ValueError, match="plain number"):
        read_length(value)


def test_no_length_is_not_zero() -> None:
    assert read_length(None) is None
    assert read_length(b"0") == 0
