import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1.request_head import HeadError, RequestReader, engine_message, is_hopeless, parse_request_head

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"


def head(*fields: bytes, line: bytes = LINE) -> bytes:
    return line + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def test_a_plain_head_is_read() -> None:
    found = parse_request_head(head(b"Host: a:1", b"Content-Length: 12", b"X-Request-Id: r"))
    assert (found.method, found.target) == (b"POST", b"/v1/chat/completions")
    assert found.length == 12
    assert found.keep_alive
    assert not found.is_http10
    assert found.fields[b"x-request-id"] == b"r"


def test_the_engine_gets_the_fields_as_they_came_less_what_ends_here() -> None:
    found = parse_request_head(
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
    found = parse_request_head(head(b"Host: a", b"Transfer-Encoding: Chunked"))
    assert found.is_chunked
    assert found.length is None
    assert engine_message(found, bytearray(b"{seven}")) == LINE + b"Host: a\r\ncontent-length: 7\r\n\r\n{seven}"


def test_a_request_without_body_gets_no_length() -> None:
    found = parse_request_head(head(b"Host: a", line=b"GET /version HTTP/1.1\r\n"))
    assert engine_message(found, None) == b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_peer_cannot_take_the_fields_away_that_give_the_message_its_meaning() -> None:
    found = parse_request_head(head(b"Host: a", b"Connection: host, authorization", b"Authorization: k"))
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
    assert parse_request_head(head(b"Host: a", *fields, line=line)).keep_alive is kept


def test_expectation_of_100_continue() -> None:
    assert parse_request_head(head(b"Host: a", b"Expect: 100-Continue", b"Content-Length: 1")).expects_continue
    old = LINE.replace(b"1.1", b"1.0")
    assert not parse_request_head(head(b"Expect: 100-continue", b"Content-Length: 1", line=old)).expects_continue


AMBIGUOUS = {
    "length and coding": head(b"Host: a", b"Content-Length: 1", b"Transfer-Encoding: chunked"),
    "two lengths": head(b"Host: a", b"Content-Length: 1", b"Content-Length: 2"),
    "two equal lengths": head(b"Host: a", b"Content-Length: 1", b"content-length: 1"),
    "list of lengths": head(b"Host: a", b"Content-Length: 1, 1"),
    "signed length": head(b"Host: a", b"Content-Length: +1"),
    "negative length": head(b"Host: a", b"Content-Length: -1"),
    "hexadecimal length": head(b"Host: a", b"Content-Length: 0x1"),
    "empty length": head(b"Host: a", b"Content-Length:"),
    "endless length": head(b"Host: a", b"Content-Length: " + b"9" * 40),
    "two codings": head(b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "coding in HTTP/1.0": head(b"Transfer-Encoding: chunked", line=LINE.replace(b"1.1", b"1.0")),
    "no host": head(b"Accept: */*"),
    "two hosts": head(b"Host: a", b"Host: b"),
    "host with a path": head(b"Host: a/b"),
    "host with a user": head(b"Host: u@a"),
    "empty host": head(b"Host: "),
    "bare LF": LINE + b"Host: a\nX: b\r\n\r\n",
    "bare CR": LINE + b"Host: a\rX: b\r\n\r\n",
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "folded field": head(b"Host: a", b"X: b", b" c"),
    "space before the colon": head(b"Host: a", b"Content-Length : 1"),
    "tab before the colon": head(b"Host: a", b"Transfer-Encoding\t: chunked"),
    "NUL": head(b"Host: a", b"X: \0"),
    "space in the name": head(b"Host: a", b"X Y: 1"),
    "no colon": head(b"Host: a", b"nonsense"),
    "first field folded": LINE + b" Host: a\r\n\r\n",
    "absolute target": head(b"Host: a", line=b"GET http://b/ HTTP/1.1\r\n"),
    "authority target": head(b"Host: a", line=b"GET b:80 HTTP/1.1\r\n"),
    "asterisk target": head(b"Host: a", line=b"OPTIONS * HTTP/1.1\r\n"),
    "two spaces": head(b"Host: a", line=b"GET  / HTTP/1.1\r\n"),
    "space in the target": head(b"Host: a", line=b"GET /a b HTTP/1.1\r\n"),
    "bytes beyond ASCII in the target": head(b"Host: a", line=b"GET /\xc3\xbc HTTP/1.1\r\n"),
    "no version": head(b"Host: a", line=b"GET /\r\n"),
    "version 2": head(b"Host: a", line=b"GET / HTTP/2.0\r\n"),
    "version 1.2": head(b"Host: a", line=b"GET / HTTP/1.2\r\n"),
    "lower-case version": head(b"Host: a", line=b"GET / http/1.1\r\n"),
    "method that is no token": head(b"Host: a", line=b"G(T / HTTP/1.1\r\n"),
}


@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous_heads_are_refused(raw: bytes) -> None:
    with pytest.raises(HeadError) as caught:
        parse_request_head(raw)
    assert caught.value.status == 400
    assert str(caught.value)


@pytest.mark.parametrize(
    ("fields", "line", "status"),
    [
        ([b"Transfer-Encoding: gzip, chunked"], LINE, 501),
        ([b"Transfer-Encoding: identity"], LINE, 501),
        ([b"Expect: 200-ok", b"Content-Length: 1"], LINE, 417),
        ([], b"TRACE / HTTP/1.1\r\n", 405),
        ([b"a: b"] * 300, LINE, 431),
        ([], b"CONNECT /x HTTP/1.1\r\n", 405),
    ],
)
def test_what_is_clear_but_not_served(fields: list[bytes], line: bytes, status: int) -> None:
    with pytest.raises(HeadError) as caught:
        parse_request_head(head(b"Host: a", *fields, line=line))
    assert caught.value.status == status


@pytest.mark.parametrize("host", [b"a", b"a.b-c:8080", b"127.0.0.1:1", b"[::1]:80", b"[fe80::1]"])
def test_usual_hosts_are_taken(host: bytes) -> None:
    assert parse_request_head(head(b"Host: " + host)).fields[b"host"] == host


def test_beginnings_that_cannot_become_a_head() -> None:
    assert is_hopeless(b"GET / HTTP/1.1\nHost: a\n\n")
    assert is_hopeless(b"GET / HTTP/1.1\r\nX: \0")
    assert not is_hopeless(b"GET / HTTP/1.1\r\nHost: a\r")
    assert not is_hopeless(b"GET / HTTP/1.1\r\n", scan_from=15)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(noise: bytes) -> None:
    try:
        found = parse_request_head(noise + b"\r\n\r\n")
    except HeadError:
        return
    assert found.target.startswith(b"/")


@given(st.lists(st.tuples(st.sampled_from([b"X-A", b"x-b", b"Cookie", b"TE"]), st.binary(max_size=20)), max_size=6))
def test_what_goes_on_is_a_head_again(pairs: list[tuple[bytes, bytes]]) -> None:
    try:
        found = parse_request_head(head(b"Host: a", *(name + b": " + value for name, value in pairs)))
    except HeadError:
        return
    again = parse_request_head(engine_message(found, None))
    assert again.lines == found.lines


def test_an_http10_client_without_host_gets_one_at_the_engine() -> None:
    found = parse_request_head(b"GET /version HTTP/1.0\r\nAccept: */*\r\n\r\n")
    assert engine_message(found, None) == b"GET /version HTTP/1.1\r\nhost: engine\r\nAccept: */*\r\n\r\n"


def test_fields_may_be_added_and_dropped_on_the_way_to_the_engine() -> None:
    reader = RequestReader(dropped=frozenset({b"authorization"}))
    found, _ = reader.read(head(b"Host: a", b"Authorization: Bearer client", b"Content-Length: 2"))
    assert found.fields[b"authorization"] == b"Bearer client"
    assert engine_message(found, b"{}", b"authorization: Bearer engine\r\n") == (
        LINE + b"Host: a\r\nauthorization: Bearer engine\r\ncontent-length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous_heads_are_refused_whatever_was_read_before(raw: bytes) -> None:
    reader = RequestReader()
    for known in (
        head(b"Host: a"),
        head(b"Host: a", b"Transfer-Encoding: chunked"),
        head(b"Host: a", b"CONTENT-LENGTH: 1"),
    ):
        reader.read(known)
    for _ in range(2):
        with pytest.raises(HeadError):
            reader.read(raw)


def test_fields_that_are_dropped_do_not_go_on_with_a_head_that_was_seen_before() -> None:
    reader = RequestReader(frozenset({b"traceparent"}))
    for number in range(3):
        lines = (b"Host: a", b"Traceparent: 00-%d" % number, b"X-Request-Id: %d" % number, b"Content-Length: 2")
        head, _ = reader.read(b"\r\n".join((b"POST /v1 HTTP/1.1", *lines, b"", b"")))
        assert head.fields[b"traceparent"] == b"00-%d" % number
        assert head.forwarded == b"POST /v1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\n" % number
    only = b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-9\r\n\r\n"
    assert reader.read(only)[0].forwarded == b"GET / HTTP/1.1\r\nHost: a\r\n"
