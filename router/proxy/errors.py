"""How the router's own refusals and errors look to clients."""

from __future__ import annotations

import math
from http import HTTPStatus

from router.exchange import Refusal
from router.openai import error_body

_TYPES = {
    status.value: "".join(word.capitalize() for word in status.phrase.replace("-", " ").split())
    for status in HTTPStatus
}


def error_type(status: int) -> str:
    """The ``type`` of an error body, in vLLM's manner: BadRequestError, NotFoundError, ServiceUnavailableError."""
    name = _TYPES.get(status, "Internal")
    return name if name.endswith("Error") else name + "Error"


def refusal_parts(refusal: Refusal) -> tuple[bytes, bytes]:
    """Field lines and body of a refusal."""
    fields = b"x-wattroute-reason: %b\r\n%b" % (refusal.reason.encode("ascii"), refusal.fields)
    if refusal.retry_after_s is not None:
        fields += b"retry-after: %d\r\n" % max(1, math.ceil(refusal.retry_after_s))
    code = refusal.code or refusal.status
    return fields, error_body(refusal.message, type_=error_type(refusal.status), code=code)


def error_chunk(message: str, *, starts_line: bool) -> bytes:
    """An error as an event of a stream, in a chunk of its own; no ``[DONE]`` and no last chunk may follow it.

    Args:
        message: what went wrong.
        starts_line: the stream stands between two events; otherwise the event begun is closed first.
    """
    event = b"data: " + error_body(message, type_=error_type(500), code=500) + b"\n\n"
    if not starts_line:
        event = b"\n\n" + event
    return b"%x\r\n%b\r\n" % (len(event), event)
