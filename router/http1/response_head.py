"""Heads of engines' answers: where the body ends, and the head as the client gets it."""

from __future__ import annotations

import re
from enum import IntEnum

from router.http1.fields import (
    CONTENT_LENGTH,
    FIELDS,
    HOP_BY_HOP,
    NEVER_NAMED,
    connection_options,
    read_fields,
    without,
)

_HEAD = re.compile(
    rb"(HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?)\r\n(" + FIELDS + rb")\r\n",
)
_LENGTH_ONLY = frozenset({b"content-length"})
_PLAIN_OPTIONS = frozenset({b"close", b"keep-alive", b""})


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
    """What the router needs to know of an answer's head.

    Attributes:
        status: HTTP status.
        status_line: as sent by the engine but for the version, e.g. ``b"HTTP/1.1 200 OK"``.
        fields: values by lower-case name.
        lines: field lines that go on to the client, as they came.
        framing: how the end of the body is known.
        length: bytes of the body where `framing` is LENGTH.
        keep_alive: the engine's connection may be used again after the body.
        is_event_stream: the body is a stream of server-sent events.
    """

    __slots__ = ("fields", "framing", "is_event_stream", "keep_alive", "length", "lines", "status", "status_line")

    def __init__(self, status_line: bytes, status: int, *, is_http10: bool, block: bytes, to_head: bool) -> None:
        fields, lines, twins = read_fields(block, HOP_BY_HOP)
        if b"content-length" in twins or b"transfer-encoding" in twins:
            raise AnswerError("the engine's answer states its length more than once")
        self.status = status
        self.status_line = status_line
        self.fields = fields
        self.keep_alive = not is_http10
        self.is_event_stream = fields.get(b"content-type", b"")[:17].lower() == b"text/event-stream"
        self.length = 0
        bodiless = to_head or status < 200 or status in (204, 304)
        self.framing = NO_BODY if bodiless else self._read_framing(is_http10=is_http10)
        if status < 200 or status == 204:
            lines = without(lines, _LENGTH_ONLY)
        connection = fields.get(b"connection")
        if connection is not None:
            options = connection_options(connection)
            if b"close" in options:
                self.keep_alive = False
            named = options - _PLAIN_OPTIONS - NEVER_NAMED
            if named:
                lines = without(lines, named)
        if self.framing is UNTIL_CLOSE:
            self.keep_alive = False
        self.lines = lines

    def _read_framing(self, *, is_http10: bool) -> Framing:
        length = self.fields.get(b"content-length")
        coding = self.fields.get(b"transfer-encoding")
        if coding is not None:
            if length is not None or is_http10 or coding.lower() != b"chunked":
                raise AnswerError("the engine's answer has a transfer coding that contradicts the rest of its head")
            return CHUNKED
        if length is None:
            return UNTIL_CLOSE
        if not CONTENT_LENGTH.fullmatch(length):
            raise AnswerError("the engine's answer has a length that is not a number")
        self.length = int(length)
        return LENGTH


def parse_response_head(raw: bytes, *, to_head: bool = False) -> ResponseHead:
    """Read the head of an answer; `to_head` says that it answers a HEAD request.

    Raises:
        AnswerError: the head is malformed or ambiguous.
    """
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise AnswerError("the engine's answer has a malformed head")
    line, minor, status, block = match.groups()
    return ResponseHead(b"HTTP/1.1" + line[8:], int(status), is_http10=minor == b"0", block=block, to_head=to_head)


def client_head(head: ResponseHead, *, told: bytes, chunked: bool, close: bool) -> bytes:
    r"""The head as the client gets it.

    Args:
        head: the engine's.
        told: the router's own field lines, each ended by CRLF.
        chunked: the body follows in chunks.
        close: the connection is closed after this answer.
    """
    lines = [head.status_line, *head.lines]
    if chunked:
        lines.append(b"transfer-encoding: chunked")
    if close:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n" + told + b"\r\n"
