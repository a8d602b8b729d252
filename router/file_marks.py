"""What tells the present state of files from others, without reading them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Mark = tuple[int, int, int, int, int]
Marks = tuple[Mark | None, ...]


def marks_of(files: Iterable[Path]) -> Marks:
    """A mark of each file that changes whenever the file does; None of one that is not there."""
    return tuple(map(_mark, files))


def _mark(path: Path) -> Mark | None:
    """A link that is turned elsewhere leads to another inode; a mode that is put right changes the ctime."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
