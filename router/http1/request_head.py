"""Request heads: one strict grammar says what a request is, and everything else is refused.

A proxy that guesses what an ambiguous head means can be made to disagree with the engine behind it about where a
request ends. Nothing is guessed here: RFC 9112 §11.2.
"""

from __future__ import annotations

import re

from router.http1.fields import (
    CONTENT_LENGTH,
    FIELDS,
    HOP_BY_HOP,
    NEVER_NAMED,
    TOKEN,
    connection_options,
    read_fields,
    without,
)

_HEAD = re.compile(rb"(" + TOKEN + rb"{1,32}+) ([!-~]++) HTTP/1\.([01])\r\n(" + FIELDS + rb")\r\n")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-type", b"expect"})
_DROPPED = HOP_BY_HOP | {b"content-length", b"expect"}
_PLAIN_OPTIONS = frozenset({b"close", b"keep-alive", b""})


class HeadError(ValueError):
    """A head that is not served.

    Attributes:
        status: HTTP status of the refusal; the connection is closed after it.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class RequestHead:
    """What the router needs to know of a request's head.

    Attributes:
        method: as sent, e.g. ``b"POST"``.
        target: path and query, as sent.
        is_http10: the client speaks HTTP/1.0.
        fields: values by lower-case name.
        lines: field lines that go on to the engine, as they came; without the body's length.
        keep_alive: the client's connection stays open after the answer.
        body_length: bytes of the body; None for a chunked one.
        has_body: whether the head announces a body, maybe an empty one.
        expects_continue: the client waits for ``100 Continue`` before it sends the body.
    """

    __slots__ = (
        "body_length",
        "expects_continue",
        "fields",
        "has_body",
        "is_http10",
        "keep_alive",
        "lines",
        "method",
        "target",
    )

    def __init__(self, method: bytes, target: bytes, *, is_http10: bool, block: bytes) -> None:
        fields, lines, twins = read_fields(block, _DROPPED)
        if twins:
            _refuse_twins(twins)
        self.method = method
        self.target = target
        self.is_http10 = is_http10
        self.fields = fields
        self.keep_alive = not is_http10
        self.expects_continue = False
        self.lines = lines
        length = fields.get(b"content-length")
        coding = fields.get(b"transfer-encoding")
        self.has_body = length is not None or coding is not None
        self.body_length = None if coding is not None else _read_length(length)
        self._check_host()
        if coding is not None:
            self._check_coding(coding, has_length=length is not None)
        if b"expect" in fields:
            self._read_expect()
        connection = fields.get(b"connection")
        if connection is not None:
            self._read_connection(connection)

    def _check_host(self) -> None:
        host = self.fields.get(b"host")
        if host is None:
            if not self.is_http10:
                raise HeadError("the Host field is missing; HTTP/1.1 requires it")
        elif not _HOST.fullmatch(host):
            raise HeadError("the Host field is not HOST or HOST:PORT")

    def _check_coding(self, coding: bytes, *, has_length: bool) -> None:
        if has_length:
            raise HeadError("Content-Length and Transfer-Encoding are both present; send one of them")
        if self.is_http10:
            raise HeadError("Transfer-Encoding in an HTTP/1.0 request; send Content-Length")
        if coding.lower() != b"chunked":
            raise HeadError("only the transfer coding 'chunked' is understood", status=501)

    def _read_expect(self) -> None:
        if self.is_http10:
            return
        if self.fields[b"expect"].lower() != b"100-continue":
            raise HeadError("the only expectation understood is 100-continue", status=417)
        self.expects_continue = self.has_body

    def _read_connection(self, connection: bytes) -> None:
        options = connection_options(connection)
        if b"close" in options:
            self.keep_alive = False
        named = options - _PLAIN_OPTIONS - NEVER_NAMED
        if named:
            self.lines = without(self.lines, named)


def parse_request_head(raw: bytes) -> RequestHead:
    r"""Read a head that ends with its empty line.

    Raises:
        HeadError: with the status and the reason to answer.
    """
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise HeadError(_why_not(raw))
    method, target, minor, block = match.groups()
    if target[0] != 0x2F:
        raise HeadError("the request target is not a path; absolute and authority forms are not served")
    if method in (b"CONNECT", b"TRACE"):
        raise HeadError("CONNECT and TRACE are not served", status=405)
    return RequestHead(method, target, is_http10=minor == b"0", block=block)


def is_hopeless(partial: bytes, scan_from: int = 0) -> bool:
    """Whether the beginning of a head can already not become a good one, so that waiting for its end is vain."""
    return _BARE_LF.search(partial, scan_from) is not None or partial.find(b"\0", scan_from) >= 0


def engine_head(head: RequestHead, body_length: int) -> bytes:
    """The head as the engine gets it: same line and fields, less what ends at this hop, with a plain length."""
    lines = [head.method + b" " + head.target + b" HTTP/1.1", *head.lines]
    if head.has_body:
        lines.append(b"content-length: %d" % body_length)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def _read_length(length: bytes | None) -> int:
    if length is None:
        return 0
    if not CONTENT_LENGTH.fullmatch(length):
        raise HeadError("Content-Length is not a plain number")
    return int(length)


def _refuse_twins(twins: list[bytes]) -> None:
    for name in twins:
        if name in _ONCE:
            raise HeadError(f"the field {name.decode('ascii')} appears more than once")


def _why_not(raw: bytes) -> str:
    line, _, rest = raw.partition(b"\r\n")
    if _BARE_LF.search(raw) or b"\r" in raw.replace(b"\r\n", b""):
        return "a bare CR or LF in the head; lines end with CRLF"
    if b"\0" in raw:
        return "a NUL byte in the head"
    if not re.fullmatch(TOKEN + rb"{1,32} [!-~]+ HTTP/1\.[01]", line):
        return "the request line is not METHOD TARGET HTTP/1.1"
    if re.search(rb"(?:^|\r\n)[ \t]", rest):
        return "a folded field; write it on one line"
    if re.search(rb"(?:^|\r\n)[^:\r\n]*[ \t]+:", rest):
        return "white space before the colon of a field"
    return "a malformed field in the head"
