"""What outlasts a supervisor: which engines it started and whether each is to run; a file an engine, one supervisor."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.errors import ConfigError, StoreError
from controller.store.replacing import replace_file
from controller.supervise.proc_table import Mark

log = logging.getLogger(__name__)
VERSION = 1
_SUFFIX = ".engine.json"


@dataclass(frozen=True, slots=True)
class Record:
    """One engine.

    Attributes:
        mark: its process; None where none was started, or it has ended.
        fingerprint: of the command that it was started with.
        restarts: how often it was started again after a crash.
        last_exit: how its process ended the last time; empty where it never did.
    """

    instance_id: str
    wanted: bool
    url: str
    gpu_uuids: tuple[str, ...]
    mark: Mark | None = None
    fingerprint: str = ""
    restarts: int = 0
    last_exit: str = ""


class Records:
    """The folder of the records, held by one supervisor at a time."""

    def __init__(self, folder: Path) -> None:
        """Take the folder.

        Raises:
            ConfigError: it cannot be used, or another supervisor has it.
        """
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise ConfigError(
                f"supervisor.state_dir {folder}: cannot be used: {error.strerror}; correct the path or its rights"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(
                f"supervisor.state_dir {folder}: another supervisor has it; stop that one, or name another folder"
            ) from error

    def close(self) -> None:
        """Let another supervisor have it."""
        os.close(self._lock)

    def read(self) -> Iterator[Record]:
        """Every record; one that cannot be understood is moved aside and told."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                yield _decoded(path.read_bytes())
            except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
                aside = path.with_name(f"{path.name}.unreadable")
                log.error("record of an engine is not readable", extra={"moved_to": str(aside), "reason": str(error)})
                path.rename(aside)

    def write(self, record: Record) -> None:
        """Keep a record.

        Raises:
            StoreError: it cannot be written, as on a full disk.
        """
        path = self._path(record.instance_id)
        body = json.dumps({"version": VERSION, **dataclasses.asdict(record)}, indent=1).encode()
        try:
            replace_file(path, body)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error.strerror}; free some space, or correct the rights"
            ) from (error)

    def drop(self, instance_id: str) -> None:
        """Forget an engine."""
        self._path(instance_id).unlink(missing_ok=True)

    def _path(self, instance_id: str) -> Path:
        return self._folder / f"{instance_id}{_SUFFIX}"


def _decoded(body: bytes) -> Record:
    """A record from its file.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    found = json.loads(body)
    if not isinstance(found, dict):
        raise TypeError("no JSON object")
    if found.pop("version") != VERSION:
        raise ValueError(f"not of version {VERSION}")
    mark = found.pop("mark")
    return Record(
        **{**found, "gpu_uuids": tuple(found["gpu_uuids"])},
        mark=None if mark is None else Mark(int(mark["pid"]), int(mark["started"]), str(mark["boot"])),
    )
