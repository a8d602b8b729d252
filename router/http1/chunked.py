"""Chunked bodies, RFC 9112 §7.1: finding the end without looking inside, and taking the payload out.

Trailers are dropped where a body is taken apart: no engine reads those of a request, and fields that come after a
body must not pass for fields of its head. Where an answer is passed on as it comes, its trailers go with it.

No white space is taken around a size or an extension: nobody sends it, and llhttp does not take it either.
"""

from __future__ import annotations

import re
from typing import Any

import httptools

from router.http1.fields import TOKEN

_PRIME = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CR = 13
_HEX_DIGITS = b"0123456789abcdefABCDEF"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_EXTENDED = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;%b++(?:=(?:%b++|%b))?+)++" % (TOKEN, TOKEN, _QUOTED))
_TRAILER = re.compile(rb"(?!(?i:content-length|transfer-encoding):)%b++:[\t\x20-\x7e\x80-\xff]*+" % TOKEN)
MAX_SIZE_DIGITS = 15
"""Digits of a chunk's size: more than any body has, less than overflows a 64-bit integer anywhere."""
MAX_LINE_BYTES = 4096
"""Longest size line or trailer, with its CRLF."""
MAX_OVERHEAD_BYTES = 16_384
"""Bytes of extensions and trailers that a body may have beyond its payload."""


class ChunkError(ValueError):
    """A body that is not chunked as announced."""


class ChunkWatcher:
    """Tells when a chunked body that is passed on as it comes has ended; llhttp does the work.

    One watcher serves the answers of a connection one after the other. It must be told `forget` when the connection
    ends, because it and its parser refer to each other.

    Attributes:
        is_complete: the last chunk and its trailers have been seen.
    """

    __slots__ = ("_exceeded", "_parser", "_tail", "is_complete")

    def __init__(self) -> None:
        self.is_complete = False
        self._exceeded = False
        self._tail = b""
        self._parser: Any = httptools.HttpResponseParser(self)

    def begin(self) -> None:
        """Expect a new body."""
        self.is_complete = False
        self._exceeded = False
        self._tail = b""
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
        # llhttp skips empty lines between two messages. A body ends with the CRLF of its last line and an empty line,
        # and no line holds a CR or an LF, so one more of them before these four says that something follows.
        self._tail = data[-5:] if len(data) >= 5 else (self._tail + data)[-5:]
        if self.is_complete and (self._exceeded or self._tail[0] in b"\r\n"):
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

    It holds no more than one unfinished line, and costs the same for each byte however the bytes arrive.

    Attributes:
        is_complete: the last chunk and its trailers have been seen.
        rest: bytes that came after the end.
    """

    __slots__ = ("_held", "_left", "_spare", "_trailing", "is_complete", "rest")

    def __init__(self) -> None:
        self.is_complete = False
        self.rest = b""
        self._held = b""
        self._left = 0
        self._spare = MAX_OVERHEAD_BYTES
        self._trailing = False

    def feed(self, data: bytes) -> list[bytes]:
        """Payload within the next bytes, in pieces.

        Raises:
            ChunkError: they are not chunks, or mostly extensions and trailers.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[bytes] = []
        at = self._finish_chunk(data, pieces) if self._left else 0
        if not self._left and not self._trailing:
            at = self._chunks(data, at, pieces)
        if self._trailing:
            at = self._trailers(data, at)
        if self.is_complete:
            self.rest = data[at:]
        else:
            self._held = data[at:]
            if len(self._held) >= MAX_LINE_BYTES:
                raise ChunkError("a line of a chunked body is too long")
        return pieces

    def _finish_chunk(self, data: bytes, pieces: list[bytes]) -> int:
        """Go on with a chunk that began earlier; `_left` counts the CRLF at its end too."""
        size = self._left - 2
        if size > 0 and data:
            pieces.append(data[:size])
        if len(data) < self._left:
            taken = min(len(data), max(size, 0))
            self._left -= taken
            return taken
        if data[size : self._left] != b"\r\n":
            raise ChunkError("a chunk does not end where its size says")
        taken, self._left = self._left, 0
        return taken

    def _chunks(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take whole chunks, and the beginning of one that goes on."""
        while (end := data.find(b"\n", at)) >= 0:
            if end == at or data[end - 1] != CR:
                raise ChunkError("a bare LF after a chunk's size")
            size = self._read_size(data[at : end - 1])
            at = end + 1
            if size == 0:
                self._trailing = True
                return at
            stop = at + size
            crlf = data[stop : stop + 2]
            if crlf != b"\r\n":
                self._left = size + 2
                return at + self._finish_chunk(data[at:], pieces)
            pieces.append(data[at:stop])
            at = stop + 2
        return at

    def _trailers(self, data: bytes, at: int) -> int:
        while (end := data.find(b"\r\n", at)) >= 0:
            if end == at:
                self.is_complete = True
                return end + 2
            self._spend(end + 2 - at)
            if not _TRAILER.fullmatch(data, at, end):
                raise ChunkError("a trailer of a chunked body is malformed")
            at = end + 2
        if b"\n" in data[at:]:
            raise ChunkError("a bare LF in the trailers of a chunked body")
        return at

    def _read_size(self, line: bytes) -> int:
        if not line.translate(None, _HEX_DIGITS) and 0 < len(line) <= MAX_SIZE_DIGITS:
            return int(line, 16)
        match = _EXTENDED.fullmatch(line)
        if match is None:
            raise ChunkError("a chunk's size line is malformed")
        size = int(match[1], 16)
        self._spare = min(self._spare + size, MAX_OVERHEAD_BYTES)
        self._spend(len(line) + 2)
        return size

    def _spend(self, size: int) -> None:
        """Count a line that is of no use to anybody."""
        self._spare -= size
        if size > MAX_LINE_BYTES or self._spare < 0:
            raise ChunkError("a chunked body has too long extensions or trailers")
