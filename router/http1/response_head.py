"""Heads of engines' answers: where the body ends, and the head as the client gets it."""

from __future__ import annotations

import re
from enum import IntEnum

from router.http1.fields import (
    HOP_BY_HOP,
    FieldReader,
    Fields,
    MalformedLineError,
    TooManyLinesError,
    read_connection,
    without,
)
from router.http1.known_heads import KnownHeads, read_length

_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?")
_DROPPED = HOP_BY_HOP | {b"content-length"}
_CHUNKED_LINE = b"transfer-encoding: chunked\r\n"
_CLOSE_LINE = b"connection: close\r\n"


class Framing(IntEnum):
    """How the end of a body is known."""

    NO_BODY = 0
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3


NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE = Framing
"""The members by themselves: looking a member up in its enumeration costs more than the rest of a decision."""


class AnswerError(ValueError):
    """An engine's answer that cannot be passed on without guessing where it ends."""


class ResponseHead:
    """What the router needs to know of an answer's head. Shared by all answers with the same head: not changed.

    Attributes:
        status: HTTP status.
        fields: values of the fields the router looks at, by lower-case name.
        start: status line and the field lines that go on, as the client gets them, each ended by CRLF; without the
            body's length.
        length: Content-Length, None without one.
        is_chunked: the body comes in chunks.
        is_bodiless: the status allows no body.
        keep_alive: the engine's connection may be used again after the body.
        names_fields: its Connection field takes other fields away.
        is_event_stream: the body is a stream of server-sent events.
    """

    __slots__ = (
        "fields",
        "is_bodiless",
        "is_chunked",
        "is_event_stream",
        "keep_alive",
        "length",
        "names_fields",
        "start",
        "status",
    )

    def __init__(self, line: bytes, status: int, *, is_http10: bool, fields: Fields) -> None:
        values, lines, twins = fields
        if b"content-length" in twins or b"transfer-encoding" in twins:
            raise AnswerError("the engine's answer states its length more than once")
        self.status = status
        self.fields = values
        self.is_bodiless = status < 200 or status in (204, 304)
        self.is_event_stream = values.get(b"content-type", b"")[:17].lower() == b"text/event-stream"
        self._read_framing(is_http10=is_http10)
        self.keep_alive = not is_http10
        self.names_fields = False
        connection = values.get(b"connection")
        if connection is not None:
            closes, taken = read_connection(connection)
            if closes:
                self.keep_alive = False
            if taken:
                self.names_fields = True
                lines = without(lines, taken)
        self.start = b"\r\n".join([b"HTTP/1.1" + line[8:], *lines, b""])

    def _read_framing(self, *, is_http10: bool) -> None:
        try:
            self.length = read_length(self.fields.get(b"content-length"))
        except ValueError as error:
            raise AnswerError("the engine's answer has a length that is not a number") from error
        coding = self.fields.get(b"transfer-encoding")
        self.is_chunked = coding is not None
        if coding is not None and (self.length is not None or is_http10 or coding.lower() != b"chunked"):
            raise AnswerError("the engine's answer has a transfer coding that contradicts the rest of its head")

    def with_lines(self, lines: list[bytes]) -> ResponseHead:
        """The same head with further field lines, which go on to the client."""
        head: ResponseHead = object.__new__(ResponseHead)
        head.status = self.status
        head.fields = self.fields
        head.length = self.length
        head.is_chunked = self.is_chunked
        head.is_bodiless = self.is_bodiless
        head.is_event_stream = self.is_event_stream
        head.keep_alive = self.keep_alive
        head.names_fields = self.names_fields
        head.start = b"%b%b\r\n" % (self.start, b"\r\n".join(lines))
        return head

    def framing(self, length: int | None, *, to_head: bool) -> Framing:
        """How the body ends, given its length; `to_head` says that the answer is one to a HEAD request."""
        if to_head or self.is_bodiless:
            return NO_BODY
        if length is not None:
            return LENGTH
        return CHUNKED if self.is_chunked else UNTIL_CLOSE


class ResponseReader:
    """Reads the heads of answers."""

    def __init__(self) -> None:
        self._fields = FieldReader(frozenset({b"content-encoding", b"content-type"}), _DROPPED)
        self.read = KnownHeads(self.parse).read
        """Head and length of the body by the head's bytes; raises AnswerError."""

    def parse(self, raw: bytes) -> ResponseHead:
        """Read a head that ends with its empty line.

        Raises:
            AnswerError: the head is malformed or ambiguous.
        """
        line, *block = raw[:-4].split(b"\r\n")
        match = _LINE.fullmatch(line)
        if match is None or not raw.endswith(b"\r\n\r\n"):
            raise AnswerError("the engine's answer has a malformed head")
        try:
            fields = self._fields.read(block)
        except (MalformedLineError, TooManyLinesError) as error:
            raise AnswerError("the engine's answer has a malformed head") from error
        return ResponseHead(line, int(match[2]), is_http10=match[1] == b"0", fields=fields)


def client_head(
    head: ResponseHead, length: int | None, *, told: bytes = b"", chunked: bool = False, close: bool = False
) -> bytes:
    r"""The head as the client gets it.

    Args:
        head: the engine's.
        length: Content-Length, None to state none.
        told: the router's own field lines, each ended by CRLF.
        chunked: the body follows in chunks.
        close: the connection is closed after this answer.
    """
    if length is not None and head.status != 204 and head.status >= 200:
        told = b"content-length: %d\r\n%b" % (length, told)
    if chunked:
        told += _CHUNKED_LINE
    if close:
        told += _CLOSE_LINE
    return b"%b%b\r\n" % (head.start, told)
