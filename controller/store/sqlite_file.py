"""Files of SQLite: opened with their version checked, written in transactions, asked from several threads."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from controller.errors import StoreError

_BUSY_S = 5.0
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Tables:
    """What a file holds.

    Attributes:
        schema: statements that make what is not there yet.
        version: of the schema.
        use: what the file is for, as messages say it.
    """

    schema: str
    version: int
    use: str


def open_tables(path: Path, tables: Tables) -> sqlite3.Connection:
    """Open a file in WAL mode, which is made where there is none.

    Raises:
        StoreError: it cannot be opened, is of another version, or is no such file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=_BUSY_S)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: cannot be opened: {error}; choose another controller.data_dir") from error
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, tables.version):
            raise StoreError(f"{path}: is of version {version}, this one reads {tables.version}; move it away")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(tables.schema)
        db.execute(f"PRAGMA user_version = {tables.version}")
    except StoreError:
        db.close()
        raise
    except sqlite3.Error as error:
        db.close()
        raise StoreError(f"{path}: not usable {tables.use}: {error}; move it away") from error
    return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Write all of what follows or nothing; a commit that fails leaves no transaction open for the next one."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite itself ends it where the disk is full or fails
            db.execute("ROLLBACK")
        raise


class SharedTables:
    """A connection that one thread at a time asks."""

    def __init__(self, path: Path, tables: Tables) -> None:
        """Open the file.

        Raises:
            StoreError: as for `open_tables`.
        """
        self._path = path
        self._guard = threading.Lock()
        self._db = open_tables(path, tables)

    def ask(self, question: Callable[[sqlite3.Connection], Result]) -> Result:
        """What a question finds or writes.

        Raises:
            StoreError: the file cannot be used.
        """
        with self._guard:
            try:
                return question(self._db)
            except sqlite3.Error as error:
                raise StoreError(f"{self._path}: {error}; see that its disk has room and is sound") from error

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            self._db.close()
