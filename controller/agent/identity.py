"""The token that readers show and the certificate that the agent shows, both renewed when their files change."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping

from controller.agent.options import AgentOptions, load_token, tls_context, tls_files
from controller.errors import ConfigError
from router.file_marks import marks_of

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Time between two looks at the files."""


class Identity:
    """Token and certificate as the files have them; what is there but cannot be used leaves the old in force.

    Attributes:
        tls: what the port speaks, for the life of the process; None is plain HTTP. Each handshake takes the certificate
            that is in force then, connections that stand keep theirs.
        token: what readers show; None lets only this machine read.
        renewed, refused: how often changed files were taken, or could not be used.

    Raises:
        ConfigError: a file cannot be used.
    """

    def __init__(self, options: AgentOptions, environment: Mapping[str, str]) -> None:
        self._options = options
        self._environment = environment
        self._token_seen = marks_of(() if options.token_file is None else (options.token_file,))
        self._tls_seen = marks_of(tls_files(options))
        self.token = load_token(options, environment)
        self._shown = tls_context(options)
        self.tls = tls_context(options)
        if self.tls is not None:
            self.tls.sni_callback = self._choose
        self.renewed = 0
        self.refused = 0

    def refresh(self) -> None:
        """Take the files that have changed; what cannot be used is refused, logged and counted."""
        seen = marks_of(() if self._options.token_file is None else (self._options.token_file,))
        if seen != self._token_seen:
            self._token_seen = seen
            self._renew_token()
        seen = marks_of(tls_files(self._options))
        if seen != self._tls_seen:
            self._tls_seen = seen
            self._renew_certificate()

    def _renew_token(self) -> None:
        try:
            token = load_token(self._options, self._environment)
        except ConfigError as error:
            self._refuse("changed token refused, the old one stays", error)
            return
        if token != self.token:
            self.token = token
            self.renewed += 1
            log.info("token renewed; streams opened with the old one end")

    def _renew_certificate(self) -> None:
        try:
            self._shown = tls_context(self._options)
        except ConfigError as error:
            self._refuse("changed certificate refused, the old one stays", error)
            return
        self.renewed += 1
        log.info("certificate renewed")

    def _refuse(self, what: str, error: ConfigError) -> None:
        self.refused += 1
        log.error(what, extra={"reason": str(error)})

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _front: ssl.SSLContext) -> None:
        """OpenSSL asks at every handshake, with or without a name, which context goes on with it."""
        if self._shown is not None:
            connection.context = self._shown
