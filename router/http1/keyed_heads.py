"""Heads that differ by the client's key alone, where keys go no further than to the router: read once for all keys."""

from __future__ import annotations

import re

from router.http1.request_head import RequestHead
from router.http1.request_reader import RequestReader

MAX_KEYED = 1024
"""Heads with their keys that are kept by one reader."""
_OPENINGS = (
    (b"\r\nAuthorization: ", b"authorization"),
    (b"\r\nauthorization: ", b"authorization"),
    (b"\r\nx-api-key: ", b"x-api-key"),
    (b"\r\nX-Api-Key: ", b"x-api-key"),
    (b"\r\napi-key: ", b"api-key"),
)
_VALUE = re.compile(rb"(?:[Bb]earer )?[!-~]{1,1024}")


class KeyedReader(RequestReader):
    """Reads heads that may have been read before with another key.

    A head without its line of the key is a head with the same framing, and that line goes on to no engine. So the rest
    is read, or known, by itself and gets the line's value back. Where the line is not of the plainest form, or the rest
    has another one with its name, the head is read as a whole.

    Args:
        dropped: lower-case names of further fields that do not go on to engines.
    """

    def __init__(self, dropped: frozenset[bytes]) -> None:
        super().__init__(dropped)
        self._openings = tuple((opening, name) for opening, name in _OPENINGS if name in dropped)
        self._keyed: dict[tuple[RequestHead, bytes], RequestHead] = {}
        self._read_any = self.read
        self.read = self._read_keyed

    def _read_keyed(self, raw: bytes) -> tuple[RequestHead, int | None]:
        for found in self._openings:
            at = raw.find(found[0])
            if at >= 0:
                break
        else:
            return self._read_any(raw)
        end = raw.find(b"\r\n", at + 2)
        line = raw[at:end]
        head, length = self._read_any(raw[:at] + raw[end:])
        root = head.origin or head
        known = self._keyed.get((root, line)) or self._learn(root, line, *found)
        if known is None:
            return self._read_any(raw)
        if root is head:
            return known, length
        name = found[1]
        return head.with_field(name, known.fields[name], alike=known), length

    def _learn(self, root: RequestHead, line: bytes, opening: bytes, name: bytes) -> RequestHead | None:
        value = line[len(opening) :]
        if root.names_fields or name in root.fields or not _VALUE.fullmatch(value):
            return None
        if len(self._keyed) >= MAX_KEYED:
            self._keyed.clear()
        known = self._keyed[root, line] = root.with_field(name, value)
        return known
