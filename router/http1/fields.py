"""Header fields: the grammar shared by requests and answers, and which fields end at this hop."""

from __future__ import annotations

import re
from typing import NamedTuple

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a method or field name, RFC 9110 §5.6.2."""

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

_NEVER_TAKEN = frozenset({b"host", b"content-length", b"content-type", b"authorization"})
"""Fields that a peer's Connection field cannot take away, because the message means something else without them."""
_PLAIN_OPTIONS = frozenset({b"close", b"keep-alive", b""})

CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")
MAX_FIELDS = 256
"""Field lines of one head; real clients send some twenty."""
MAX_KNOWN_LINES = 2048
MAX_KNOWN_BYTES = 512
"""Lines kept by one reader, and the length of the longest."""

_LINE = re.compile(rb"(" + TOKEN + rb"++):[ \t]*+([\t\x20-\x7e\x80-\xff]*)")


class MalformedLineError(ValueError):
    """A field line outside the grammar: a bare CR or LF, a NUL, folding, white space before the colon."""


class TooManyLinesError(ValueError):
    """More field lines than any sender needs."""


class Line(NamedTuple):
    """A field line that is read: its lower-case name, its trimmed value, and whether it goes on past this hop."""

    name: bytes
    value: bytes
    goes_on: bool


class Fields(NamedTuple):
    """The fields of one head.

    Attributes:
        values: of the fields that are read, by lower-case name; of several with one name, all joined by a comma.
        lines: those that go on, as they came.
        twins: names among the values that occur more than once.
    """

    values: dict[bytes, bytes]
    lines: list[bytes]
    twins: list[bytes]


class FieldReader:
    """Reads blocks of field lines. A line seen before costs one look, and most lines come again and again.

    Args:
        wanted: lower-case names of the fields whose values are read.
        dropped: those among them that do not go on.
    """

    def __init__(self, wanted: frozenset[bytes], dropped: frozenset[bytes]) -> None:
        self._wanted = wanted | dropped
        self._dropped = dropped
        self._passing: set[bytes] = set()
        self._known: dict[bytes, Line] = {}

    def read(self, block: list[bytes]) -> Fields:
        """Read field lines without their CRLF.

        Raises:
            MalformedLineError: one of them is outside the grammar.
            TooManyLinesError: there are more than `MAX_FIELDS`.
        """
        if len(block) > MAX_FIELDS:
            raise TooManyLinesError(f"more than {MAX_FIELDS} fields in the head")
        passing, known = self._passing, self._known
        values: dict[bytes, bytes] = {}
        lines: list[bytes] = []
        twins: list[bytes] = []
        for line in block:
            if line in passing:
                lines.append(line)
                continue
            found = known.get(line) or self._learn(line)
            if found is not None:
                name, value, goes_on = found
                if name in values:
                    twins.append(name)
                    values[name] += b", " + value
                else:
                    values[name] = value
                if not goes_on:
                    continue
            lines.append(line)
        return Fields(values, lines, twins)

    def _learn(self, line: bytes) -> Line | None:
        """The line, or None where its value is not wanted."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise MalformedLineError("a malformed field in the head")
        name = match[1].lower()
        found = Line(name, match[2].rstrip(b" \t"), name not in self._dropped) if name in self._wanted else None
        if len(line) <= MAX_KNOWN_BYTES:
            self._remember(line, found)
        return found

    def _remember(self, line: bytes, found: Line | None) -> None:
        if len(self._known) + len(self._passing) >= MAX_KNOWN_LINES:
            self._known.clear()
            self._passing.clear()
        if found is None:
            self._passing.add(line)
        else:
            self._known[line] = found


def read_connection(value: bytes) -> tuple[bool, set[bytes]]:
    """Whether a Connection field ends the connection, and the fields it takes away, by lower-case name."""
    options = {option.strip(b" \t").lower() for option in value.split(b",")}
    return b"close" in options, options - _PLAIN_OPTIONS - _NEVER_TAKEN


def without(lines: list[bytes], names: set[bytes] | frozenset[bytes]) -> list[bytes]:
    """The lines whose field is not among `names` (lower case)."""
    return [line for line in lines if line[: line.index(b":")].lower() not in names]
