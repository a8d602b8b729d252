import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1.request_head import HeadError, RequestHead, engine_message
from router.http1.request_reader import RequestReader

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"


def head(*fields: bytes, line: bytes = LINE) -> bytes:
    return line + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def parse(raw: bytes) -> RequestHead:
    return RequestReader().parse(raw)


def test_a_plain_head_is_read() -> None:
    found = parse(head(b"Host: a:1", b"Content-Length: 12", b"X-Request-Id: r"))
    assert (found.method, found.target) == (b"POST", b"/v1/chat/completions")
    assert found.length == 12
    assert found.keep_alive
    assert not found.is_http10
    assert found.fields[b"x-request-id"] == b"r"


def test_the_engine_gets_the_fields_as_they_came_less_what_ends_here() -> None:
    found = parse(
        head(
            b"Host: a",
            b"X-A: 1",
            b"x-a: 2",
            b"Connection: keep-alive, X-Private",
            b"X-Private: secret",
            b"TE: trailers",
            b"Keep-Alive: timeout=5",
            b"Upgrade: h2c",
            b"Proxy-Authorization: Basic x",
            b"Expect: 100-continue",
            b"Authorization: Bearer k",
            b"Content-Length: 4",
        )
    )
    assert engine_message(found, b"{12}") == (
        LINE + b"Host: a\r\nX-A: 1\r\nx-a: 2\r\nAuthorization: Bearer k\r\ncontent-length: 4\r\n\r\n{12}"
    )


def test_a_chunked_request_gets_a_length() -> None:
    found = parse(head(b"Host: a", b"Transfer-Encoding: Chunked"))
    assert found.is_chunked
    assert found.length is None
    assert engine_message(found, bytearray(b"{seven}")) == LINE + b"Host: a\r\ncontent-length: 7\r\n\r\n{seven}"


def test_a_request_without_body_gets_no_length() -> None:
    found = parse(head(b"Host: a", line=b"GET /version HTTP/1.1\r\n"))
    assert engine_message(found, None) == b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_peer_cannot_take_the_fields_away_that_give_the_message_its_meaning() -> None:
    found = parse(head(b"Host: a", b"Connection: host, authorization", b"Authorization: k"))
    assert engine_message(found, None) == LINE + b"Host: a\r\nAuthorization: k\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "line", "kept"),
    [
        ([b"Connection: close"], LINE, False),
        ([b"Connection: Keep-Alive"], LINE, True),
        ([], LINE.replace(b"1.1", b"1.0"), False),
        ([b"Connection: keep-alive"], LINE.replace(b"1.1", b"1.0"), False),
    ],
)
def test_keep_alive(fields: list[bytes], line: bytes, kept: bool) -> None:
    assert parse(head(b"Host: a", *fields, line=line)).keep_alive is kept


def test_expectation_of_100_continue() -> None:
    assert parse(head(b"Host: a", b"Expect: 100-Continue", b"Content-Length: 1")).expects_continue
    old = LINE.replace(b"1.1", b"1.0")
    assert not parse(head(b"Expect: 100-continue", b"Content-Length: 1", line=old)).expects_continue


@given(st.lists(st.tuples(st.sampled_from([b"X-A", b"x-b", b"Cookie", b"TE"]), st.binary(max_size=20)), max_size=6))
def test_what_goes_on_is_a_head_again(pairs: list[tuple[bytes, bytes]]) -> None:
    try:
        found = parse(head(b"Host: a", *(name + b": " + value for name, value in pairs)))
    except HeadError:
        return
    again = parse(engine_message(found, None))
    assert again.lines == found.lines


def test_an_http10_client_without_host_gets_one_at_the_engine() -> None:
    found = parse(b"GET /version HTTP/1.0\r\nAccept: */*\r\n\r\n")
    assert engine_message(found, None) == b"GET /version HTTP/1.1\r\nhost: engine\r\nAccept: */*\r\n\r\n"


def test_fields_may_be_added_and_dropped_on_the_way_to_the_engine() -> None:
    reader = RequestReader(dropped=frozenset({b"authorization"}))
    found, _ = reader.read(head(b"Host: a", b"Authorization: Bearer client", b"Content-Length: 2"))
    assert found.fields[b"authorization"] == b"Bearer client"
    assert engine_message(found, b"{}", b"authorization: Bearer engine\r\n") == (
        LINE + b"Host: a\r\nauthorization: Bearer engine\r\ncontent-length: 2\r\n\r\n{}"
    )


def test_fields_that_are_dropped_do_not_go_on_with_a_head_that_was_seen_before() -> None:
    reader = RequestReader(frozenset({b"traceparent"}))
    for number in range(3):
        lines = (b"Host: a", b"Traceparent: 00-%d" % number, b"X-Request-Id: %d" % number, b"Content-Length: 2")
        head, _ = reader.read(b"\r\n".join((b"POST /v1 HTTP/1.1", *lines, b"", b"")))
        assert head.fields[b"traceparent"] == b"00-%d" % number
        assert head.forwarded == b"POST /v1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\n" % number
    only = b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-9\r\n\r\n"
    assert reader.read(only)[0].forwarded == b"GET / HTTP/1.1\r\nHost: a\r\n"
