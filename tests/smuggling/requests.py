"""Requests that a proxy and the server behind it might read differently, and what the router must make of each.

A case either is refused (an answer of the router's own, the connection closed, not a byte at the engine), or reaches
the engine as exactly the requests it lists, each with one plain length or none, or waits for bytes that never come.
Statuses are sets where more than one refusal is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class End(Enum):
    """What becomes of the client's connection."""

    OPEN = "it may carry another request"
    CLOSED = "it is closed after the last answer"
    REFUSED = "it is closed after a refusal"
    WAITING = "more bytes are waited for"


class Sent(NamedTuple):
    """A request as the engine must get it."""

    method: bytes
    target: bytes
    body: bytes


@dataclass(frozen=True)
class Case:
    """One ambiguous input.

    Attributes:
        name: what is peculiar about it.
        raw: the bytes a client sends.
        reaches: what the engine must get, in order.
        end: what becomes of the connection.
        statuses: of the refusal, where there is one.
        absent: lower-case names of fields that must not reach the engine.
        present: field lines that must reach the engine.
    """

    name: str
    raw: bytes
    reaches: tuple[Sent, ...] = ()
    end: End = End.OPEN
    statuses: frozenset[int] = frozenset()
    absent: tuple[bytes, ...] = ()
    present: tuple[bytes, ...] = ()


TARGET = b"/v1/completions"
LINE = b"POST /v1/completions HTTP/1.1"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
SMUGGLED_SENT = Sent(b"GET", b"/smuggled", b"")
HELLO = Sent(b"POST", TARGET, b"hello")
EMPTY = Sent(b"POST", TARGET, b"")
CHUNKED = b"Transfer-Encoding: chunked"
HELLO_CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


def post(*fields: bytes, body: bytes = b"", line: bytes = LINE) -> bytes:
    """A POST with a good Host; `fields` without their CRLF."""
    return b"\r\n".join([line, b"Host: a", *fields, b"", b""]) + body


def get(*fields: bytes, line: bytes = b"GET /v1/x HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    """A request without a body."""
    return b"\r\n".join([line, *([host] if host else []), *fields, b"", b""])


def refused(name: str, raw: bytes, *statuses: int) -> Case:
    return Case(name, raw, end=End.REFUSED, statuses=frozenset(statuses or (400,)))


def passed(name: str, raw: bytes, *reaches: Sent, **more: object) -> Case:
    return Case(name, raw, reaches, **more)  # type: ignore[arg-type]


def then_refused(name: str, raw: bytes, *reaches: Sent, status: int = 400) -> Case:
    return Case(name, raw, reaches, End.REFUSED, frozenset({status}))


def waits(name: str, raw: bytes, *reaches: Sent) -> Case:
    return Case(name, raw, reaches, End.WAITING)


def length_and_coding() -> Iterator[Case]:
    """A length and a transfer coding in one head: CL.TE and TE.CL."""
    hidden = b"0\r\n\r\n" + SMUGGLED
    length = b"Content-Length: %d" % len(hidden)
    yield refused("CL.TE", post(length, CHUNKED, body=hidden))
    yield refused("TE.CL", post(CHUNKED, b"Content-Length: 4", body=b"26\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"))
    yield refused("CL 0 and TE", post(b"Content-Length: 0", CHUNKED, body=hidden))
    yield refused("TE and an empty CL", post(CHUNKED, b"Content-Length:", body=hidden))
    yield refused("CL and TE identity", post(length, b"Transfer-Encoding: identity", body=hidden), 400, 501)
    yield refused("CL and an empty TE", post(length, b"Transfer-Encoding:", body=hidden), 400, 501)
    yield refused("CL before and after TE", post(length, CHUNKED, length, body=hidden))
    yield refused("TE before and after CL", post(CHUNKED, length, CHUNKED, body=hidden))
    yield refused("CL and TE in odd case", post(b"cOnTeNt-LeNgTh: 4", b"tRaNsFeR-eNcOdInG: CHUNKED", body=hidden))
    yield refused("CL and TE on a GET", get(length, CHUNKED) + hidden)
    yield refused("CL and TE with Connection: close", post(length, CHUNKED, b"Connection: close", body=hidden))
    yield refused(
        "CL and TE, each named by Connection", post(length, CHUNKED, b"Connection: content-length", body=hidden)
    )
    yield refused(
        "CL and TE, TE named by Connection", post(length, CHUNKED, b"Connection: transfer-encoding", body=hidden)
    )
    old = b"POST /v1/completions HTTP/1.0"
    yield refused("TE in HTTP/1.0", post(CHUNKED, line=old, body=hidden))
    yield refused("CL and TE in HTTP/1.0", post(length, CHUNKED, line=old, body=hidden))
    yield passed(
        "underscored Transfer_Encoding is another field",
        post(b"Content-Length: 5", b"Transfer_Encoding: chunked", body=b"hello"),
        HELLO,
    )
    yield passed(
        "underscored Content_Length is another field", post(b"Content_Length: 38", body=SMUGGLED), EMPTY, SMUGGLED_SENT
    )
    yield passed(
        "a coding in TE is none of the message", post(b"TE: chunked", b"Content-Length: 5", body=b"hello"), HELLO
    )
    yield passed(
        "X-Transfer-Encoding is another field",
        post(b"X-Transfer-Encoding: chunked", b"Content-Length: 5", body=b"hello"),
        HELLO,
    )


CODINGS_MISUNDERSTOOD = {
    "xchunked": b"Transfer-Encoding: xchunked",
    "chunk": b"Transfer-Encoding: chunk",
    "identity": b"Transfer-Encoding: identity",
    "gzip": b"Transfer-Encoding: gzip",
    "empty": b"Transfer-Encoding:",
    "chunked, identity": b"Transfer-Encoding: chunked, identity",
    "identity, chunked": b"Transfer-Encoding: identity, chunked",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked",
    "chunked, gzip": b"Transfer-Encoding: chunked, gzip",
    "chunked, chunked": b"Transfer-Encoding: chunked, chunked",
    "comma before": b"Transfer-Encoding: , chunked",
    "comma after": b"Transfer-Encoding: chunked,",
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "empty parameter": b"Transfer-Encoding: chunked;",
    "double quotes": b'Transfer-Encoding: "chunked"',
    "single quotes": b"Transfer-Encoding: 'chunked'",
    "brackets": b"Transfer-Encoding: [chunked]",
    "space within": b"Transfer-Encoding: chu nked",
    "tab within": b"Transfer-Encoding: chun\tked",
    "second colon": b"Transfer-Encoding:: chunked",
    "no-break space after": b"Transfer-Encoding: chunked\xa0",
    "no-break space before": b"Transfer-Encoding: \xa0chunked",
    "next line character": b"Transfer-Encoding: chunked\x85",
    "byte order mark": b"Transfer-Encoding: \xef\xbb\xbfchunked",
    "overlong c": b"Transfer-Encoding: \xc1\xa3hunked",
    "next line character before": b"Transfer-Encoding:\x85chunked",
    "escape of a quoted string": b'Transfer-Encoding: "chu\\nked"',
    "colon after": b"Transfer-Encoding: chunked:",
    "blank list members": b"Transfer-Encoding: ,,chunked",
    "compress, chunked": b"Transfer-Encoding: compress, chunked",
}
"""Lines of good form whose coding is not exactly chunked."""

CODINGS_MALFORMED = {
    "space before the colon": b"Transfer-Encoding : chunked",
    "tab before the colon": b"Transfer-Encoding\t: chunked",
    "NUL before the colon": b"Transfer-Encoding\0: chunked",
    "VT before the colon": b"Transfer-Encoding\x0b: chunked",
    "no-break space before the colon": b"Transfer-Encoding\xa0: chunked",
    "space for the hyphen": b"Transfer Encoding: chunked",
    "equals sign for the colon": b"Transfer-Encoding= chunked",
    "no colon": b"Transfer-Encoding chunked",
    "semicolon before the colon": b"Transfer-Encoding;: chunked",
    "line begins with a space": b" Transfer-Encoding: chunked",
    "line begins with a tab": b"\tTransfer-Encoding: chunked",
    "line begins with NUL": b"\0Transfer-Encoding: chunked",
    "line begins with VT": b"\x0bTransfer-Encoding: chunked",
    "folded value": b"Transfer-Encoding:\r\n chunked",
    "tab-folded value": b"Transfer-Encoding:\r\n\tchunked",
    "fold after the value": b"Transfer-Encoding: chunked\r\n ",
    "fold adds a coding": b"Transfer-Encoding: chunked\r\n , identity",
    "folded into another field": b"X: y\r\n Transfer-Encoding: chunked",
    "name ends its line": b"Transfer-Encoding\r\n: chunked",
    "name ends its line by LF": b"Transfer-Encoding\n: chunked",
    "bare LF before the value": b"Transfer-Encoding:\nchunked",
    "bare LF before the line": b"X: y\nTransfer-Encoding: chunked",
    "bare LF after the line": b"Transfer-Encoding: chunked\nX: y",
    "bare CR before the line": b"X: y\rTransfer-Encoding: chunked",
    "bare CR after the line": b"Transfer-Encoding: chunked\rX: y",
    "CR CR LF after the line": b"Transfer-Encoding: chunked\r",
    "LF CR before the line": b"X: y\n\rTransfer-Encoding: chunked",
    "VT before the value": b"Transfer-Encoding:\x0bchunked",
    "FF before the value": b"Transfer-Encoding:\x0cchunked",
    "VT after the value": b"Transfer-Encoding: chunked\x0b",
    "NUL within the value": b"Transfer-Encoding: chun\0ked",
    "NUL after the value": b"Transfer-Encoding: chunked\0",
    "DEL after the value": b"Transfer-Encoding: chunked\x7f",
    "escape before the value": b"Transfer-Encoding: \x1bchunked",
    "letter beyond ASCII in the name": b"Transf\xc3\xa9r-Encoding: chunked",
    "dotless i in the name": b"Transfer-Encod\xc4\xb1ng: chunked",
    "file separator before the value": b"Transfer-Encoding:\x1cchunked",
    "file separator before the colon": b"Transfer-Encoding\x1c: chunked",
    "CR CR LF before the line": b"X: y\r\r\nTransfer-Encoding: chunked",
    "name of HTTP/2": b":transfer-encoding: chunked",
}
"""Lines outside the grammar that some server takes for a transfer coding."""

TWO_CODINGS = {
    "chunked twice": (CHUNKED, CHUNKED),
    "chunked, then identity": (CHUNKED, b"Transfer-Encoding: identity"),
    "identity, then chunked": (b"Transfer-Encoding: identity", CHUNKED),
    "chunked, then an empty one": (CHUNKED, b"Transfer-Encoding:"),
    "an unknown one, then chunked": (b"Transfer-Encoding: x", CHUNKED),
    "chunked in two spellings": (CHUNKED, b"TRANSFER-ENCODING: CHUNKED"),
}

CODINGS_UNDERSTOOD = {
    "upper case": b"TRANSFER-ENCODING: CHUNKED",
    "mixed case": b"tRaNsFeR-EnCoDiNg: cHuNkEd",
    "no space": b"Transfer-Encoding:chunked",
    "spaces around": b"Transfer-Encoding:    chunked   ",
    "tabs around": b"Transfer-Encoding:\tchunked\t",
}
"""Spellings that every server must read as chunked."""


def codings() -> Iterator[Case]:
    """TE.TE: transfer codings written so that one side might overlook them."""
    hidden = b"0\r\n\r\n" + SMUGGLED
    length = b"Content-Length: %d" % len(hidden)
    for name, line in (CODINGS_MISUNDERSTOOD | CODINGS_MALFORMED).items():
        yield refused(f"coding alone: {name}", post(line, body=hidden), 400, 501)
        yield refused(f"coding and CL: {name}", post(length, line, body=hidden), 400, 501)
    for name, lines in TWO_CODINGS.items():
        yield refused(f"two codings: {name}", post(*lines, body=hidden), 400, 501)
    for name, line in CODINGS_UNDERSTOOD.items():
        yield passed(f"coding understood: {name}", post(line, body=HELLO_CHUNKS), HELLO, absent=(b"transfer-encoding",))


LENGTHS_REFUSED = {
    "plus": b"Content-Length: +5",
    "minus": b"Content-Length: -5",
    "minus zero": b"Content-Length: -0",
    "minus one": b"Content-Length: -1",
    "hexadecimal": b"Content-Length: 0x5",
    "binary": b"Content-Length: 0b101",
    "octal": b"Content-Length: 0o5",
    "fraction": b"Content-Length: 5.0",
    "exponent": b"Content-Length: 5e0",
    "underscore": b"Content-Length: 1_0",
    "thousands": b"Content-Length: 1,000",
    "empty": b"Content-Length:",
    "blanks": b"Content-Length:   ",
    "word": b"Content-Length: five",
    "unit": b"Content-Length: 5 bytes",
    "two numbers": b"Content-Length: 5 5",
    "list of equals": b"Content-Length: 5, 5",
    "list of others": b"Content-Length: 5, 0",
    "list with an empty end": b"Content-Length: 5,",
    "list with an empty start": b"Content-Length: ,5",
    "parameter": b"Content-Length: 5;q=1",
    "quotes": b'Content-Length: "5"',
    "superscript": b"Content-Length: \xb2",
    "Arabic digit": b"Content-Length: \xd9\xa5",
    "full-width digit": b"Content-Length: \xef\xbc\x95",
    "no-break space": b"Content-Length: 5\xa0",
    "VT": b"Content-Length: 5\x0b",
    "FF before": b"Content-Length:\x0c5",
    "NUL": b"Content-Length: 5\0",
    "NUL before": b"Content-Length: \x005",
    "many zeros": b"Content-Length: " + b"0" * 40 + b"5",
    "2^64 + 5": b"Content-Length: 18446744073709551621",
    "2^63": b"Content-Length: 9223372036854775808",
    "forty digits": b"Content-Length: " + b"9" * 40,
    "space before the colon": b"Content-Length : 5",
    "tab before the colon": b"Content-Length\t: 5",
    "space before the name": b" Content-Length: 5",
    "space for the hyphen": b"Content Length: 5",
    "NUL in the name": b"Content-Length\0: 5",
    "folded": b"Content-Length:\r\n 5",
    "folded digits": b"Content-Length: 5\r\n 0",
    "bare LF": b"X: y\nContent-Length: 5",
    "bare CR": b"X: y\rContent-Length: 5",
    "LF after": b"Content-Length: 5\n",
    "no colon": b"Content-Length 5",
    "second colon": b"Content-Length:: 5",
    "next line character": b"Content-Length: 5\x85",
    "file separator": b"Content-Length: 5\x1c",
    "unit separator before": b"Content-Length:\x1f5",
    "19 digits of a small number": b"Content-Length: 0000000000000000005",
    "fold of a blank line": b"Content-Length: 5\r\n\t",
    "byte order mark before the name": b"\xef\xbb\xbfContent-Length: 5",
    "U+2010 for the hyphen": b"Content\xe2\x80\x90Length: 5",
    "soft hyphen": b"Content\xc2\xadLength: 5",
    "name of HTTP/2": b":content-length: 5",
}

LENGTH_PAIRS_REFUSED = {
    "equal": (b"Content-Length: 5", b"Content-Length: 5"),
    "equal in two spellings": (b"Content-Length: 5", b"content-length: 5"),
    "short first": (b"Content-Length: 0", b"Content-Length: 5"),
    "long first": (b"Content-Length: 5", b"Content-Length: 0"),
    "one with a zero before": (b"Content-Length: 5", b"Content-Length: 05"),
    "one empty": (b"Content-Length: 5", b"Content-Length:"),
    "one with a space before the colon": (b"Content-Length: 5", b"Content-Length : 0"),
    "others between": (b"Content-Length: 5", b"X: y", b"Accept: */*", b"CONTENT-LENGTH: 0"),
    "one no number": (b"content-length: 5", b"Content-Length: x"),
    "three": (b"Content-Length: 5", b"Content-Length: 5", b"Content-Length: 5"),
}

LENGTHS_UNDERSTOOD = {
    "plain": b"Content-Length: 5",
    "no space": b"Content-Length:5",
    "spaces around": b"Content-Length:   5  ",
    "tabs around": b"Content-Length:\t5\t",
    "upper case": b"CONTENT-LENGTH: 5",
    "lower case": b"content-length: 5",
    "zeros before": b"Content-Length: 0005",
}


def lengths() -> Iterator[Case]:
    """Several lengths, and lengths that are no plain number."""
    for name, line in LENGTHS_REFUSED.items():
        yield refused(f"length: {name}", post(line, body=b"hello" + SMUGGLED))
    for name, lines in LENGTH_PAIRS_REFUSED.items():
        yield refused(f"two lengths: {name}", post(*lines, body=b"hello" + SMUGGLED))
    for name, line in LENGTHS_UNDERSTOOD.items():
        yield passed(f"length understood: {name}", post(line, body=b"hello"), HELLO, present=(b"content-length: 5",))
    yield refused("length beyond the limit", post(b"Content-Length: " + b"9" * 18), 413)
    yield waits("length longer than what comes", post(b"Content-Length: 6", body=b"hello"))
    yield then_refused(
        "length shorter than what comes",
        post(b"Content-Length: 4", body=b"hello\r\n\r\n"),
        Sent(b"POST", TARGET, b"hell"),
    )
    yield then_refused("length 0 and a body", post(b"Content-Length: 0", body=b"hello\r\n\r\n"), EMPTY)
    yield passed("length 0 and a request after it", post(b"Content-Length: 0", body=SMUGGLED), EMPTY, SMUGGLED_SENT)
    yield then_refused("no length and a body", post(body=b"hello\r\n\r\n"), EMPTY)
    yield passed("GET with a body", get(b"Content-Length: 5") + b"hello", Sent(b"GET", b"/v1/x", b"hello"))
    yield passed(
        "GET with an empty body",
        get(b"Content-Length: 0"),
        Sent(b"GET", b"/v1/x", b""),
        present=(b"content-length: 0",),
    )
    yield passed("GET with a chunked body", get(CHUNKED) + HELLO_CHUNKS, Sent(b"GET", b"/v1/x", b"hello"))
    line = b"DELETE /v1/x HTTP/1.1"
    yield passed(
        "DELETE with a body", get(b"Content-Length: 5", line=line) + b"hello", Sent(b"DELETE", b"/v1/x", b"hello")
    )
    line = b"HEAD /v1/x HTTP/1.1"
    yield passed("HEAD with a body", get(b"Content-Length: 5", line=line) + b"hello", Sent(b"HEAD", b"/v1/x", b"hello"))
    yield passed(
        "a request hidden in a body",
        post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
        Sent(b"POST", TARGET, SMUGGLED),
    )
    yield passed(
        "a request hidden in a chunk",
        post(CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
        Sent(b"POST", TARGET, SMUGGLED),
    )
    yield passed(
        "chunks within a length",
        post(b"Content-Length: %d" % len(HELLO_CHUNKS), body=HELLO_CHUNKS),
        Sent(b"POST", TARGET, HELLO_CHUNKS),
    )


def line_ends() -> Iterator[Case]:
    """Lines that do not end with CRLF, and empty lines where none belongs."""
    plain = get(b"X: y")
    yield refused("LF for every CRLF", plain.replace(b"\r\n", b"\n"))
    yield refused("CR for every CRLF", plain.replace(b"\r\n", b"\r") + b"\r\n\r\n")
    yield refused("LF CR for every CRLF", plain.replace(b"\r\n", b"\n\r"))
    yield refused("CR CR LF for every CRLF", plain.replace(b"\r\n", b"\r\r\n") + b"\r\n\r\n")
    yield refused("LF after the request line", plain.replace(b"\r\n", b"\n", 1))
    yield refused("CR after the request line", plain.replace(b"\r\n", b"\r", 1))
    yield refused("LF LF ends the head", b"GET /v1/x HTTP/1.1\r\nHost: a\n\n" + SMUGGLED)
    yield refused("CRLF LF ends the head", b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\n" + SMUGGLED)
    yield refused("LF CRLF ends the head", b"GET /v1/x HTTP/1.1\r\nHost: a\n\r\n" + SMUGGLED)
    yield refused("CR LF CR ends the head", b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r" + SMUGGLED)
    yield refused("CR CR ends the head", b"GET /v1/x HTTP/1.1\r\nHost: a\r\r" + SMUGGLED)
    yield refused("CRLF CR CRLF ends the head", b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\r\n" + SMUGGLED)
    yield refused("CR within a value", get(b"X: y\rz"))
    yield refused("CR begins a value", get(b"X:\ry"))
    yield refused("CR ends a value", get(b"X: y\r"))
    yield refused("CR within a name", get(b"X\rY: z"))
    yield refused("LF within a value", get(b"X: y\nz"))
    yield refused("LF hides a field", get(b"X: y\nContent-Length: 5"))
    yield refused("CR in the request line", get(line=b"GET /v1/x\r HTTP/1.1"))
    yield refused("LF in the request line", get(line=b"GET /v1/x\n HTTP/1.1"))
    yield refused("LF before the request", b"\n" + plain)
    yield refused("CR before the request", b"\r" + plain)
    yield refused("space before the request", b" " + plain)
    yield refused("NUL before the request", b"\0" + plain)
    yield refused("an empty line with a space before the request", b" \r\n" + plain)
    yield passed("an empty line before the request", b"\r\n" + plain, Sent(b"GET", b"/v1/x", b""))
    yield passed("an empty line after a body", post(b"Content-Length: 5", body=b"hello\r\n"), HELLO)
    yield passed("an empty line after chunks", post(CHUNKED, body=HELLO_CHUNKS + b"\r\n"), HELLO)
    yield waits("head without an end", b"GET /v1/x HTTP/1.1\r\nHost: a\r\n")
    yield waits("half a request line", b"GET /v1/x HT")
    yield waits("nothing but an empty line", b"\r\n")
    yield waits("half an empty line", b"\r")
    for name, separator in {"VT": b"\x0b", "FF": b"\x0c", "NEL": b"\x85", "LS": b"\xe2\x80\xa8"}.items():
        yield refused(f"{name} for every CRLF", plain.replace(b"\r\n", separator) + b"\r\n\r\n")


def folds() -> Iterator[Case]:
    """Folded lines, which RFC 9112 §5.2 lets a server refuse."""
    for name, fold in {"space": b"\r\n ", "tab": b"\r\n\t", "many spaces": b"\r\n      "}.items():
        yield refused(f"value folded with {name}", get(b"X: y" + fold + b"z"))
        yield refused(f"first line folded with {name}", b"GET /v1/x HTTP/1.1" + fold + b"Host: a\r\n\r\n")
        yield refused(f"Host folded with {name}", get(host=b"Host:" + fold + b"a"))
        yield refused(f"empty line folded with {name}", get(b"X: y" + fold))
    yield refused("fold of a length", get(b"X: y\r\n Content-Length: 5") + b"hello")
    yield refused("fold that ends in a request line", get(b"X: y\r\n GET /smuggled HTTP/1.1"))
    yield refused("request line folded", b"GET /v1/x\r\n HTTP/1.1\r\nHost: a\r\n\r\n")


CONTROLS = (0x00, 0x01, 0x08, 0x0B, 0x0C, 0x0E, 0x1B, 0x1F, 0x7F)


def controls() -> Iterator[Case]:
    """Control characters in every part of a head."""
    for code in CONTROLS:
        c = bytes([code])
        yield refused(f"{code:#04x} in the method", get(line=b"GE" + c + b"T /v1/x HTTP/1.1"))
        yield refused(f"{code:#04x} in the target", get(line=b"GET /v1/" + c + b" HTTP/1.1"))
        yield refused(f"{code:#04x} for the first space", get(line=b"GET" + c + b"/v1/x HTTP/1.1"))
        yield refused(f"{code:#04x} after the version", get(line=b"GET /v1/x HTTP/1.1" + c))
        yield refused(f"{code:#04x} in a name", get(b"X" + c + b"Y: z"))
        yield refused(f"{code:#04x} ends a name", get(b"X" + c + b": z"))
        yield refused(f"{code:#04x} in a value", get(b"X: y" + c + b"z"))
        yield refused(f"{code:#04x} begins a value", get(b"X:" + c))
        yield refused(f"{code:#04x} in Host", get(host=b"Host: a" + c + b"b"))
    for code in (0x80, 0xA0, 0xFF):
        c = bytes([code])
        yield refused(f"{code:#04x} in the method", get(line=b"G" + c + b" /v1/x HTTP/1.1"))
        yield refused(f"{code:#04x} in the target", get(line=b"GET /" + c + b" HTTP/1.1"))
        yield refused(f"{code:#04x} in a name", get(b"X" + c + b": z"))
        yield passed(f"{code:#04x} in a value", get(b"X: y" + c), Sent(b"GET", b"/v1/x", b""), present=(b"X: y" + c,))


def names() -> Iterator[Case]:
    """Field names that are no tokens."""
    for name in (
        b"",
        b"X Y",
        b"X\t",
        b"X ",
        b"X/Y",
        b"(X)",
        b'"X"',
        b"X@Y",
        b"X[0]",
        b"{X}",
        b"X,Y",
        b"X;Y",
        b"X=Y",
        b"X\\Y",
        b"<X>",
        b"X?",
    ):
        yield refused(f"name {name!r}", get(name + b": z"))
    yield refused("line without a colon", get(b"nonsense"))
    yield refused("line that is a request line", get(b"GET /smuggled HTTP/1.1"))
    yield refused("line of blanks", get(b"   "))
    for name in (b"!#$%&'*+-.^_`|~09azAZ", b"-", b"_", b"."):
        line = name + b": z"
        yield passed(f"name {name!r}", get(line), Sent(b"GET", b"/v1/x", b""), present=(line,))
    yield passed("empty value", get(b"X:"), Sent(b"GET", b"/v1/x", b""), present=(b"X:",))
    yield passed("colons in a value", get(b"X:::y"), Sent(b"GET", b"/v1/x", b""), present=(b"X:::y",))


BODIES_REFUSED = {
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "h": b"5h\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "comma": b"5,5\r\nhello\r\n0\r\n\r\n",
    "fraction": b"5.0\r\nhello\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space after": b"5 \r\nhello\r\n0\r\n\r\n",
    "tab after": b"5\t\r\nhello\r\n0\r\n\r\n",
    "space within": b"0 5\r\nhello\r\n0\r\n\r\n",
    "NUL": b"5\0\r\nhello\r\n0\r\n\r\n",
    "VT": b"5\x0b\r\nhello\r\n0\r\n\r\n",
    "full-width digit": b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
    "empty": b"\r\nhello\r\n0\r\n\r\n",
    "empty line before": b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "sixteen digits": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "2^64 + 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "forty digits": b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "forty zeros before": b"0" * 40 + b"5\r\nhello\r\n0\r\n\r\n",
    "endless digits": b"5" * 5000,
    "LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "CR CR LF after the size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "LF CR after the size": b"5\n\rhello\r\n0\r\n\r\n",
    "LF in an extension": b"5;a=b\nhello\r\n0\r\n\r\n",
    "LF in a quoted extension": b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "CRLF in a quoted extension": b'5;a="\r\nhello\r\n"\r\n0\r\n\r\n',
    "NUL in an extension": b"5;a=\0\r\nhello\r\n0\r\n\r\n",
    "extension without a semicolon": b"5 a=b\r\nhello\r\n0\r\n\r\n",
    "extension without an end": b"5;" + b"a" * 5000,
    "extension alone": b";a\r\nhello\r\n0\r\n\r\n",
    "chunk longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "decimal size": b"10\r\n0123456789\r\n0\r\n\r\n12345",
    "no CRLF after the chunk": b"5\r\nhello0\r\n\r\n",
    "LF after the chunk": b"5\r\nhello\n0\r\n\r\n",
    "CR after the chunk": b"5\r\nhello\r0\r\n\r\n",
    "two bytes after the chunk": b"5\r\nhelloXX0\r\n\r\n",
    "request after the chunk": b"5\r\nhello" + SMUGGLED,
    "space before the last size": b"5\r\nhello\r\n 0\r\n\r\n",
    "space after the last size": b"5\r\nhello\r\n0 \r\n\r\n",
    "LF after the last size": b"5\r\nhello\r\n0\n\r\n",
    "LF LF ends the body": b"5\r\nhello\r\n0\n\n" + SMUGGLED,
    "CRLF LF ends the body": b"5\r\nhello\r\n0\r\n\n" + SMUGGLED,
    "request in place of trailers": b"0\r\n" + SMUGGLED,
    "0x0": b"5\r\nhello\r\n0x0\r\n\r\n",
    "minus zero": b"5\r\nhello\r\n-0\r\n\r\n",
    "trailer folded": b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer begins with a space": b"0\r\n X: y\r\n\r\n",
    "trailer with a space before the colon": b"0\r\nX : y\r\n\r\n",
    "trailer without a colon": b"0\r\nnonsense\r\n\r\n",
    "trailer with LF": b"0\r\nX: y\n\r\n",
    "trailer with CR": b"0\r\nX: y\rZ: z\r\n\r\n",
    "trailer with NUL": b"0\r\nX: \0\r\n\r\n",
    "extension with spaces": b"5; a = b\r\nhello\r\n0\r\n\r\n",
    "space before the extension": b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
    "trailer Content-Length": b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n",
    "trailer Transfer-Encoding": b"5\r\nhello\r\n0\r\nTransfer-Encoding: identity\r\n\r\n",
    "trailer of 5,000 bytes": b"0\r\nX: " + b"y" * 5000 + b"\r\n\r\n",
    "trailers of 20,000 bytes": b"0\r\n" + b"X: y\r\n" * 3334 + b"\r\n",
    "extensions far beyond the payload": (b"1;" + b"e" * 1000 + b"\r\na\r\n") * 20,
    "extension of nothing": b"5;\r\nhello\r\n0\r\n\r\n",
    "two semicolons": b"5;;a\r\nhello\r\n0\r\n\r\n",
    "extension without a name": b"5;=a\r\nhello\r\n0\r\n\r\n",
    "extension with an empty value": b"5;a=\r\nhello\r\n0\r\n\r\n",
    "extension with an open quote": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "extension with text after its quotes": b'5;a="b"c\r\nhello\r\n0\r\n\r\n',
    "extension whose last quote is escaped": b'5;a="b\\"\r\nhello\r\n0\r\n\r\n',
    "extension with NEL": b"5;a\x85\r\nhello\r\n0\r\n\r\n",
    "extension that CR CR LF ends": b"5;a\r\r\nhello\r\n0\r\n\r\n",
    "extension that LF begins, one size after it": b"2;\nxx\r\n30\r\n0\r\n\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    "extension that CR begins, one size after it": b"2;\rxx\r\n30\r\n0\r\n\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    "no-break space after": b"5\xa0\r\nhello\r\n0\r\n\r\n",
    "VT before": b"\x0b5\r\nhello\r\n0\r\n\r\n",
    "tab before": b"\t5\r\nhello\r\n0\r\n\r\n",
    "0X": b"0X5\r\nhello\r\n0\r\n\r\n",
    "quotes": b'"5"\r\nhello\r\n0\r\n\r\n',
    "sixteen digits of a small number": b"0000000000000005\r\nhello\r\n0\r\n\r\n",
    "2^63": b"8000000000000000\r\nhello\r\n0\r\n\r\n",
    "CR in the last extension": b"5\r\nhello\r\n0;\r\r\n\r\n",
    "CR CR ends the body": b"5\r\nhello\r\n0\r\r" + SMUGGLED,
    "LF CR ends the body": b"5\r\nhello\r\n0\n\r" + SMUGGLED,
    "blank line ends the body": b"5\r\nhello\r\n0\r\n \r\n" + SMUGGLED,
    "trailer without a name": b"0\r\n: x\r\n\r\n",
    "trailer that begins with a no-break space": b"0\r\n\xa0X: y\r\n\r\n",
    "trailer Content-Length in odd case": b"0\r\ncOnTeNt-LeNgTh: 5\r\n\r\n",
}

BODIES_UNDERSTOOD = {
    "one chunk": HELLO_CHUNKS,
    "two chunks": b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "one-byte chunks": b"".join(b"1\r\n%c\r\n" % c for c in b"hello") + b"0\r\n\r\n",
    "zeros before": b"005\r\nhello\r\n000\r\n\r\n",
    "extension": b"5;a=b\r\nhello\r\n0;c=d\r\n\r\n",
    "extension without a value": b"5;a\r\nhello\r\n0\r\n\r\n",
    "quoted extension": b'5;a="b;c=\\"d\\""\r\nhello\r\n0\r\n\r\n',
    "extension that looks like a size": b"5;5\r\nhello\r\n0\r\n\r\n",
    "trailer Connection": b"5\r\nhello\r\n0\r\nConnection: close\r\n\r\n",
    "trailer": b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    "trailer without a value": b"5\r\nhello\r\n0\r\nX:\r\n\r\n",
    "trailer Host": b"5\r\nhello\r\n0\r\nHost: evil\r\n\r\n",
    "trailer Authorization": b"5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\n\r\n",
    "trailer x-wattroute-class": b"5\r\nhello\r\n0\r\nx-wattroute-class: premium\r\n\r\n",
}


def chunked_bodies() -> Iterator[Case]:
    """Chunk sizes, extensions, ends and trailers."""
    for name, body in BODIES_REFUSED.items():
        yield refused(f"chunks: {name}", post(CHUNKED, body=body))
    gone = (b"transfer-encoding", b"x-sum", b"authorization", b"x-wattroute-class")
    for name, body in BODIES_UNDERSTOOD.items():
        yield passed(
            f"chunks understood: {name}",
            post(CHUNKED, body=body),
            HELLO,
            absent=gone,
            present=(b"content-length: 5", b"Host: a"),
        )
    hexadecimal = Sent(b"POST", TARGET, b"0123456789")
    yield passed("chunk size in upper case", post(CHUNKED, body=b"A\r\n0123456789\r\n0\r\n\r\n"), hexadecimal)
    yield passed("chunk size in lower case", post(CHUNKED, body=b"a\r\n0123456789\r\n0\r\n\r\n"), hexadecimal)
    yield passed("no chunk", post(CHUNKED, body=b"0\r\n\r\n"), EMPTY, present=(b"content-length: 0",))
    yield passed("request after chunks", post(CHUNKED, body=HELLO_CHUNKS + SMUGGLED), HELLO, SMUGGLED_SENT)
    yield passed("two chunked requests", post(CHUNKED, body=HELLO_CHUNKS) * 2, HELLO, HELLO)
    yield passed("Trailer announced", post(CHUNKED, b"Trailer: Host", body=HELLO_CHUNKS), HELLO, absent=(b"trailer",))
    yield passed("TE: trailers", post(CHUNKED, b"TE: trailers", body=HELLO_CHUNKS), HELLO, absent=(b"te",))
    yield then_refused("bytes after chunks", post(CHUNKED, body=HELLO_CHUNKS + b"0\r\n\r\n"), HELLO)
    for name, body in {
        "no end": b"5\r\nhello\r\n",
        "half an end": b"5\r\nhello\r\n0\r\n\r",
        "no end of trailers": b"5\r\nhello\r\n0\r\nX: y\r\n",
        "size of 2^32 + 5": b"100000005\r\nhello\r\n0\r\n\r\n",
        "size of 2^59": b"800000000000000\r\nhello\r\n0\r\n\r\n",
        "half a size": b"5",
        "nothing": b"",
    }.items():
        yield waits(f"chunks that do not end: {name}", post(CHUNKED, body=body))


TARGETS_REFUSED = {
    "absolute": b"http://a/v1/x",
    "absolute with another host": b"http://evil/v1/x",
    "absolute https": b"https://a/v1/x",
    "absolute in upper case": b"HTTP://a/v1/x",
    "scheme without authority": b"http:/v1/x",
    "authority": b"a:80",
    "host alone": b"a",
    "asterisk": b"*",
    "relative": b"v1/x",
    "dot": b"./v1/x",
    "query alone": b"?x=y",
    "fragment alone": b"#x",
    "backslash": b"\\v1\\x",
    "percent": b"%2fv1%2fx",
    "beyond ASCII": b"/v1/\xc3\xbc",
    "space": b"/v1/ x",
    "tab": b"/v1/\tx",
}

TARGETS_PASSED = (
    b"/v1/x?q=http://evil/",
    b"//evil/v1/x",
    b"/v1/../x",
    b"/v1//x",
    b"/v1/x;p=1",
    b"/v1/%0d%0aHost:%20evil",
    b"/v1/%00",
    b"/v1/%",
    b"/v1/x?a=b?c&d=%26",
    b"/v1/x\\y",
    b"/v1/<x>",
    b'/v1/"x"',
    b"/v1/{x}|^`",
    b"/v1/x#fragment",
    b"/@evil:80/",
    b"/" + b"a" * 8000,
)


def targets() -> Iterator[Case]:
    """Forms of the request target, RFC 9112 §3.2. What is a path goes on as it came."""
    for name, target in TARGETS_REFUSED.items():
        yield refused(f"target: {name}", get(line=b"GET " + target + b" HTTP/1.1"))
    for target in TARGETS_PASSED:
        yield passed(
            f"target {target[:32].decode()}", get(line=b"GET " + target + b" HTTP/1.1"), Sent(b"GET", target, b"")
        )
    yield refused("OPTIONS *", get(line=b"OPTIONS * HTTP/1.1"))
    yield refused("CONNECT to an authority", get(line=b"CONNECT evil:443 HTTP/1.1"), 400, 405)
    yield refused("CONNECT to a path", get(line=b"CONNECT /v1/x HTTP/1.1"), 405)
    yield refused("TRACE", get(line=b"TRACE /v1/x HTTP/1.1"), 405)
    yield refused("a target of 70,000 bytes", get(line=b"GET /" + b"a" * 70_000 + b" HTTP/1.1"), 400, 414, 431)


HOSTS_REFUSED = {
    "missing": b"",
    "empty": b"Host:",
    "twice": b"Host: a\r\nHost: a",
    "two different": b"Host: a\r\nHost: evil",
    "in two spellings": b"Host: a\r\nhost: evil",
    "list": b"Host: a, evil",
    "two words": b"Host: a evil",
    "path": b"Host: a/x",
    "query": b"Host: a?x",
    "fragment": b"Host: a#x",
    "user": b"Host: user@a",
    "user and password": b"Host: user:pass@a",
    "scheme": b"Host: http://a",
    "empty port": b"Host: a:",
    "word for a port": b"Host: a:b",
    "six digits for a port": b"Host: a:123456",
    "minus for a port": b"Host: a:-1",
    "two ports": b"Host: a:80:90",
    "port alone": b"Host: :80",
    "open bracket": b"Host: [::1",
    "zone": b"Host: [fe80::1%25eth0]",
    "brackets within": b"Host: a[::1]",
    "text after the bracket": b"Host: [::1]evil",
    "no brackets": b"Host: ::1",
    "quotes": b'Host: "a"',
    "percent": b"Host: a%2eb",
    "asterisk": b"Host: *",
    "beyond ASCII": b"Host: \xc3\xbc",
    "backslash": b"Host: a\\evil",
    "space before the colon": b"Host : a",
    "space before the name": b" Host: a",
    "tab within": b"Host: a\tb",
    "semicolon": b"Host: a;b",
}

HOSTS_PASSED = (b"a:80", b"a.b-c.d.", b"a_b", b"127.0.0.1:8000", b"[::1]", b"[::ffff:1.2.3.4]:80")


def hosts() -> Iterator[Case]:
    """The Host field, RFC 9112 §3.2."""
    for name, line in HOSTS_REFUSED.items():
        yield refused(f"Host: {name}", get(host=line))
    for host in HOSTS_PASSED:
        yield passed(
            f"Host {host.decode()}",
            get(host=b"Host: " + host),
            Sent(b"GET", b"/v1/x", b""),
            present=(b"Host: " + host,),
        )
    old = b"GET /v1/x HTTP/1.0"
    yield passed("no Host in HTTP/1.0", get(line=old, host=b""), Sent(b"GET", b"/v1/x", b""), end=End.CLOSED)
    yield refused("two Hosts in HTTP/1.0", get(line=old, host=b"Host: a\r\nHost: b"))
    yield refused("a bad Host in HTTP/1.0", get(line=old, host=b"Host: a/b"))


LINES_REFUSED = {
    "HTTP/0.9": b"GET /v1/x",
    "HTTP/0.9 with a space": b"GET /v1/x ",
    "version 0.9": b"GET /v1/x HTTP/0.9",
    "version 1.2": b"GET /v1/x HTTP/1.2",
    "version 1.9": b"GET /v1/x HTTP/1.9",
    "version 2.0": b"GET /v1/x HTTP/2.0",
    "version 2": b"GET /v1/x HTTP/2",
    "version 3": b"GET /v1/x HTTP/3",
    "version 1": b"GET /v1/x HTTP/1",
    "version 1.10": b"GET /v1/x HTTP/1.10",
    "version 01.1": b"GET /v1/x HTTP/01.1",
    "version 1.1.1": b"GET /v1/x HTTP/1.1.1",
    "version 1,1": b"GET /v1/x HTTP/1,1",
    "version with spaces": b"GET /v1/x HTTP/ 1.1",
    "version +1.1": b"GET /v1/x HTTP/+1.1",
    "version in full-width digits": b"GET /v1/x HTTP/\xef\xbc\x91.1",
    "lower-case http": b"GET /v1/x http/1.1",
    "mixed-case http": b"GET /v1/x Http/1.1",
    "no slash": b"GET /v1/x HTTP1.1",
    "backslash": b"GET /v1/x HTTP\\1.1",
    "HTTPS": b"GET /v1/x HTTPS/1.1",
    "RTSP": b"GET /v1/x RTSP/1.1",
    "two versions": b"GET /v1/x HTTP/1.1 HTTP/1.1",
    "text after the version": b"GET /v1/x HTTP/1.1x",
    "space after the version": b"GET /v1/x HTTP/1.1 ",
    "tab after the version": b"GET /v1/x HTTP/1.1\t",
    "two spaces": b"GET  /v1/x HTTP/1.1",
    "two spaces before the version": b"GET /v1/x  HTTP/1.1",
    "tab": b"GET\t/v1/x HTTP/1.1",
    "tab before the version": b"GET /v1/x\tHTTP/1.1",
    "no target": b"GET HTTP/1.1",
    "no method": b"/v1/x HTTP/1.1",
    "empty method": b" /v1/x HTTP/1.1",
    "answer's line": b"HTTP/1.1 200 OK",
    "method with parentheses": b"G(T /v1/x HTTP/1.1",
    "method with a comma": b"GET,POST /v1/x HTTP/1.1",
    "method with a colon": b"GET: /v1/x HTTP/1.1",
    "method in quotes": b'"GET" /v1/x HTTP/1.1',
    "method with a slash": b"GET/POST /v1/x HTTP/1.1",
    "method of 40 letters": b"G" * 40 + b" /v1/x HTTP/1.1",
}

METHODS_PASSED = (b"get", b"Post", b"PURGE", b"M-SEARCH", b"X", b"!", b"GET_", b"OPTIONS", b"PATCH", b"PUT")


def request_lines() -> Iterator[Case]:
    """Request lines: versions and methods."""
    for name, line in LINES_REFUSED.items():
        yield refused(f"line: {name}", get(line=line))
    for method in METHODS_PASSED:
        yield passed(f"method {method.decode()}", get(line=method + b" /v1/x HTTP/1.1"), Sent(method, b"/v1/x", b""))
    yield refused("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    yield refused("beginning of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    yield refused("HTTP/0.9 and a second line", b"GET /v1/x\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n")
    yield refused("PROXY protocol", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get())
    old = b"POST /v1/completions HTTP/1.0"
    yield passed("HTTP/1.0 with a body", post(b"Content-Length: 5", line=old, body=b"hello"), HELLO, end=End.CLOSED)
    yield passed(
        "HTTP/1.0 and a request after it",
        post(b"Content-Length: 5", line=old, body=b"hello" + SMUGGLED),
        HELLO,
        end=End.CLOSED,
    )
    yield passed(
        "HTTP/1.0 with keep-alive",
        post(b"Content-Length: 5", b"Connection: keep-alive", line=old, body=b"hello"),
        HELLO,
        end=End.CLOSED,
    )
    yield passed(
        "HTTP/1.0 with Expect",
        post(b"Content-Length: 5", b"Expect: 100-continue", line=old, body=b"hello"),
        HELLO,
        end=End.CLOSED,
        absent=(b"expect",),
    )


def hop_by_hop() -> Iterator[Case]:
    """What a Connection field names, upgrades and expectations."""
    length = b"Content-Length: 5"
    for name in (b"Content-Length", b"Host", b"Content-Type", b"Authorization"):
        line = b"Authorization: Bearer k"
        yield passed(
            f"Connection names {name.decode()}",
            post(b"Connection: " + name, length, line, b"Content-Type: a/b", body=b"hello"),
            HELLO,
            present=(b"Host: a", b"content-length: 5", line, b"Content-Type: a/b"),
            absent=(b"connection",),
        )
    yield passed(
        "Connection names Transfer-Encoding", post(b"Connection: Transfer-Encoding", CHUNKED, body=HELLO_CHUNKS), HELLO
    )
    yield passed(
        "Connection names fields of its own",
        post(b"Connection: X-Hop, x-other", b"X-Hop: 1", b"X-OTHER: 2", b"X-End: 3", length, body=b"hello"),
        HELLO,
        absent=(b"x-hop", b"x-other"),
        present=(b"X-End: 3",),
    )
    yield passed("Connection names nothing", post(b"Connection: ,, ,", length, body=b"hello"), HELLO)
    yield passed(
        "Connection names itself",
        post(b"Connection: connection", length, body=b"hello"),
        HELLO,
        absent=(b"connection",),
    )
    for value in (b"close", b"Close", b"keep-alive, close", b"close, keep-alive", b" , close ,"):
        yield passed(
            f"Connection: {value.decode()}",
            post(b"Connection: " + value, length, body=b"hello" + SMUGGLED),
            HELLO,
            end=End.CLOSED,
        )
    yield passed(
        "close in the second of two Connection fields",
        post(b"Connection: keep-alive", b"Connection: close", length, body=b"hello" + SMUGGLED),
        HELLO,
        end=End.CLOSED,
    )
    yield passed(
        "upgrade to h2c",
        post(
            b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", length, body=b"hello"
        ),
        HELLO,
        absent=(b"upgrade", b"http2-settings", b"connection"),
    )
    yield passed(
        "upgrade to h2c that Connection does not name",
        post(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", length, body=b"hello"),
        HELLO,
        absent=(b"upgrade",),
    )
    yield passed(
        "upgrade to a web socket, and a request after it",
        get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13") + SMUGGLED,
        Sent(b"GET", b"/v1/x", b""),
        SMUGGLED_SENT,
        absent=(b"upgrade", b"connection"),
    )
    yield passed(
        "Proxy-Connection",
        post(b"Proxy-Connection: close", length, body=b"hello"),
        HELLO,
        absent=(b"proxy-connection",),
    )
    yield passed("Keep-Alive", post(b"Keep-Alive: timeout=1", length, body=b"hello"), HELLO, absent=(b"keep-alive",))
    expect = b"Expect: 100-continue"
    yield passed("Expect with a length", post(expect, length, body=b"hello"), HELLO, absent=(b"expect",))
    yield passed("Expect in odd case", post(b"eXpEcT: 100-CONTINUE", length, body=b"hello"), HELLO, absent=(b"expect",))
    yield passed("Expect with chunks", post(expect, CHUNKED, body=HELLO_CHUNKS), HELLO, absent=(b"expect",))
    yield passed("Expect without a body", get(expect), Sent(b"GET", b"/v1/x", b""), absent=(b"expect",))
    yield passed("Expect with an empty body", post(expect, b"Content-Length: 0"), EMPTY, absent=(b"expect",))
    yield refused("Expect of something else", post(b"Expect: 200-ok", length, body=b"hello"), 417)
    yield refused("Expect of nothing", post(b"Expect:", length, body=b"hello"), 417)
    yield refused("Expect of two things", post(b"Expect: 100-continue, 200-ok", length, body=b"hello"), 417)
    yield refused("Expect with a parameter", post(b"Expect: 100-continue;q=1", length, body=b"hello"), 417)
    yield refused("Expect twice", post(expect, expect, length, body=b"hello"), 400, 417)
    yield refused("two types", post(b"Content-Type: a/b", b"Content-Type: c/d", length, body=b"hello"))


METHODS = (b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"PUT", b"PROPFIND", b"get", b"FOO")


def bodies_of_any_method() -> Iterator[Case]:
    """CL.0 and TE.0: requests hidden in bodies that some server does not expect of the method."""
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    for method in METHODS:
        name, line = method.decode(), method + b" /v1/x HTTP/1.1"
        length = b"Content-Length: %d" % len(SMUGGLED)
        yield passed(f"{name} with a length", post(length, line=line, body=SMUGGLED), Sent(method, b"/v1/x", SMUGGLED))
        yield passed(f"{name} in chunks", post(CHUNKED, line=line, body=chunk), Sent(method, b"/v1/x", SMUGGLED))
        yield passed(
            f"{name} without a length", post(line=line, body=SMUGGLED), Sent(method, b"/v1/x", b""), SMUGGLED_SENT
        )


def after_refusals() -> Iterator[Case]:
    """What a client sends after a request that is refused is never taken for a request."""
    hidden = b"Content-Length: %d" % len(SMUGGLED)
    yield refused("413, then a request", post(b"Content-Length: 99999999999", body=SMUGGLED), 413)
    yield refused("417, then its body", post(b"Expect: 200-ok", hidden, body=SMUGGLED), 417)
    yield refused("a word before the expectation", post(b"Expect: y 100-continue", hidden, body=SMUGGLED), 417)
    yield refused("folded expectation", post(b"Expect:\r\n 100-continue", hidden, body=SMUGGLED))
    yield refused("LF before the expectation", post(b"Expect: \n100-continue", hidden, body=SMUGGLED))
    yield refused("501, then its body", post(b"Transfer-Encoding: gzip", body=SMUGGLED), 501)
    yield refused("405, then a request", get(line=b"TRACE /v1/x HTTP/1.1") + SMUGGLED, 405)
    yield refused("CONNECT, then a request", get(line=b"CONNECT evil:443 HTTP/1.1") + SMUGGLED, 400, 405)
    yield refused("431, then a request", get(b"X: " + b"y" * 70_000) + SMUGGLED, 431)
    yield refused("a bad Host, then a request", get(host=b"Host: user@a") + SMUGGLED)
    yield refused("a name of HTTP/2, then a request", get(b":authority: evil") + SMUGGLED)
    yield refused("a bad chunk, then a request", post(CHUNKED, body=b"5\r\nhello\r\nZ\r\n" + SMUGGLED))
    yield refused("a bad trailer, then a request", post(CHUNKED, body=b"0\r\nX\r\n\r\n" + SMUGGLED))
    yield then_refused(
        "upgrade to h2c, then the preface of HTTP/2",
        get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
        + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + SMUGGLED,
        Sent(b"GET", b"/v1/x", b""),
    )


def pipelines() -> Iterator[Case]:
    """Requests sent ahead of an answer."""
    one = post(b"Content-Length: 5", body=b"hello")
    yield passed("two requests", one + SMUGGLED, HELLO, SMUGGLED_SENT)
    yield passed("ten requests", one * 10, *[HELLO] * 10)
    yield passed("requests with empty lines between", one + b"\r\n" + one, HELLO, HELLO)
    yield then_refused("a good and a bad one", one + get(b"X : y"), HELLO)
    yield then_refused(
        "a good one and one with two lengths", one + post(b"Content-Length: 1", b"Content-Length: 2"), HELLO
    )
    yield then_refused(
        "a good one and CL.TE", one + post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED), HELLO
    )
    yield then_refused("a good one and a line of HTTP/0.9", one + b"GET /v1/x\r\n\r\n", HELLO)
    yield then_refused("a good one and bad chunks", one + post(CHUNKED, body=b"x\r\n"), HELLO)
    yield waits("a good one and half of one", one + b"GET /v1/x HTTP/1.1\r\nHost:", HELLO)
    yield refused("a bad one and a good one", get(b"X : y") + one)
    yield passed(
        "one of another length right after",
        one + post(b"Content-Length: 2", body=b"hi"),
        HELLO,
        Sent(b"POST", TARGET, b"hi"),
    )
    yield then_refused(
        "the same head, once with a second length",
        one + post(b"Content-Length: 5", b"content-length: 6", body=b"hello!"),
        HELLO,
    )


def sizes() -> Iterator[Case]:
    """Heads beyond the bounds."""
    yield refused("a field of 70,000 bytes", get(b"X: " + b"y" * 70_000), 431)
    yield refused("70,000 bytes of small fields", get(*[b"X: y"] * 11_700), 431)
    yield refused("70,000 bytes of different fields", get(*[b"X%d: y" % i for i in range(8_000)]), 431)
    yield refused("a request line without an end", b"GET /" + b"a" * 70_000, 400, 414, 431)
    yield refused("a head without an end", get()[:-2] + b"X: y\r\n" * 11_700, 431)
    yield refused("a name without an end", get()[:-2] + b"X" * 70_000, 400, 431)
    yield refused("70,000 empty lines' bytes in a field", get(b"X:" + b" " * 70_000), 431)
    yield refused("1,000 fields", get(*[b"X-%d: y" % i for i in range(1000)]), 400, 431)
    yield refused("1,000 times the same field", get(*[b"X: y"] * 1000), 400, 431)
    big = [b"X-%d: %b" % (i, b"y" * 500) for i in range(100)]
    yield passed("100 fields of 500 bytes", get(*big), Sent(b"GET", b"/v1/x", b""), present=(big[0], big[-1]))


CASES: tuple[Case, ...] = (
    *length_and_coding(),
    *codings(),
    *lengths(),
    *line_ends(),
    *folds(),
    *controls(),
    *names(),
    *chunked_bodies(),
    *targets(),
    *hosts(),
    *request_lines(),
    *hop_by_hop(),
    *bodies_of_any_method(),
    *after_refusals(),
    *pipelines(),
    *sizes(),
)
