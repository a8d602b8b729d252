import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1.request_head import HeadError, RequestHead
from router.http1.request_reader import RequestReader, is_hopeless

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"


def head(*fields: bytes, line: bytes = LINE) -> bytes:
    return line + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def parse(raw: bytes) -> RequestHead:
    return RequestReader().parse(raw)


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
        parse(raw)
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
        parse(head(b"Host: a", *fields, line=line))
    assert caught.value.status == status


@pytest.mark.parametrize("host", [b"a", b"a.b-c:8080", b"127.0.0.1:1", b"[::1]:80", b"[fe80::1]"])
def test_usual_hosts_are_taken(host: bytes) -> None:
    assert parse(head(b"Host: " + host)).fields[b"host"] == host


def test_beginnings_that_cannot_become_a_head() -> None:
    assert is_hopeless(b"GET / HTTP/1.1\nHost: a\n\n")
    assert is_hopeless(b"GET / HTTP/1.1\r\nX: \0")
    assert not is_hopeless(b"GET / HTTP/1.1\r\nHost: a\r")
    assert not is_hopeless(b"GET / HTTP/1.1\r\n", scan_from=15)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(noise: bytes) -> None:
    try:
        found = parse(noise + b"\r\n\r\n")
    except HeadError:
        return
    assert found.target.startswith(b"/")


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
