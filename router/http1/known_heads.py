"""Heads seen before: clients and engines send the same head again and again, but for a length and some identifiers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

from router.http1.fields import CONTENT_LENGTH

MAX_HEADS = 512
MAX_HEAD_BYTES = 4096
"""Heads kept by one reader, and the length of the longest."""
_SPELLINGS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_NAME_BYTES = len(_SPELLINGS[0])
_IDENTIFIERS = re.compile(
    rb"\r\n((?i:x-request-id|x-correlation-id|traceparent|tracestate)"
    rb":[\t\x20-\x7e\x80-\xff]*+)(?=\r\n)"
)
"""Lines that differ from message to message and say nothing about the message itself."""


class KnownHead(Protocol):
    """What a reader must know of a head.

    Attributes:
        length: value of Content-Length, or None.
        is_chunked: the body comes in chunks.
        names_fields: its Connection field takes other fields away, so a line cannot be looked at by itself.
    """

    length: int | None
    is_chunked: bool
    names_fields: bool

    def with_lines(self, lines: list[bytes]) -> Self:
        """The same head with further field lines."""


H = TypeVar("H", bound=KnownHead)


class KnownHeads(Generic[H]):
    """Reads heads of one kind. Those read before, their Content-Length and identifiers aside, cost one look.

    A head is known by its bytes without the line that gives the length. Putting such a line back between two lines
    of a head that states no framing of its own makes a head that states exactly this one, so nothing is guessed.

    Args:
        parse: reads a head that is not known; raises what it does not accept.
    """

    def __init__(self, parse: Callable[[bytes], H]) -> None:
        self._parse = parse
        self._known: dict[bytes, H] = {}

    def read(self, raw: bytes) -> tuple[H, int | None]:
        """The head that `raw` is, up to and with its empty line, and its length; the head may be shared."""
        at = raw.find(_SPELLINGS[0])
        if at < 0:
            at = raw.find(_SPELLINGS[1])
        if at < 0:
            head = self._known.get(raw) or self._learn(raw)
            return head, head.length
        start = at + _NAME_BYTES
        end = raw.find(b"\r\n", start)
        digits = raw[start:end]
        if len(digits) > 18 or not digits.isdigit():
            return self._whole(raw)
        rest = raw[:at] + raw[end:]
        head = self._known.get(rest) or self._learn(rest)
        if head.is_chunked or head.length is not None:
            return self._whole(raw)
        return head, int(digits)

    def forget(self) -> None:
        """Know nothing any more."""
        self._known.clear()

    def _whole(self, raw: bytes) -> tuple[H, int | None]:
        head = self._parse(raw)
        return head, head.length

    def _learn(self, raw: bytes) -> H:
        """Read a head that is not known as it stands; without its identifiers it may be."""
        parts = _IDENTIFIERS.split(raw)
        if len(parts) == 1:
            return self._keep(raw, self._parse(raw))
        shape = b"".join(parts[::2])
        head = self._known.get(shape) or self._keep(shape, self._parse(shape))
        return self._keep(raw, self._parse(raw) if head.names_fields else head.with_lines(parts[1::2]))

    def _keep(self, raw: bytes, head: H) -> H:
        if len(raw) <= MAX_HEAD_BYTES:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            self._known[raw] = head
        return head


def read_length(value: bytes | None) -> int | None:
    """Content-Length as a number, None where there is none.

    Raises:
        ValueError: it is not a plain number.
    """
    if value is None:
        return None
    if not CONTENT_LENGTH.fullmatch(value):
        raise ValueError("Content-Length is not a plain number")
    return int(value)
