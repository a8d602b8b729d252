"""A head known but for its length reads as if it were new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1.known_heads import MAX_HEADS, read_length
from router.http1.request_head import HeadError, RequestHead, RequestReader

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
]


def said(reader: RequestReader, raw: bytes) -> tuple[object, ...]:
    try:
        head, length = reader.read(raw)
    except HeadError:
        return ("refused",)
    return shape(head, length)


def shape(head: RequestHead, length: int | None) -> tuple[object, ...]:
    return head.forwarded, length, head.is_chunked, head.keep_alive


@given(st.lists(st.lists(st.sampled_from(FIELDS), max_size=4), min_size=2, max_size=8))
def test_what_was_read_before_changes_nothing(heads: list[list[bytes]]) -> None:
    reader = RequestReader()
    for fields in heads:
        raw = b"\r\n".join([b"POST /v1/x HTTP/1.1", *fields, b"", b""])
        assert said(reader, raw) == said(RequestReader(), raw)


def test_a_head_with_another_length_is_the_same_head() -> None:
    reader = RequestReader()
    first, one = reader.read(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
    second, two = reader.read(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\n\r\n")
    assert first is second
    assert (one, two) == (1, 22)


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
