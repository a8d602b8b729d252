"""A file replaced as a whole: whoever reads it, and a machine that stops, finds the former content or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, body: bytes, *, mode: int = 0o666) -> None:
    """Write a file beside it, bring that to the disk, and give it the file's name.

    Args:
        path: of the file; need not exist, its folder must.
        body: all of the new content.
        mode: permissions of the file, less the umask.

    Raises:
        OSError: it could not be written; the former content stands.
    """
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)  # one that was left behind may be readable by more
    made = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(made, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
