"""Answers the router gives by itself."""

from __future__ import annotations

from http import HTTPStatus

JSON = b"application/json"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PHRASES = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}


def answer(status: int, body: bytes, *, close: bool, fields: bytes = b"", is_head: bool = False) -> bytes:
    r"""A whole answer with a JSON body.

    Args:
        status: HTTP status.
        body: JSON.
        close: the connection is closed afterwards.
        fields: further field lines, each ended by CRLF.
        is_head: the body is announced but not sent, as HEAD asks for.
    """
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b" % (
        status,
        _PHRASES.get(status, b"Unknown"),
        JSON,
        len(body),
        fields,
        b"connection: close\r\n" if close else b"",
        b"" if is_head else body,
    )
