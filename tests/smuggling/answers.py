"""Answers of engines that a proxy and its client might read differently, and what the client must get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Gets(Enum):
    """What a client gets."""

    WHOLE = "the engine's answer, complete"
    FAILED = "a refusal of the router's own"
    BROKEN = "an answer that cannot be taken for complete"


@dataclass(frozen=True)
class AnswerCase:
    """One answer of an engine.

    Attributes:
        name: what is peculiar about it.
        pieces: what the engine sends, in pieces that arrive apart.
        gets: what the client may get.
        body: of a whole answer.
        status: of a whole answer.
        end: what the engine does afterwards: keep, close or reset its connection.
        is_reused: whether the engine's connection carries the next request; None where it may or may not.
        method: of the request.
        version: of the client.
        absent: lower-case names of fields that must not reach the client.
        present: fields that must reach the client, names in lower case.
        interim: statuses of the interim answers that must reach the client.
    """

    name: str
    pieces: tuple[bytes, ...]
    gets: frozenset[Gets]
    body: bytes = b""
    status: int = 200
    end: str = "keep"
    is_reused: bool | None = False
    method: bytes = b"GET"
    version: bytes = b"1.1"
    absent: tuple[bytes, ...] = ()
    present: tuple[tuple[bytes, bytes], ...] = ()
    interim: tuple[int, ...] = ()


LINE = b"HTTP/1.1 200 OK"
LENGTH = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
STOLEN = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"


def head(*fields: bytes, line: bytes = LINE) -> bytes:
    """An answer's head; `fields` without their CRLF."""
    return b"\r\n".join([line, *fields, b"", b""])


def whole(name: str, *pieces: bytes, body: bytes = b"hello", is_reused: bool = True, **more: object) -> AnswerCase:
    return AnswerCase(name, pieces, frozenset({Gets.WHOLE}), body, is_reused=is_reused, **more)  # type: ignore[arg-type]


def failed(name: str, *pieces: bytes, **more: object) -> AnswerCase:
    return AnswerCase(name, pieces, frozenset({Gets.FAILED}), **more)  # type: ignore[arg-type]


def broken(name: str, *pieces: bytes, **more: object) -> AnswerCase:
    return AnswerCase(name, pieces, frozenset({Gets.BROKEN}), **more)  # type: ignore[arg-type]


def clear_answers() -> Iterator[AnswerCase]:
    """Unusual, but nothing to doubt."""
    yield whole("length", head(LENGTH) + b"hello")
    yield whole("length, head and body apart", head(LENGTH), b"hello")
    yield whole("length, in pieces", head(LENGTH)[:9], head(LENGTH)[9:] + b"he", b"llo")
    yield whole("zeros before the length", head(b"Content-Length: 0005") + b"hello")
    yield whole("length without a space", head(b"content-length:5") + b"hello")
    yield whole("length 0", head(b"Content-Length: 0"), body=b"")
    yield whole("chunks", head(CHUNKED) + CHUNKS)
    yield whole("chunks in pieces", head(CHUNKED), b"5\r", b"\nhel", b"lo\r\n0", b"\r\n\r", b"\n")
    yield whole("chunks in odd case", head(b"TRANSFER-ENCODING: Chunked") + CHUNKS)
    yield whole("chunk extension", head(CHUNKED) + b"5;a=b\r\nhello\r\n0\r\n\r\n")
    yield whole("trailers", head(CHUNKED) + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
    yield whole("no chunk", head(CHUNKED) + b"0\r\n\r\n", body=b"")
    yield whole("close-delimited", head() + b"hello", end="close", is_reused=False)
    yield whole("close-delimited in pieces", head(), b"he", b"llo", end="close", is_reused=False)
    yield whole("close-delimited and empty", head(), end="close", body=b"", is_reused=False)
    yield whole("close-delimited and said so", head(b"Connection: close") + b"hello", end="close", is_reused=False)
    yield whole("length and Connection: close", head(LENGTH, b"Connection: close") + b"hello", is_reused=False)
    yield whole("chunks and Connection: close", head(CHUNKED, b"Connection: Close") + CHUNKS, is_reused=False)
    old = b"HTTP/1.0 200 OK"
    yield whole("HTTP/1.0 with a length", head(LENGTH, line=old) + b"hello", is_reused=False)
    yield whole("HTTP/1.0 until the end", head(line=old) + b"hello", end="close", is_reused=False)
    yield whole("length and a close", head(LENGTH) + b"hello", end="close", is_reused=False)
    yield whole("status without a reason", head(LENGTH, line=b"HTTP/1.1 200") + b"hello")
    yield whole("status with an empty reason", head(LENGTH, line=b"HTTP/1.1 200 ") + b"hello")
    yield whole("reason beyond ASCII", head(LENGTH, line=b"HTTP/1.1 200 \xfc\tb") + b"hello")
    yield whole("unknown status", head(LENGTH, line=b"HTTP/1.1 299 Odd") + b"hello", status=299)
    yield whole("status 404", head(LENGTH, line=b"HTTP/1.1 404 Not Found") + b"hello", status=404)
    yield whole("status 205 with a length 0", head(b"Content-Length: 0", line=b"HTTP/1.1 205 R"), body=b"", status=205)
    cookies = ((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
    yield whole("two cookies", head(b"Set-Cookie: a=1", LENGTH, b"Set-Cookie: b=2") + b"hello", present=cookies)
    yield whole(
        "Connection names a field",
        head(LENGTH, b"Connection: X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5") + b"hello",
        absent=(b"x-hop", b"connection", b"keep-alive"),
    )
    yield whole("Connection names the length", head(LENGTH, b"Connection: Content-Length") + b"hello")
    yield whole("Upgrade offered", head(LENGTH, b"Upgrade: h2c") + b"hello", absent=(b"upgrade",))


def bodiless_answers() -> Iterator[AnswerCase]:
    """Statuses and methods that allow no body; interim answers."""
    none = {"body": b"", "status": 204}
    yield whole("204", head(line=b"HTTP/1.1 204 No Content"), **none)
    yield whole("204 with a length", head(LENGTH, line=b"HTTP/1.1 204 N"), absent=(b"content-length",), **none)
    yield whole("204 with a coding", head(CHUNKED, line=b"HTTP/1.1 204 N"), absent=(b"transfer-encoding",), **none)
    yield whole("204 with a body", head(LENGTH, line=b"HTTP/1.1 204 N") + b"hello", is_reused=False, **none)
    yield whole("204 with a late body", head(line=b"HTTP/1.1 204 N"), b"hello", is_reused=False, **none)
    yield whole("204 with chunks", head(CHUNKED, line=b"HTTP/1.1 204 N") + CHUNKS, is_reused=False, **none)
    none = {"body": b"", "status": 304}
    yield whole("304", head(line=b"HTTP/1.1 304 Not Modified"), **none)
    yield whole("304 with a length", head(LENGTH, line=b"HTTP/1.1 304 N"), **none)
    yield whole("304 with a body", head(LENGTH, line=b"HTTP/1.1 304 N") + b"hello", is_reused=False, **none)
    yield whole("304 with another answer", head(line=b"HTTP/1.1 304 N") + STOLEN, is_reused=False, **none)
    to_head = {"body": b"", "method": b"HEAD"}
    yield whole("HEAD", head(LENGTH), present=((b"content-length", b"5"),), **to_head)
    yield whole("HEAD with a coding", head(CHUNKED), **to_head)
    yield whole("HEAD without framing", head(), **to_head)
    yield whole("HEAD with a body", head(LENGTH) + b"hello", is_reused=False, **to_head)
    yield whole("HEAD with a late body", head(LENGTH), b"hello", is_reused=False, **to_head)
    yield whole("HEAD with chunks", head(CHUNKED) + CHUNKS, is_reused=False, **to_head)
    yield failed("HEAD with length and coding", head(LENGTH, CHUNKED), method=b"HEAD")
    interim = head(line=b"HTTP/1.1 100 Continue")
    hints = head(b"Link: </a>", line=b"HTTP/1.1 103 Early Hints")
    final = head(LENGTH) + b"hello"
    yield whole("100 first", interim + final)
    yield whole("100 long before", interim, final)
    yield whole("103 first", hints + final, interim=(103,))
    yield whole("103 in pieces", hints[:20], hints[20:] + final[:10], final[10:], interim=(103,))
    yield whole("100, 103, 102", interim + hints + head(line=b"HTTP/1.1 102 P") + final, interim=(103, 102))
    yield whole("103 with a length", head(LENGTH, line=b"HTTP/1.1 103 E") + final, interim=(103,))
    either = frozenset({Gets.WHOLE, Gets.FAILED})
    yield AnswerCase("2,000 interim answers", (interim * 2000 + final,), either, b"hello", is_reused=None)
    yield AnswerCase("1 KB of hints", (hints * 20 + final,), either, b"hello", interim=(103,) * 20, is_reused=None)
    yield failed("103 with a body", head(LENGTH, line=b"HTTP/1.1 103 E") + b"hello" + final)
    yield failed("101", head(b"Upgrade: x", b"Connection: upgrade", line=b"HTTP/1.1 101 S"))
    yield failed("100 and nothing", interim, end="close")
    yield failed("status 099", head(LENGTH, line=b"HTTP/1.1 099 X") + b"hello")


def ambiguous_heads() -> Iterator[AnswerCase]:
    """Heads that do not say for sure where the body ends, or are no heads."""
    yield failed("length and coding", head(LENGTH, CHUNKED) + CHUNKS)
    yield failed("coding and length", head(CHUNKED, b"content-length: 15") + CHUNKS)
    for name, lines in {
        "two equal lengths": (LENGTH, LENGTH),
        "two different lengths": (LENGTH, b"content-length: 0"),
        "list of lengths": (b"Content-Length: 5, 5",),
        "length with plus": (b"Content-Length: +5",),
        "negative length": (b"Content-Length: -5",),
        "hexadecimal length": (b"Content-Length: 0x5",),
        "empty length": (b"Content-Length:",),
        "length 2^64 + 5": (b"Content-Length: 18446744073709551621",),
        "length with a unit": (b"Content-Length: 5 bytes",),
        "gzip, chunked": (b"Transfer-Encoding: gzip, chunked",),
        "identity": (b"Transfer-Encoding: identity",),
        "xchunked": (b"Transfer-Encoding: xchunked",),
        "chunked twice": (CHUNKED, CHUNKED),
        "chunked and identity": (CHUNKED, b"Transfer-Encoding: identity"),
        "empty coding": (b"Transfer-Encoding:",),
        "space before the colon": (b"Content-Length : 5",),
        "folded length": (b"Content-Length:\r\n 5",),
        "folded field": (LENGTH, b"X: y\r\n z"),
        "bare LF": (b"X: y\nContent-Length: 0", LENGTH),
        "bare CR": (b"X: y\rContent-Length: 0", LENGTH),
        "NUL": (LENGTH, b"X: \0"),
        "control character": (LENGTH, b"X: \x0b"),
        "no colon": (LENGTH, b"nonsense"),
        "empty name": (LENGTH, b": x"),
        "name with a space": (LENGTH, b"X Y: z"),
    }.items():
        yield failed(name, head(*lines) + b"hello")
    yield failed("coding in HTTP/1.0", head(CHUNKED, line=b"HTTP/1.0 200 OK") + CHUNKS)
    for line in (
        b"HTTP/2 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/0.9 200 OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 200 O\0K",
        b"HTTP/1.1 200 O\nK",
        b"HTTP/1.1 200 O\rK",
        b" HTTP/1.1 200 OK",
        b"\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1",
        b"GET / HTTP/1.1",
        b"",
    ):
        yield failed(f"line {line.decode()!r}", head(LENGTH, line=line) + b"hello")
    yield failed("no HTTP at all", b"<html>hello</html>\r\n\r\n", end="close")
    yield failed("lines ended by LF", (head(LENGTH) + b"hello").replace(b"\r\n", b"\n"), end="close")
    yield failed("head too large", head(b"X: " + b"y" * 70_000, LENGTH) + b"hello")
    yield failed("head without an end", LINE + b"\r\n" + b"X: y\r\n" * 12_000)
    yield failed("half a head", head(LENGTH)[:20], end="close")
    yield failed("half a head, then a reset", head(LENGTH)[:20], end="reset")
    yield failed("nothing", end="close")
    yield failed("nothing but a reset", end="reset")


def broken_bodies() -> Iterator[AnswerCase]:
    """Bodies that end too early, too late or not as announced."""
    yield broken("length cut short", head(LENGTH) + b"hell", end="close")
    yield broken("length cut short by a reset", head(LENGTH) + b"hell", end="reset")
    yield broken("chunk cut short", head(CHUNKED) + b"5\r\nhel", end="close")
    yield broken("no last chunk", head(CHUNKED) + b"5\r\nhello\r\n", end="close")
    yield broken("half a last chunk", head(CHUNKED) + b"5\r\nhello\r\n0\r\n", end="close")
    yield broken("half of trailers", head(CHUNKED) + b"5\r\nhello\r\n0\r\nX: y\r\n", end="close")
    yield broken("no last chunk, then a reset", head(CHUNKED) + b"5\r\nhello\r\n", end="reset")
    yield broken("close-delimited, then a reset", head() + b"hello", end="reset")
    stream = head(CHUNKED, b"Content-Type: text/event-stream")
    yield broken("stream without an end", stream + b"9\r\ndata: 1\n\n\r\n", end="close")
    yield broken("stream cut within a chunk", stream + b"9\r\ndata: 1\n", end="close")
    either = frozenset({Gets.BROKEN, Gets.FAILED})
    for name, chunks in {
        "size with minus": b"-5\r\nhello\r\n0\r\n\r\n",
        "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
        "size with a space": b"5 \r\nhello\r\n0\r\n\r\n",
        "size of 2^64 + 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        "size ended by LF": b"5\nhello\r\n0\r\n\r\n",
        "empty size": b"\r\nhello\r\n0\r\n\r\n",
        "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        "chunk too long": b"5\r\nhello!\r\n0\r\n\r\n",
        "chunk ended by LF": b"5\r\nhello\n0\r\n\r\n",
        "last size ended by LF": b"5\r\nhello\r\n0\n\r\n",
        "LF LF ends it": b"5\r\nhello\r\n0\n\n",
        "trailer with a space before the colon": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "trailer folded": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        "trailer with NUL": b"5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
        "no chunks at all": b"hello",
    }.items():
        yield AnswerCase(f"chunks: {name}", (head(CHUNKED) + chunks,), either)
    later = (head(CHUNKED) + b"5\r\nhello\r\n", b"x\r\n")
    yield AnswerCase("chunks: a bad size after a good chunk", later, frozenset({Gets.BROKEN}))


def more_than_an_answer() -> Iterator[AnswerCase]:
    """Bytes after the end of an answer: none of them may reach this client or another."""
    yield whole("length and more", head(LENGTH) + b"hello" + STOLEN, is_reused=False)
    yield whole("length and one byte more", head(LENGTH) + b"hello!", is_reused=False)
    yield whole("length and an empty line", head(LENGTH) + b"hello\r\n", is_reused=False)
    yield whole("length 0 and more", head(b"Content-Length: 0") + STOLEN, body=b"", is_reused=False)
    yield whole("length and more, later", head(LENGTH) + b"hello", STOLEN, is_reused=False)
    yield whole("chunks and more, later", head(CHUNKED) + CHUNKS, STOLEN, is_reused=False)
    yield whole("chunks and an empty line, later", head(CHUNKED) + CHUNKS, b"\r\n", is_reused=False)
    either = frozenset({Gets.WHOLE, Gets.BROKEN, Gets.FAILED})
    for name, extra in {
        "another answer": STOLEN,
        "a byte": b"x",
        "an empty line": b"\r\n",
        "a CR": b"\r",
        "an LF": b"\n",
        "another end": b"0\r\n\r\n",
    }.items():
        yield AnswerCase(f"chunks and {name}", (head(CHUNKED) + CHUNKS + extra,), either, b"hello")
        yield AnswerCase(
            f"chunks and {name}, in pieces", (head(CHUNKED) + CHUNKS[:-1], CHUNKS[-1:] + extra), either, b"hello"
        )


def old_clients() -> Iterator[AnswerCase]:
    """HTTP/1.0 clients get no chunks, so only the end of the connection can end such a body."""
    old = {"version": b"1.0"}
    yield whole("1.0: length", head(LENGTH) + b"hello", **old)
    yield whole("1.0: chunks", head(CHUNKED) + CHUNKS, absent=(b"transfer-encoding",), **old)
    yield whole("1.0: chunks with trailers", head(CHUNKED) + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", absent=(b"x",), **old)
    yield whole("1.0: close-delimited", head() + b"hello", end="close", is_reused=False, **old)
    yield whole("1.0: chunks and more", head(CHUNKED) + CHUNKS + STOLEN, is_reused=False, **old)
    yield whole("1.0: 103 first", head(line=b"HTTP/1.1 103 E") + head(LENGTH) + b"hello", **old)
    yield broken("1.0: length cut short", head(LENGTH) + b"hell", end="close", **old)
    yield broken("1.0: no last chunk", head(CHUNKED) + b"5\r\nhello\r\n", end="close", **old)
    yield broken("1.0: a bad size after a good chunk", head(CHUNKED) + b"5\r\nhello\r\n", b"x\r\n", **old)
    yield broken("1.0: close-delimited, then a reset", head() + b"hello", end="reset", **old)


def silent_engines() -> Iterator[AnswerCase]:
    """Engines that keep their connection and say nothing more."""
    yield failed("silence")
    yield failed("silence within the head", head(LENGTH)[:20])
    yield broken("silence within a length", head(LENGTH) + b"hell")
    yield broken("silence within a chunk", head(CHUNKED) + b"5\r\nhel")
    yield broken("silence between chunks", head(CHUNKED) + b"5\r\nhello\r\n")
    yield broken("silence before the end of a close-delimited body", head() + b"hello")
    yield broken("1.0: silence between chunks", head(CHUNKED) + b"5\r\nhello\r\n", version=b"1.0")


ANSWERS: tuple[AnswerCase, ...] = (
    *clear_answers(),
    *bodiless_answers(),
    *ambiguous_heads(),
    *broken_bodies(),
    *more_than_an_answer(),
    *old_clients(),
)
SILENT: tuple[AnswerCase, ...] = tuple(silent_engines())
