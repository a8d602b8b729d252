"""Tells one client what its request cost: in the head of a plain answer, in a comment within an event stream.

A comment is a chunk of its own, put between two chunks of the engine's where an event has ended and before the one
with ``[DONE]``; where the stream has no such chunk, before the last one. All bytes of the engine's stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from router.energy import FIELD, Cost, EnergyBook, Mark, value_of
from router.http1.chunk_seams import ChunkSeams
from router.openai import Usage

Tokens = Callable[[bytes], tuple[Usage, bool]]
"""Tokens of the request by what came before and these bytes, and whether the engine told them."""
_DONE = (b"data: [DONE]", b"data:[DONE]")
_BETWEEN_EVENTS = (b"\n\n\r\n", b"\r\n\r\n\r\n")
"""Ends of a chunk with which an event ends, too."""


class EnergyTeller:
    """Serves one request."""

    __slots__ = ("_book", "_end", "_first", "_instance_id", "_is_told", "_seams", "_sent")

    def __init__(self, book: EnergyBook) -> None:
        self._book = book
        self.sent("", 0.0)

    def sent(self, instance_id: str, now_s: float) -> None:
        """The request was sent to an instance, maybe after another failed."""
        self._instance_id = instance_id
        self._sent = self._book.mark(instance_id, now_s)
        self._first: Mark | None = None
        self._seams = ChunkSeams()
        self._end = b"\n\n\r\n"  # before the first event is as good a place as behind one
        self._is_told = False

    def field(self, tokens: tuple[Usage, bool] | None, now_s: float) -> bytes:
        """The line of an answer's head; None says that the tokens are not known."""
        cost = None if tokens is None else self._cost(tokens, now_s)
        self._count(cost)
        return b"%b: %b\r\n" % (FIELD, value_of(cost))

    def weave(self, data: bytes, tokens: Tokens, now_s: float) -> bytes:
        """Bytes of a chunked stream as they go to the client: with the comment, where its place is within them."""
        if self._is_told:
            return data
        self._note_first(now_s)
        for seam in self._seams.feed(data):
            is_here = seam.size == 0 or _has_done(data[seam.payload : seam.payload + seam.size])
            if is_here and (self._end + data[: seam.begin]).endswith(_BETWEEN_EVENTS):
                line = self._comment(tokens(data), now_s)
                return b"%b%x\r\n%b\r\n%b" % (data[: seam.begin], len(line), line, data[seam.begin :])
        self._end = (self._end + data)[-6:]
        return data

    def weave_payload(self, data: bytes, tokens: Tokens, now_s: float) -> bytes:
        """The same of a stream that goes on without chunks, as to a client of HTTP/1.0."""
        if self._is_told:
            return data
        self._note_first(now_s)
        whole = self._end[:2] + data
        for done in _DONE:
            at = whole.find(b"\n\n" + done)
            if at >= 0:
                return data[:at] + self._comment(tokens(data), now_s) + data[at:]
        self._end = whole[-2:]
        return data

    def _note_first(self, now_s: float) -> None:
        if self._first is None:
            self._first = self._book.mark(self._instance_id, now_s)

    def _comment(self, tokens: tuple[Usage, bool], now_s: float) -> bytes:
        self._is_told = True
        cost = self._cost(tokens, now_s)
        self._count(cost)
        return b": %b: %b\n\n" % (FIELD, value_of(cost))

    def _cost(self, tokens: tuple[Usage, bool], now_s: float) -> Cost | None:
        usage, is_counted = tokens
        marks = self._sent, self._sent if self._first is None else self._first
        return self._book.cost(self._instance_id, marks, usage, is_counted=is_counted, now_s=now_s)

    def _count(self, cost: Cost | None) -> None:
        if cost is None:
            self._book.unknown += 1
        else:
            self._book.told += 1


def _has_done(payload: bytes) -> bool:
    return any(payload.startswith(done) or b"\n" + done in payload for done in _DONE)
