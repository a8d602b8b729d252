import pytest

from router.http1.response_head import AnswerError, Framing, ResponseHead, ResponseReader, client_head


def parse(raw: bytes) -> ResponseHead:
    return ResponseReader().parse(raw)


def head(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return line + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@pytest.mark.parametrize(
    ("raw", "framing", "length"),
    [
        (head(b"Content-Length: 5"), Framing.LENGTH, 5),
        (head(b"content-length: 0"), Framing.LENGTH, 0),
        (head(b"Transfer-Encoding: Chunked"), Framing.CHUNKED, 0),
        (head(), Framing.UNTIL_CLOSE, 0),
        (head(b"Content-Length: 5", line=b"HTTP/1.1 304 Not Modified"), Framing.NO_BODY, 5),
        (head(line=b"HTTP/1.1 204 No Content"), Framing.NO_BODY, 0),
        (head(line=b"HTTP/1.1 103 Early Hints"), Framing.NO_BODY, 0),
    ],
)
def test_the_end_of_the_body(raw: bytes, framing: Framing, length: int) -> None:
    found, stated = ResponseReader().read(raw)
    assert (found.framing(stated, to_head=False), stated or 0) == (framing, length)


def test_an_answer_to_head_has_no_body_but_keeps_its_length() -> None:
    found, length = ResponseReader().read(head(b"Content-Length: 5"))
    assert found.framing(length, to_head=True) is Framing.NO_BODY
    assert client_head(found, length) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (head(b"Content-Length: 0"), True),
        (head(b"Content-Length: 0", b"Connection: close"), False),
        (head(b"Content-Length: 0", line=b"HTTP/1.0 200 OK"), False),
    ],
)
def test_whether_the_engine_keeps_its_connection(raw: bytes, kept: bool) -> None:
    assert parse(raw).keep_alive is kept


@pytest.mark.parametrize(
    "raw",
    [
        head(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        head(b"Content-Length: 1", b"Content-Length: 1"),
        head(b"Content-Length: x"),
        head(b"Transfer-Encoding: gzip, chunked"),
        head(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK"),
        head(line=b"HTTP/2 200 OK"),
        head(line=b"HTTP/1.1 20 OK"),
        head(b"X : 1"),
        head(*[b"a: b"] * 300),
        b"HTTP/1.1 200 OK\nX: 1\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_answers_that_cannot_be_passed_on(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse(raw)


def test_the_client_gets_every_end_to_end_field_as_it_came() -> None:
    found = parse(
        head(
            b"Set-Cookie: a=1",
            b"Set-Cookie: b=2",
            b"Connection: X-Hop, close",
            b"X-Hop: 1",
            b"Keep-Alive: timeout=5",
            b"Content-Length: 3",
            line=b"HTTP/1.0 200 Fine",
        )
    )
    assert client_head(found, found.length, told=b"x-told: 1\r\n", close=True) == (
        b"HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\ncontent-length: 3\r\n"
        b"x-told: 1\r\nconnection: close\r\n\r\n"
    )


def test_a_head_for_chunks() -> None:
    found = parse(head(b"Transfer-Encoding: chunked", b"Content-Type: text/event-stream; charset=utf-8"))
    assert found.is_event_stream
    assert client_head(found, None, chunked=True) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    )


def test_a_status_without_reason() -> None:
    assert parse(b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n").status == 404


def test_no_length_is_claimed_where_there_can_be_no_body() -> None:
    found, length = ResponseReader().read(head(b"Content-Length: 0", line=b"HTTP/1.1 204 No Content"))
    assert client_head(found, length) == b"HTTP/1.1 204 No Content\r\n\r\n"
