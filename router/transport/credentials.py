"""A TLS context that follows its files: renewed when these change, kept when what is new cannot be used."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from router.errors import CertificateError
from router.settings import ClientTlsSettings, ServerTlsSettings
from router.transport.certificates import Loaded, client_context, server_context

log = logging.getLogger(__name__)

Fingerprint = tuple[tuple[int, int, int] | None, ...]


class Credentials:
    """One TLS context and the files it is made of.

    Args:
        setting: where the files are named in the configuration, for messages.
        tls: the files.
        wall_s: the wall clock.

    Attributes:
        context: for new connections; those that stand keep theirs.
        until_s: wall-clock time at which its own certificate expires; None without one.
        renewed, refused: how often the files changed and were taken, or could not be used.

    Raises:
        CertificateError: a file cannot be used.
    """

    def __init__(self, setting: str, tls: ServerTlsSettings | ClientTlsSettings, wall_s: Callable[[], float]) -> None:
        self._setting = setting
        self._tls = tls
        self._files = tuple(_files(tls))
        self._wall_s = wall_s
        self._seen = self._look()
        loaded = self._load()
        self.context: ssl.SSLContext = loaded.context
        self.until_s = loaded.until_s
        self.renewed = 0
        self.refused = 0

    def refresh(self, *, always: bool = False) -> None:
        """Take the files if they have changed, or `always`; what cannot be used is refused, logged and counted."""
        seen = self._look()
        if seen == self._seen and not always:
            return
        self._seen = seen
        try:
            loaded = self._load()
        except CertificateError as error:
            self.refused += 1
            log.error("changed certificate refused, the old one stays", extra={"reason": str(error)})
            return
        self.context = loaded.context
        self.until_s = loaded.until_s
        self.renewed += 1
        log.info("certificate renewed", extra={"setting": self._setting, "expires_at_s": self.until_s})

    def _load(self) -> Loaded:
        if isinstance(self._tls, ServerTlsSettings):
            return server_context(self._tls, self._setting, self._wall_s())
        return client_context(self._tls, self._setting, self._wall_s())

    def _look(self) -> Fingerprint:
        """What tells the files' present state from others: a swapped link leads to another inode."""
        return tuple(_fingerprint(path) for path in self._files)


def _files(tls: ServerTlsSettings | ClientTlsSettings) -> Iterator[Path]:
    authorities = tls.client_ca_file if isinstance(tls, ServerTlsSettings) else tls.ca_file
    for path in (tls.certificate_file, tls.key_file, authorities):
        if path is not None:
            yield path


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino, state.st_size
