"""Where one chunk of a chunked body ends and the next begins, so that another can be put in between. Pure.

Only opted-in streams are followed by this; that a body is well formed is `chunked.ChunkWatcher`'s to say, and where it
is not nothing is told here.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_LINE_BYTES = 4096
_HEX_DIGITS = b"0123456789abcdefABCDEF"


class Seam(NamedTuple):
    """The beginning of a chunk within a piece of data.

    Attributes:
        begin: offset of its size line.
        payload: offset of its payload.
        size: of the payload; 0 is the last chunk.
    """

    begin: int
    payload: int
    size: int


class ChunkSeams:
    """Follows one body."""

    __slots__ = ("_is_over", "_left", "_line")

    def __init__(self) -> None:
        self._left = 0
        self._line = b""
        self._is_over = False

    def feed(self, data: bytes) -> list[Seam]:
        """The chunks whose size line begins and ends within these bytes."""
        seams: list[Seam] = []
        at, end = 0, len(data)
        while at < end and not self._is_over:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                at += step
                continue
            begin, was_split = at, bool(self._line)
            newline = data.find(b"\n", at)
            if newline < 0:
                self._line += data[at:]
                self._is_over = len(self._line) > MAX_LINE_BYTES
                break
            size = _size_of(self._line + data[at:newline])
            self._line = b""
            at = newline + 1
            self._is_over = not size
            if size is None:
                break
            self._left = size + 2 if size else 0
            if not was_split:
                seams.append(Seam(begin, at, size))
        return seams


def _size_of(line: bytes) -> int | None:
    """Size in a size line, None where it is none."""
    digits = line.partition(b";")[0].rstrip(b"\r")
    if not digits or len(digits) > 15 or digits.translate(None, _HEX_DIGITS):
        return None
    return int(digits, 16)
