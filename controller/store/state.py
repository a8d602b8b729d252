"""The state file: what must outlast the controller's process, replaced as a whole at each tick.

A checksum over the content finds what was changed or damaged since. One process writes at a time: the ledger beside it
has the lock.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from pathlib import Path
from typing import Any

from controller.errors import StoreError
from controller.store.plain import from_plain, to_plain
from controller.store.replacing import replace_file

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
MAX_BYTES = 16 << 20


class StateFile:
    """Parts by name, each a frozen dataclass of plain values; safe to call from several threads.

    Args:
        path: of the file.
        mode: its permissions, less the umask; 0o600 for secrets.
    """

    def __init__(self, path: Path, *, mode: int = 0o666) -> None:
        self.path = path
        self._mode = mode
        self._guard = threading.Lock()

    def save(self, **parts: Any) -> None:
        """Replace the content.

        Raises:
            StoreError: it has no JSON form, is too large, or could not be written.
        """
        state = {name: to_plain(part) for name, part in parts.items()}
        try:
            document = {"schema_version": SCHEMA_VERSION, "sha256": _digest(_canonical(state)), "state": state}
        except (TypeError, ValueError) as error:
            raise StoreError(f"{self.path}: the state has no JSON form: {error}") from error
        body = _canonical(document).encode()
        if len(body) > MAX_BYTES:
            raise StoreError(f"{self.path}: the state has {len(body)} bytes, more than {MAX_BYTES}; nothing is written")
        with self._guard:
            try:
                replace_file(self.path, body, mode=self._mode)
            except OSError as error:
                raise StoreError(f"{self.path}: not written: {error.strerror or error}") from error

    def load(self, **kinds: type) -> dict[str, Any] | None:
        """The parts of these types; None where there is no file.

        Raises:
            StoreError: the file cannot be read, is damaged, or is of another version; the message has the remedy.
        """
        try:
            with self.path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(f"cannot be read: {error.strerror or error}") from error
        state = self._checked(body)
        try:
            return {name: from_plain(kind, state[name]) for name, kind in kinds.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreadable(f"holds no state of this version: {type(error).__name__}: {error}") from error

    def set_aside(self, error: StoreError, lost: str) -> None:
        """Keep an unreadable file under another name, out of the way of the next `save`, and tell it in the log.

        Args:
            error: of `load`.
            lost: what is not restored, and what holds instead.
        """
        kept = self.path.with_name(f"{self.path.name}.unreadable")
        is_kept = True
        try:
            self.path.replace(kept)
        except OSError:
            is_kept = False
        log.error(lost, extra={"reason": str(error), "set_aside": str(kept) if is_kept else None})

    def _checked(self, body: bytes) -> dict[str, Any]:
        if len(body) > MAX_BYTES:
            raise self._unreadable(f"has more than {MAX_BYTES} bytes")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._unreadable("is no JSON") from error
        version = document.get("schema_version") if isinstance(document, dict) else None
        if version != SCHEMA_VERSION:
            raise self._unreadable(f"has schema version {version!r:.40}, this controller reads {SCHEMA_VERSION}")
        state = document.get("state")
        try:
            checksum = _digest(_canonical(state))
        except (ValueError, RecursionError) as error:
            raise self._unreadable("holds a number that is none, such as NaN") from error
        if not isinstance(state, dict) or document.get("sha256") != checksum:
            raise self._unreadable("was changed or damaged after it was written: its checksum does not fit")
        return state

    def _unreadable(self, reason: str) -> StoreError:
        return StoreError(
            f"{self.path}: {reason}; stop the controller and put back a sound copy, or remove the file to begin with "
            "fresh budgets"
        )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
