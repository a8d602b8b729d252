"""API keys: where a request carries one, what is kept of it, and finding its tenant. Pure.

Only SHA-256 digests are kept. A plain, unsalted digest is enough for keys that are long and random (256 bits cannot be
guessed, with or without salt), and it is what makes finding one of 10,000 a single look-up; `wattroute-router
hash-key` refuses keys that are short enough to be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

PREFIX = "sha256:"
_WRITTEN = re.compile(r"sha256:[0-9a-fA-F]{64}")
_BEARER = b"bearer "
_NO_DIGEST = bytes(32)
"""Compared with where no key is found: as many steps as for one that is. No known text has this digest."""

CREDENTIAL_FIELDS = frozenset({b"authorization", b"x-api-key", b"api-key"})
"""Fields a client may carry its key in; none of them goes on to an engine that has a key of its own."""

Owner = TypeVar("Owner")


class KeyDigest(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a key.

    Attributes:
        digest: its SHA-256, 32 bytes.
        until_s: wall clock from which it is not valid any more.
    """

    digest: bytes
    until_s: float = math.inf


class Key(Generic[Owner]):
    """A key that was found; it stays the same object while its digest is known.

    Attributes:
        owner: whose it is.
        until_s: wall clock from which it is not valid; minus infinity once its digest is known no longer.
    """

    __slots__ = ("digest", "owner", "until_s")

    def __init__(self, known: KeyDigest, owner: Owner) -> None:
        self.digest = known.digest
        self.until_s = known.until_s
        self.owner = owner


class KnownKeys(Generic[Owner]):
    """Finds keys by their digests, in the same time for one key as for 100,000."""

    def __init__(self) -> None:
        self._keys: dict[bytes, Key[Owner]] = {}

    def find(self, presented: bytes) -> Key[Owner] | None:
        """The key with the digest of `presented`, valid or not.

        The digest is looked up by the hash of a hash, then compared in constant time: what a caller can measure
        tells nothing of the digests that are known.
        """
        digest = hashlib.sha256(presented).digest()
        found = self._keys.get(digest)
        is_same = hmac.compare_digest(digest, _NO_DIGEST if found is None else found.digest)
        return found if is_same else None

    def replace(self, owners: Mapping[Owner, tuple[KeyDigest, ...]]) -> None:
        """Know these keys and no others; keys handed out before follow their digests, or end."""
        old, self._keys = self._keys, {}
        for owner, known in owners.items():
            for item in known:
                key = old.pop(item.digest, None)
                if key is None:
                    key = Key(item, owner)
                else:
                    key.owner, key.until_s = owner, item.until_s
                self._keys[item.digest] = key
        for key in old.values():
            key.until_s = -math.inf


def presented_key(fields: Mapping[bytes, bytes]) -> bytes | None:
    """The key a request carries, or None: ``Authorization: Bearer``, else ``x-api-key``, else ``api-key``.

    Args:
        fields: a head's values by lower-case name.
    """
    authorization = fields.get(b"authorization")
    if authorization is not None and authorization[:7].lower() == _BEARER:
        return authorization[7:].strip(b" ") or None
    return fields.get(b"x-api-key") or fields.get(b"api-key") or None


def digest_of(key: bytes) -> bytes:
    """SHA-256 of a key."""
    return hashlib.sha256(key).digest()


def written(digest: bytes) -> str:
    """A digest as it stands in files: ``sha256:`` and 64 hex digits."""
    return PREFIX + digest.hex()


def read_digest(text: str) -> bytes:
    """The digest that stands in a file.

    Raises:
        ValueError: this is not a digest; the text is not shown, since it may be a key by mistake.
    """
    if not _WRITTEN.fullmatch(text):
        raise ValueError("this is not a digest; write sha256: and 64 hex digits, as 'wattroute-router hash-key' prints")
    return bytes.fromhex(text[len(PREFIX) :])
