"""Secrets that somebody else wants to be shown, such as tokens and passwords: from files, or from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from controller.errors import ConfigError

MAX_BYTES = 16_384


def read_line(file: Path, key: str) -> str:
    """What a file holds, without the white space around it; nothing is a text too.

    Args:
        file: to read.
        key: what the file is configured by, for messages.

    Raises:
        ConfigError: the file cannot be read, or is too large; the message does not show what is in it.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        text = content.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} {file}: cannot be read: {error}; correct the path or its rights") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{key} {file}: has more than {MAX_BYTES} bytes; one line with the secret is expected")
    return text


def read_secret(file: Path, key: str) -> str:
    """The secret in a file.

    Raises:
        ConfigError: as for `read_line`, or the file holds nothing that can stand in a header.
    """
    secret = read_line(file, key)
    if not _is_secret(secret):
        raise ConfigError(f"{key} {file}: one line with the secret is expected")
    return secret


def find_secret(file: Path | None, variable: str | None, environment: Mapping[str, str], key: str) -> str | None:
    """The secret in the file, else in the variable of the environment; None where neither is named.

    Raises:
        ConfigError: what is named does not hold one.
    """
    if file is not None:
        return read_secret(file, key)
    if variable is None:
        return None
    secret = environment.get(variable, "").strip()
    if not _is_secret(secret):
        raise ConfigError(f"the environment has no secret in {variable}; set it, or write {key}")
    return secret


def _is_secret(text: str) -> bool:
    return bool(text) and text.isprintable()
