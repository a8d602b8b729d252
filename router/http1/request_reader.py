"""Reading request heads: one strict grammar says what a request is, and everything else is refused.

A proxy that guesses what an ambiguous head means can be made to disagree with the engine behind it about where a
request ends. Nothing is guessed here: RFC 9112 §11.2.
"""

from __future__ import annotations

import re

from router.http1.fields import HOP_BY_HOP, TOKEN, FieldReader, MalformedLineError, TooManyLinesError
from router.http1.known_heads import KnownHeads
from router.http1.request_head import HeadError, RequestHead

_LINE = re.compile(rb"(" + TOKEN + rb"{1,32}+) ([!-~]++) HTTP/1\.([01])")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_DROPPED = HOP_BY_HOP | {b"content-encoding", b"content-length", b"expect"}
_READ = frozenset(
    {
        b"api-key",
        b"authorization",
        b"content-type",
        b"host",
        b"traceparent",
        b"tracestate",
        b"x-api-key",
        b"x-request-id",
        b"x-session-id",
        b"x-wattroute-class",
        b"x-wattroute-energy",
        b"x-wattroute-precision",
    }
)
"""Fields the router itself looks at, besides those that end here."""


class RequestReader:
    """Reads request heads.

    Args:
        dropped: lower-case names of further fields that do not go on to engines.
    """

    def __init__(self, dropped: frozenset[bytes] = frozenset()) -> None:
        self._dropped = dropped
        self._fields = FieldReader(_READ, _DROPPED | dropped)
        self.read = KnownHeads(self.parse).read
        """Head and length of the body by the head's bytes; raises HeadError with the status and reason to answer."""

    def parse(self, raw: bytes) -> RequestHead:
        """Read a head that ends with its empty line.

        Raises:
            HeadError: with the status and the reason to answer.
        """
        line, *block = raw[:-4].split(b"\r\n")
        match = _LINE.fullmatch(line)
        if match is None or not raw.endswith(b"\r\n\r\n"):
            raise HeadError(_why_not(raw))
        method, target, minor = match.groups()
        if target[0] != 0x2F:
            raise HeadError("the request target is not a path; absolute and authority forms are not served")
        if method in (b"CONNECT", b"TRACE"):
            raise HeadError("CONNECT and TRACE are not served", status=405)
        try:
            fields = self._fields.read(block)
        except MalformedLineError as error:
            raise HeadError(_why_not(raw)) from error
        except TooManyLinesError as error:
            raise HeadError(str(error), status=431) from error
        head = RequestHead(method, target, is_http10=minor == b"0", fields=fields)
        head.dropped = self._dropped
        return head


def is_hopeless(partial: bytes, scan_from: int = 0) -> bool:
    """Whether the beginning of a head can already not become a good one, so that waiting for its end is vain."""
    return _BARE_LF.search(partial, scan_from) is not None or partial.find(b"\0", scan_from) >= 0


def _why_not(raw: bytes) -> str:
    line, _, rest = raw.partition(b"\r\n")
    if _BARE_LF.search(raw) or b"\r" in raw.replace(b"\r\n", b""):
        return "a bare CR or LF in the head; lines end with CRLF"
    if b"\0" in raw:
        return "a NUL byte in the head"
    if not _LINE.fullmatch(line):
        return "the request line is not METHOD TARGET HTTP/1.1"
    if re.search(rb"(?:^|\r\n)[ \t]", rest):
        return "a folded field; write it on one line"
    if re.search(rb"(?:^|\r\n)[^:\r\n]*[ \t]+:", rest):
        return "white space before the colon of a field"
    return "a malformed field in the head"
