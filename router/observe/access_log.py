"""The access log: one JSON object a line for each request that was drawn, and for each that failed."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from router.observe.batches import Batches
from router.observe.served import Served
from router.settings import AccessLogSettings

FLUSH_S = 0.2
"""Time between two writes."""
PIECE_BYTES = 4096
"""Lines are written in pieces of at most this size, which a pipe takes whole (POSIX: PIPE_BUF), so that the lines of
several processes on one stream do not mix. A longer line goes alone."""
MAX_TEXT = 256
"""Longest text of the client's that is told; the rest is cut."""


class AccessLog:
    """Draws, encodes and queues lines.

    Args:
        settings: where lines go, and which.
        rng: draws.
        put: takes a line, without waiting.
    """

    def __init__(self, settings: AccessLogSettings, *, rng: random.Random, put: Callable[[bytes], None]) -> None:
        self._sample_frac = settings.sample_frac
        self._rng = rng
        self._put = put

    def served(self, record: Served) -> None:
        """Note a request that has ended."""
        if record.has_failed or self._sample_frac >= 1.0 or self._rng.random() < self._sample_frac:
            self._put(line_of(record))


def line_of(record: Served) -> bytes:
    """The line, with its end; what is not known of a request is not in it."""
    trace = record.context or record.caller
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.arrived_at_s, UTC),
        "method": record.method[:MAX_TEXT],
        "path": record.path[:MAX_TEXT],
        "status": record.status,
        "outcome": record.outcome,
        "reason": record.reason,
        "class": record.class_id,
        "tenant": record.tenant,
        "pool": record.pool_id,
        "instance": record.instance_id,
        "precision": record.precision,
        "degraded": record.degraded,
        "sequence": record.sequence,
        "attempts": len(record.attempts),
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "ttft_ms": _ms(record.ttft_s),
        "overhead_ms": _ms(record.overhead_s),
        "duration_ms": _ms(record.ended_s - record.received_s),
        "trace_id": None if trace is None else trace.trace_id,
        "request_id": None if record.request_id is None else record.request_id[:MAX_TEXT],
        "client": record.client_address,
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None}) + b"\n"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


class LineWriter:
    """Writes lines to a file, which is opened anew when it was moved away, or to standard error.

    Args:
        path: of the file, or None for standard error.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd = sys.stderr.fileno() if path is None else -1
        self._id: tuple[int, int] | None = None

    def write(self, batch: Sequence[bytes]) -> None:
        """Write whole lines.

        Raises:
            OSError: the file cannot be written.
        """
        if self._path is not None:
            self._open(self._path)
        for piece in pieces_of(batch):
            left = memoryview(piece)
            while left:
                left = left[os.write(self._fd, left) :]

    def close(self) -> None:
        """Close the file."""
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self, path: Path) -> None:
        """Have the file that the path means now: a tool that keeps logs short moves the old one away."""
        try:
            found = path.stat()
            present: tuple[int, int] | None = (found.st_dev, found.st_ino)
        except FileNotFoundError:
            present = None
        if self._fd >= 0 and present == self._id:
            return
        self.close()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        opened = os.fstat(self._fd)
        self._id = (opened.st_dev, opened.st_ino)


def pieces_of(lines: Sequence[bytes]) -> list[bytes]:
    """The lines joined into pieces of at most `PIECE_BYTES`."""
    pieces: list[bytes] = []
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > PIECE_BYTES:
            pieces.append(b"".join(piece))
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        pieces.append(b"".join(piece))
    return pieces


def lines_to(path: Path | None) -> Batches[bytes]:
    """Where lines are put for a file, or for standard error."""
    return Batches("access log", LineWriter(path), every_s=FLUSH_S)
