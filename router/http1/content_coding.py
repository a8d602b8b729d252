"""Compressed request bodies: engines do not take them (vLLM answers 400), so they are unpacked here, within bounds."""

from __future__ import annotations

import zlib

MAX_MEMBERS = 16
"""Members of one gzip body: each costs a copy of what follows it."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_CODINGS = frozenset({b"gzip", b"x-gzip", b"deflate"})


class CodingError(ValueError):
    """A body that cannot be unpacked.

    Attributes:
        status: HTTP status of the refusal.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


def is_coded(coding: bytes) -> bool:
    """Whether a body with this Content-Encoding must be unpacked.

    Raises:
        CodingError: 415, the coding is not understood.
    """
    name = coding.lower()
    if name in (b"", b"identity"):
        return False
    if name not in _CODINGS:
        raise CodingError("the body's Content-Encoding is not gzip or deflate; send it plain", status=415)
    return True


def unpack(body: bytes | bytearray, limit_bytes: int) -> bytes:
    """The plain bytes of a gzip or deflate (zlib) body, RFC 1950 and 1952; of several members, one after the other.

    Raises:
        CodingError: 400, the body is damaged or incomplete; 413, it is longer than `limit_bytes` when unpacked.
    """
    pieces: list[bytes] = []
    left = limit_bytes
    rest = bytes(body)
    while rest:
        if len(pieces) >= MAX_MEMBERS:
            raise CodingError(f"the compressed body has more than {MAX_MEMBERS} members", status=400)
        member = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            piece = member.decompress(rest, left + 1)
        except zlib.error as error:
            raise CodingError(f"the compressed body is damaged ({error})", status=400) from error
        left -= len(piece)
        if left < 0:
            raise CodingError(f"the body exceeds {limit_bytes} bytes when unpacked", status=413)
        if not member.eof:
            raise CodingError("the compressed body ends too early", status=400)
        pieces.append(piece)
        rest = member.unused_data
    return b"".join(pieces)
