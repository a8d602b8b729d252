"""`wattroute-router hash-key`: the digest of an API key, for the file of tenants."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
from collections.abc import Sequence

from router.errors import SettingsError
from router.tenants.keys import digest_of, written

COMMAND = "hash-key"
SHORTEST = 16
"""Characters of the shortest key accepted: whoever has the file can try all shorter ones."""
_RANDOM_BYTES = 32
_ABOUT = (
    "Print the digest of an API key, as the file of tenants has it. The key is read from standard input or asked for."
)


def run(arguments: Sequence[str]) -> None:
    """Read or make a key and print its digest.

    Raises:
        SettingsError: what was read is no key.
    """
    parser = argparse.ArgumentParser(f"wattroute-router {COMMAND}", description=_ABOUT, allow_abbrev=False)
    parser.add_argument(
        "--generate", action="store_true", help="make a new key, and print it on standard error before its digest"
    )
    options = parser.parse_args(arguments)
    if options.generate:
        key = f"sk-{secrets.token_urlsafe(_RANDOM_BYTES)}"
        sys.stderr.write(f"{key}\n")
    else:
        key = _read()
    sys.stdout.write(f"{written(digest_of(key.encode()))}\n")


def _read() -> str:
    text = getpass.getpass("API key (not shown): ") if sys.stdin.isatty() else sys.stdin.read(1 << 16)
    key = text.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError("a key is one word of visible ASCII; give exactly one on standard input")
    if len(key) < SHORTEST:
        raise SettingsError(f"a key of {len(key)} characters can be guessed; use {SHORTEST} or more, or --generate")
    return key
