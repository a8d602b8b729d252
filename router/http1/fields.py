"""Header fields: the grammar shared by requests and answers, and which fields end at this hop."""

from __future__ import annotations

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a method or field name, RFC 9110 §5.6.2."""

FIELDS = rb"(?:" + TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+"
"""A block of field lines: no bare CR or LF, no NUL, no folding, nothing between name and colon."""

HOP_BY_HOP = frozenset(
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
"""Fields that never go past a proxy, RFC 9110 §7.6.1."""

NEVER_NAMED = frozenset({b"host", b"content-length", b"content-type", b"authorization"})
"""Fields that a peer's Connection field cannot take away, because the message means something else without them."""

CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")


def read_fields(block: bytes, dropped: frozenset[bytes]) -> tuple[dict[bytes, bytes], list[bytes], list[bytes]]:
    """Split a block that matches `FIELDS`.

    Args:
        block: field lines, each ended by CRLF.
        dropped: lower-case names of fields that are read but do not go on.

    Returns:
        Values by lower-case name (of several with one name, all joined by a comma); the lines that go on, as they
        came; and the names that occur more than once.
    """
    values: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    twins: list[bytes] = []
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            continue
        name = name.lower()
        value = value.strip(b" \t")
        if name in values:
            twins.append(name)
            values[name] += b", " + value
        else:
            values[name] = value
        if name not in dropped:
            lines.append(line)
    return values, lines, twins


def connection_options(value: bytes) -> set[bytes]:
    """Members of a Connection field, lower case."""
    return {option.strip(b" \t").lower() for option in value.split(b",")}


def without(lines: list[bytes], names: set[bytes] | frozenset[bytes]) -> list[bytes]:
    """The lines whose field is not among `names` (lower case)."""
    return [line for line in lines if line[: line.index(b":")].lower() not in names]
