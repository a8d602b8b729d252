"""Chunked bodies, RFC 9112 §7.1: finding the end without looking inside, and taking the payload out."""

from __future__ import annotations

import re
from typing import Any

import httptools

_PRIME = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILERS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n")
MAX_LINE_BYTES = 4096
MAX_TRAILER_BYTES = 16_384


class ChunkError(ValueError):
    """A body that is not chunked as announced."""


class ChunkWatcher:
    """Tells when a chunked body that is passed on as it comes has ended; llhttp does the work.

    One watcher serves the answers of a connection one after the other. It must be told `forget` when the connection
    ends, because it and its parser refer to each other.

    Attributes:
        is_complete: the last chunk and its trailers have been seen.
    """

    __slots__ = ("_exceeded", "_parser", "is_complete")

    def __init__(self) -> None:
        self.is_complete = False
        self._exceeded = False
        self._parser: Any = httptools.HttpResponseParser(self)

    def begin(self) -> None:
        """Expect a new body."""
        self.is_complete = False
        self._exceeded = False
        self._parser.feed_data(_PRIME)

    def feed(self, data: bytes) -> None:
        """Look at the next bytes.

        Raises:
            ChunkError: they are not chunks, or go on after the last one.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ChunkError(f"the chunked body is malformed: {error}") from error
        if self._exceeded:
            raise ChunkError("bytes follow the last chunk")

    def is_between_chunks(self) -> bool:
        """Whether a chunk could be put in here. Spends the watcher: nothing may be fed afterwards."""
        if self._parser is None:
            return False
        try:
            self._parser.feed_data(b"0\r\n\r\n")
        except httptools.HttpParserError:
            return False
        return self.is_complete

    def forget(self) -> None:
        """Let go of the parser."""
        self._parser = None

    def on_message_begin(self) -> None:
        """llhttp: a message begins; only the priming head may begin one."""
        self._exceeded = self.is_complete

    def on_message_complete(self) -> None:
        """llhttp: the message has ended."""
        self.is_complete = True


class ChunkDecoder:
    """Takes the payload out of a chunked body and knows exactly where the body ends.

    Attributes:
        is_complete: the last chunk and its trailers have been seen.
        rest: bytes that came after the end.
    """

    __slots__ = ("_held", "_left", "_trailing", "is_complete", "rest")

    def __init__(self) -> None:
        self.is_complete = False
        self.rest = b""
        self._held = bytearray()
        self._left = 0
        self._trailing = False

    def feed(self, data: bytes) -> list[bytes]:
        """Payload within the next bytes, in pieces.

        Raises:
            ChunkError: they are not chunks.
        """
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        pieces: list[bytes] = []
        at = 0
        while not self.is_complete:
            if self._left:
                moved = self._payload(data, at, pieces)
            elif self._trailing:
                moved = self._trailers(data, at)
            else:
                moved = self._size_line(data, at)
            if moved == at:
                break
            at = moved
        if self.is_complete:
            self.rest = data[at:]
        else:
            self._held += data[at:]
        return pieces

    def _payload(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        # _left counts the CRLF that ends the chunk too.
        if self._left > 2:
            piece = data[at : at + self._left - 2]
            if piece:
                pieces.append(piece)
                self._left -= len(piece)
            return at + len(piece)
        if len(data) - at < 2:
            return at
        if data[at : at + 2] != b"\r\n":
            raise ChunkError("a chunk does not end where its size says")
        self._left = 0
        return at + 2

    def _size_line(self, data: bytes, at: int) -> int:
        match = _SIZE_LINE.match(data, at)
        if match is None:
            if b"\n" in data[at : at + MAX_LINE_BYTES] or len(data) - at >= MAX_LINE_BYTES:
                raise ChunkError("a chunk's size line is malformed")
            return at
        size = int(match[1], 16)
        if size:
            self._left = size + 2
        else:
            self._trailing = True
        return match.end()

    def _trailers(self, data: bytes, at: int) -> int:
        match = _TRAILERS.match(data, at)
        if match is None:
            end = data.find(b"\r\n\r\n", at)
            if end >= 0 or len(data) - at > MAX_TRAILER_BYTES:
                raise ChunkError("the trailers of a chunked body are malformed or too long")
            return at
        self.is_complete = True
        return match.end()
