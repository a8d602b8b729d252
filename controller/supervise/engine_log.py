"""The log of one engine: appended to by the engine itself, and kept within bounds by whoever supervises it.

The engine holds the file open and writes to its end, so that it goes on without a supervisor. At the bound the content
is copied aside and the file emptied; lines that are written between the two are lost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

TAIL_LINES = 20
_TAIL_BYTES = 16_384
_LINE_CHARACTERS = 500


class EngineLog:
    """The log and the older ones beside it, NAME.log.1 the newest of them."""

    def __init__(self, path: Path, most_bytes: int, older: int) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._older = older
        self._fault: str | None = None
        self._opened: tuple[int, int] | None = None

    def open(self) -> int:
        """A descriptor to append to; what was wrong for the engine before is over.

        Raises:
            OSError: it cannot be opened.
        """
        self._fault = self._opened = None
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._opened = _file_of(Path(f"/proc/self/fd/{descriptor}"))
        return descriptor

    def lost(self, pid: int) -> str | None:
        """Whether the engine writes to a log that is not here any more; None where it is, or nobody can tell.

        One that by itself writes elsewhere, as a script that redirects its output, has lost nothing.

        Args:
            pid: of the engine.
        """
        written = _file_of(Path(f"/proc/{pid}/fd/1"))
        here = _file_of(self.path)
        if written is None or written == here or (here is not None and written != self._opened):
            return None
        return (
            f"{self.path}: was moved or removed, the engine writes on where nothing bounds it; let logs lie, and start "
            "the engine again"
        )

    def bound(self) -> str | None:
        """Move the content aside where it has reached the bound.

        Returns:
            Why that was not possible the last time that it was to be; None where it was.
        """
        try:
            if self.path.stat().st_size < self._most_bytes:
                return self._fault
        except FileNotFoundError:
            return self._fault
        except OSError as error:
            return f"{self.path}: {error.strerror}"
        self._fault = self._copy_aside()
        try:
            os.truncate(self.path, 0)
        except OSError as error:
            self._fault = f"{self.path}: cannot be emptied: {error.strerror}"
        return self._fault

    def tail(self) -> tuple[str, ...]:
        """The last lines, cut where they are long."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ()
        return tuple(line[:_LINE_CHARACTERS] for line in text.splitlines()[-TAIL_LINES:])

    def _copy_aside(self) -> str | None:
        """Room first: the oldest goes before anything is written."""
        if self._older == 0:
            return None
        try:
            self._at(self._older).unlink(missing_ok=True)
            for number in range(self._older - 1, 0, -1):
                if self._at(number).exists():
                    self._at(number).rename(self._at(number + 1))
            shutil.copyfile(self.path, self._at(1))
        except OSError as error:
            with contextlib.suppress(OSError):
                self._at(1).unlink(missing_ok=True)
            return f"{self.path}: cannot be kept: {error.strerror}; what it held is lost, free some space"
        return None

    def _at(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _file_of(place: Path) -> tuple[int, int] | None:
    """What a regular file is known by; None where it is none, or cannot be looked at."""
    try:
        status = place.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
