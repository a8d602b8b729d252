"""The token that those who ask over HTTP show: where a server has it from, and which tokens protect nothing."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

from controller.errors import ConfigError
from controller.http.secret_file import read_line

LEAST_CHARACTERS = 16


def load_token(file: Path | None, environment: Mapping[str, str], *, key: str, variable: str) -> str | None:
    """The token from the file, else from the environment, else None.

    Args:
        file: holds the token.
        environment: of the process.
        key: what the file is configured by, for messages.
        variable: of the environment.

    Raises:
        ConfigError: the file cannot be read, or the token is too short to protect anything or fits no header; the
            message does not show it.
    """
    token, where = environment.get(variable), variable
    if file is not None:
        token, where = read_line(file, key), f"{key} {file}"
    if token is None:
        return None
    if len(token) < LEAST_CHARACTERS or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"{where}: a token has {LEAST_CHARACTERS} or more printable ASCII characters, this one has {len(token)}; "
            "make one with: openssl rand -hex 24"
        )
    return token


def is_shown(authorization: str, token: str) -> bool:
    """Whether an Authorization header carries the token; compared in a time that does not tell how much is right."""
    given = authorization.encode("utf-8", "surrogateescape")  # a header may hold bytes that are no text
    return hmac.compare_digest(given, f"Bearer {token}".encode())
