"""A request's body as it arrives: a byte is copied once more at most, and small pieces cost no memory of their own."""

from __future__ import annotations

SMALL_BYTES = 4096
"""Pieces below this size are put together at once."""


class BodyPieces:
    """Collects a body.

    Attributes:
        size: bytes so far.
    """

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray] = []
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        self.size += len(piece)
        if len(piece) >= SMALL_BYTES:
            self._pieces.append(piece)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))

    def take(self) -> bytes | bytearray:
        """All of it, in one; nothing is left."""
        pieces, self._pieces = self._pieces, []
        self.size = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
