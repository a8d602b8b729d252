"""Passes what is observed from the event loop to a thread that writes it: bounded, and never waiting."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

log = logging.getLogger(__name__)

MAX_WAITING = 8192
"""Pieces that wait for the writer; further ones are dropped and counted."""
MAX_BATCH = 64
"""Most pieces written at once: the thread shares the interpreter with the event loop, and holds it only so long."""
CLOSE_S = 2.0
"""Longest wait for the writer at the end."""

P = TypeVar("P")
Q = TypeVar("Q", contravariant=True)


class Writer(Protocol[Q]):
    """Writes batches, in the thread."""

    def write(self, batch: Sequence[Q]) -> None:
        """Write all.

        Raises:
            OSError: the batch is lost.
        """

    def close(self) -> None:
        """Let go of what is held."""


class Batches(Generic[P]):
    """A bounded queue and the thread that empties it.

    The event loop only appends and the thread only takes, so neither waits for the other.

    Args:
        name: what is written, for messages.
        writer: what writes.
        every_s: pause between two looks at the queue, so that a busy router wakes the thread seldom.

    Attributes:
        written: pieces written.
        dropped: pieces lost, because the queue was full or the writer failed.
    """

    def __init__(self, name: str, writer: Writer[P], *, every_s: float) -> None:
        self._name = name
        self._writer = writer
        self._every_s = every_s
        self._queue: deque[P] = deque()
        # Each side counts for itself: a number that both changed would need a lock.
        self._refused = 0
        self._lost = 0
        self.written = 0
        self._stop = threading.Event()
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Pieces lost."""
        return self._refused + self._lost

    def put(self, piece: P) -> None:
        """Queue a piece, or drop it where too many wait already."""
        if len(self._queue) >= MAX_WAITING:
            self._refused += 1
        else:
            self._queue.append(piece)

    def close(self) -> None:
        """Write what is left, if that is soon done, and end the thread. Waits `CLOSE_S` at most."""
        self._stop.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            # What was put before the end was called is still written.
            is_last = self._stop.wait(self._every_s)
            while self._queue:
                self._write([self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))])
        self._writer.close()

    def _write(self, batch: list[P]) -> None:
        try:
            self._writer.write(batch)
        except OSError as error:
            self._lost += len(batch)
            self._report(str(error))
        else:
            self.written += len(batch)
            self._report(None)

    def _report(self, trouble: str | None) -> None:
        """Log a change, once."""
        if trouble != self._trouble:
            if trouble is None:
                log.info("observations are written again", extra={"what": self._name})
            else:
                log.warning("observations are lost", extra={"what": self._name, "reason": trouble})
            self._trouble = trouble
