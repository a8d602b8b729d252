"""Two independent readings of HTTP/1.1, h11 and llhttp: where they see requests and answers begin and end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import h11
import httptools

H11_MOST_BYTES = 1 << 20
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NEVER_NAMED = frozenset({b"content-length", b"content-type", b"host", b"authorization", b"close"})
_TAB_AFTER_CODING = re.compile(rb"chunked ?\t", re.IGNORECASE)


class Message(NamedTuple):
    """A whole request."""

    method: bytes
    target: bytes
    body: bytes


@dataclass
class Reading:
    """What a parser made of some bytes.

    Attributes:
        requests: whole requests.
        is_refused: the bytes are not HTTP from there on.
        is_closing: the connection ends after these requests.
        is_limited: what the parser could not read next says nothing about framing: a method it does not know, another
            protocol.
    """

    requests: list[Message] = field(default_factory=list)
    is_refused: bool = False
    is_closing: bool = False
    is_limited: bool = False


def h11_requests(raw: bytes) -> Reading:
    """The requests that h11 sees; empty lines before a request are skipped, RFC 9112 §2.2, which h11 does not do."""
    reading = Reading()
    while raw and not reading.is_refused and not reading.is_closing:
        left = _h11_request(raw.lstrip(b"\r\n") if raw.startswith(b"\r\n") else raw, reading)
        if left is None:
            break
        raw = left
    return reading


def _h11_request(raw: bytes, reading: Reading) -> bytes | None:
    """Read one request; what follows it, or None where it is not whole."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=H11_MOST_BYTES)
    connection.receive_data(raw)
    head: Any = None
    body = b""
    try:
        for event in _events(connection):
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                reading.requests.append(Message(head.method, head.target, body))
                reading.is_closing = connection.their_state not in (h11.DONE, h11.MIGHT_SWITCH_PROTOCOL)
                return connection.trailing_data[0]
    except h11.RemoteProtocolError:
        reading.is_refused = True
    return None


class _Llhttp:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.parser: Any = None
        self._target = self._body = b""

    def on_message_begin(self) -> None:
        self._target = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        reading = self._reading
        if not reading.is_closing:
            reading.requests.append(Message(self.parser.get_method(), self._target, self._body))
            reading.is_closing = not self.parser.should_keep_alive()


def llhttp_requests(raw: bytes) -> Reading:
    """The requests that llhttp sees, up to one that asks for another protocol."""
    reading = Reading()
    protocol = _Llhttp(reading)
    parser = protocol.parser = httptools.HttpRequestParser(protocol)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        del reading.requests[-1:]
        reading.is_limited = True
    except httptools.HttpParserInvalidMethodError:
        reading.is_limited = True
    except httptools.HttpParserError:
        # It takes a tab for white space anywhere but after a transfer coding.
        reading.is_limited = _TAB_AFTER_CODING.search(raw) is not None
        reading.is_refused = not reading.is_closing
    protocol.parser = None
    return reading


@dataclass
class Answer:
    """An answer as a client reads it.

    Attributes:
        status: of the final head; 0 where none came.
        fields: of the final head, names in lower case.
        body: as much as came.
        is_complete: the answer has its end.
        interim: statuses that came before.
    """

    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    is_complete: bool = False
    interim: list[int] = field(default_factory=list)

    def get(self, name: bytes) -> bytes | None:
        """Value of a field, by lower-case name."""
        return next((value for key, value in self.fields if key == name), None)


@dataclass
class Answers:
    """All answers on a client's connection; `is_refused` where something is no answer."""

    answers: list[Answer] = field(default_factory=list)
    is_refused: bool = False

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def h11_answers(raw: bytes, methods: Sequence[bytes], *, is_ended: bool, is_reset: bool = False) -> Answers:
    """The answers that h11 sees to requests of `methods`.

    Args:
        raw: what the client received.
        methods: of the requests, in order.
        is_ended: the connection ended after `raw`.
        is_reset: it ended by a reset, so an end of bytes is no end of an answer.
    """
    found, is_refused = _read_answers(raw, methods)
    if is_ended and not is_reset and not is_refused:
        # The end of the bytes ends an answer without a length; one cut short stays incomplete.
        found, _ = _read_answers(raw, methods, ends=True)
    found.is_refused = is_refused
    return found


def _read_answers(raw: bytes, methods: Sequence[bytes], *, ends: bool = False) -> tuple[Answers, bool]:
    """The answers, and whether the bytes hold something else."""
    found = Answers()
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=H11_MOST_BYTES)
    if raw:
        connection.receive_data(raw)
    if ends:
        connection.receive_data(b"")
    try:
        for method in methods:
            if not _read_answer(connection, found, method):
                break
    except h11.RemoteProtocolError:
        return found, True
    is_over = all(answer.is_complete for answer in found.answers) and connection.their_state is not h11.SEND_RESPONSE
    return found, is_over and bool(connection.trailing_data[0])


def _read_answer(connection: h11.Connection, found: Answers, method: bytes) -> bool:
    """Read the answer to one request; whether another may follow."""
    connection.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    answer = Answer()
    for event in _events(connection):
        if isinstance(event, h11.InformationalResponse):
            answer.interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            found.answers.append(answer)
            answer.status, answer.fields = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            answer.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            answer.is_complete = True
    if not answer.is_complete or connection.their_state is not h11.DONE:
        return False
    connection.start_next_cycle()
    return True


def _events(connection: h11.Connection) -> Iterator[Any]:
    while True:
        event = connection.next_event()
        if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
            return
        yield event
        if isinstance(event, h11.EndOfMessage):
            return


def end_to_end(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Fields that go past a proxy, RFC 9110 §7.6.1, names in lower case; without lengths, which it may write anew.

    Sorted by name: the order of fields of one name means something, that of others does not.
    """
    named = {option.strip().lower() for name, value in fields if name == b"connection" for option in value.split(b",")}
    gone = _HOP_BY_HOP | (named - _NEVER_NAMED) | {b"content-length"}
    return sorted((field for field in fields if field[0] not in gone), key=lambda field: field[0])
