"""What a reader of request heads makes of one, to compare with what another makes of it."""

from __future__ import annotations

from router.http1.request_head import HeadError
from router.http1.request_reader import RequestReader


def raw_of(*fields: bytes) -> bytes:
    """A head with these field lines."""
    return b"\r\n".join([b"POST /v1/x HTTP/1.1", *fields, b"", b""])


def said(reader: RequestReader, raw: bytes) -> tuple[object, ...]:
    """All that the router goes by; lines in any order."""
    try:
        head, length = reader.read(raw)
    except HeadError as error:
        return ("refused", error.status)
    lines = sorted(head.forwarded.split(b"\r\n"))
    return lines, sorted(head.fields.items()), length, head.is_chunked, head.keep_alive, head.target
