"""Request heads: what their fields say of the request, what of it is refused, and what the engine gets."""

from __future__ import annotations

import re
from typing import Any

from router.http1.fields import Fields, read_connection, without
from router.http1.known_heads import read_length

_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?")
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"expect"})
_NO_HOST = b"host: engine"


class HeadError(ValueError):
    """A head that is not served.

    Attributes:
        status: HTTP status of the refusal; the connection is closed after it.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class RequestHead:
    """What the router needs to know of a request's head. Shared by all requests with the same head.

    Attributes:
        method: as sent, e.g. ``b"POST"``.
        target: path and query, as sent.
        is_http10: the client speaks HTTP/1.0.
        fields: values of the fields the router looks at, by lower-case name.
        lines: field lines that go on to the engine, as they came; without the body's length.
        forwarded: request line and `lines` as the engine gets them, each ended by CRLF.
        keep_alive: the client's connection stays open after the answer.
        length: Content-Length, None without one.
        dropped: lower-case names of fields that do not go on to the engine, besides those that never do.
        coding: Content-Encoding, None without one; the body goes on without it.
        is_chunked: the body comes in chunks.
        expects_continue: the client waits for ``100 Continue`` before it sends the body.
        is_head: the method is HEAD, so the answer has no body.
        names_fields: its Connection field takes other fields away.
        hints: what routing reads of the fields, kept here by the data path; None until it was asked.
        origin: a head of which routing reads the same: by `with_lines`, the one this was made from.
    """

    __slots__ = (
        "coding",
        "dropped",
        "expects_continue",
        "fields",
        "forwarded",
        "hints",
        "is_chunked",
        "is_head",
        "is_http10",
        "keep_alive",
        "length",
        "lines",
        "method",
        "names_fields",
        "origin",
        "target",
    )

    def __init__(self, method: bytes, target: bytes, *, is_http10: bool, fields: Fields) -> None:
        self.method = method
        self.target = target
        self.is_http10 = is_http10
        self.dropped: frozenset[bytes] = frozenset()
        self.hints: Any = None
        self.origin: RequestHead | None = None
        self.names_fields = False
        self.is_head = method == b"HEAD"
        self.fields = fields.values
        self.lines = fields.lines
        self.coding = self.fields.get(b"content-encoding")
        self.keep_alive = not is_http10
        self.expects_continue = False
        _refuse_twins(fields.twins)
        try:
            self.length = read_length(self.fields.get(b"content-length"))
        except ValueError as error:
            raise HeadError(str(error)) from error
        self._check_host()
        coding = self.fields.get(b"transfer-encoding")
        self.is_chunked = coding is not None
        if coding is not None:
            self._check_coding(coding)
        if b"expect" in self.fields:
            self._read_expect()
        connection = self.fields.get(b"connection")
        if connection is not None:
            self._read_connection(connection)
        self.forwarded = forward(method, target, self.lines)

    def _check_host(self) -> None:
        host = self.fields.get(b"host")
        if host is None:
            if not self.is_http10:
                raise HeadError("the Host field is missing; HTTP/1.1 requires it")
            # The engine is spoken to in HTTP/1.1, which does not go without.
            self.lines.insert(0, _NO_HOST)
        elif not _HOST.fullmatch(host):
            raise HeadError("the Host field is not HOST or HOST:PORT")

    def _check_coding(self, coding: bytes) -> None:
        if self.length is not None:
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
        self.expects_continue = True

    def _read_connection(self, connection: bytes) -> None:
        closes, taken = read_connection(connection)
        if closes:
            self.keep_alive = False
        if taken:
            self.names_fields = True
            self.lines = without(self.lines, taken)

    def with_lines(self, lines: list[bytes]) -> RequestHead:
        """The same head with further field lines, which go on to the engine unless they are `dropped`."""
        head = self._copy()
        dropped = self.dropped
        going = [line for line in lines if line.partition(b":")[0].lower() not in dropped] if dropped else lines
        head.hints = self.hints
        head.origin = self
        head.lines = [*self.lines, *going]
        head.forwarded = b"%b%b\r\n" % (self.forwarded, b"\r\n".join(going)) if going else self.forwarded
        fields = head.fields
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            value = value.strip(b" \t")
            fields[name] = fields[name] + b", " + value if name in fields else value
        return head

    def with_field(self, name: bytes, value: bytes, *, alike: RequestHead | None = None) -> RequestHead:
        """The same head with a further field, which does not go on to the engine.

        Args:
            name: in lower case; a field that this head does not have.
            value: its value.
            alike: a head of which routing reads the same.
        """
        head = self._copy()
        head.fields[name] = value
        head.origin = alike
        head.hints = None if alike is None else alike.hints
        head.lines = self.lines
        head.forwarded = self.forwarded
        return head

    def _copy(self) -> RequestHead:
        head: RequestHead = object.__new__(RequestHead)
        head.method = self.method
        head.target = self.target
        head.is_http10 = self.is_http10
        head.is_head = self.is_head
        head.length = self.length
        head.is_chunked = self.is_chunked
        head.coding = self.coding
        head.keep_alive = self.keep_alive
        head.expects_continue = self.expects_continue
        head.names_fields = self.names_fields
        head.dropped = self.dropped
        head.fields = dict(self.fields)
        return head

    def keep_hints(self, hints: object) -> None:
        """Keep what routing read, also for the heads to come that differ by such lines only."""
        self.hints = hints
        if self.origin is not None:
            self.origin.hints = hints


def forward(method: bytes, target: bytes, lines: list[bytes]) -> bytes:
    """Request line and field lines as an engine gets them, each ended by CRLF."""
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *lines, b""])


def engine_message(head: RequestHead, body: bytes | bytearray | None, extra: bytes = b"") -> bytes:
    """Head and body as the engine gets them; see `engine_head`."""
    if body is None:
        return b"%b%b\r\n" % (head.forwarded, extra)
    return b"%b%bcontent-length: %d\r\n\r\n" % (head.forwarded, extra, len(body)) + body


def engine_head(head: RequestHead, length: int, extra: bytes = b"") -> bytes:
    r"""The head as the engine gets it: same line and fields, less what ends at this hop, with a plain length.

    Args:
        head: the client's.
        length: bytes of the body.
        extra: further field lines, each ended by CRLF.
    """
    return b"%b%bcontent-length: %d\r\n\r\n" % (head.forwarded, extra, length)


def _refuse_twins(twins: list[bytes]) -> None:
    for name in twins:
        if name in _ONCE:
            raise HeadError(f"the field {name.decode('ascii')} appears more than once")
