"""A TLS context that follows its files: renewed when these change, kept when what is new cannot be used."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from router.errors import CertificateError
from router.file_marks import marks_of
from router.settings import ClientTlsSettings, ServerTlsSettings
from router.transport.certificates import Loaded, client_context, server_context, written_date

log = logging.getLogger(__name__)


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
        self._seen = marks_of(self._files)
        loaded = self._load()
        self.context: ssl.SSLContext = loaded.context
        self.until_s = loaded.until_s
        self.renewed = 0
        self.refused = 0

    def refresh(self) -> None:
        """Take the files if they have changed; what cannot be used is refused, logged and counted."""
        seen = marks_of(self._files)
        if seen == self._seen:
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
        expires = {} if self.until_s is None else {"expires": written_date(self.until_s)}
        log.info("certificate renewed", extra={"setting": self._setting, **expires})

    def _load(self) -> Loaded:
        if isinstance(self._tls, ServerTlsSettings):
            return server_context(self._tls, self._setting, self._wall_s())
        return client_context(self._tls, self._setting, self._wall_s())


def _files(tls: ServerTlsSettings | ClientTlsSettings) -> Iterator[Path]:
    authorities = tls.client_ca_file if isinstance(tls, ServerTlsSettings) else tls.ca_file
    for path in (tls.certificate_file, tls.key_file, authorities):
        if path is not None:
            yield path
