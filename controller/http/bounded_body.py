"""The body of an answer over HTTP, read whole and never beyond a bound."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

_PIECE_BYTES = 1 << 16


async def read_body(response: aiohttp.ClientResponse, most_bytes: int, refused: Callable[[str], Exception]) -> bytes:
    """The whole body.

    `response.content.read(n)` is no such thing: it returns what has come so far.

    Args:
        response: its head has come, its body not yet.
        most_bytes: how much is taken.
        refused: makes the caller's own error out of the reason.

    Raises:
        Exception: what `refused` made, as the body is larger than `most_bytes`.
    """
    body = bytearray()
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        body += piece
        if len(body) > most_bytes:
            raise refused(f"more than {most_bytes} bytes")
    return bytes(body)
