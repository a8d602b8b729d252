"""The certificates and keys that engines are reached with, followed as their files change."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import ConfigError
from controller.settings.file import Settings
from router.errors import CertificateError
from router.transport.keyring import Keyring


@contextlib.asynccontextmanager
async def followed_keyring(settings: Settings, clock: Clock, works: Works) -> AsyncIterator[Keyring]:
    """The keyring of the configured pools, until the end.

    Raises:
        ConfigError: a file of TLS cannot be used.
    """
    try:
        keyring = Keyring(settings, clock.wall_s)
    except CertificateError as error:
        raise ConfigError(str(error)) from error
    async with in_background(keyring.watch, Work.CERTIFICATES, works=works):
        yield keyring
