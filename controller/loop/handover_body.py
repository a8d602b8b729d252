"""What a leader leaves as it stands in Redis: JSON with a version, and with whose it is."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from controller.store.plain import from_plain, to_plain

SCHEMA_VERSION = 1
Kind = TypeVar("Kind")


def encode(state: Any, **head: Any) -> bytes:
    """A state as it is written; `head` stands beside it."""
    document = {"schema_version": SCHEMA_VERSION, **head, "state": to_plain(state)}
    return json.dumps(document, separators=(",", ":")).encode()


def decode(body: bytes | None, kind: type[Kind]) -> Kind | str | None:
    """What was written; why it cannot be read, or None where there is nothing."""
    if body is None:
        return None
    try:
        document = json.loads(body)
        if document["schema_version"] != SCHEMA_VERSION:
            return f"it is of schema version {document['schema_version']!r:.40}, this controller reads {SCHEMA_VERSION}"
        return from_plain(kind, document["state"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


def writer_of(handover: bytes | None) -> tuple[str | None, float]:
    """The site that has left it, and when; None and 0 where it does not say."""
    try:
        document = json.loads(handover or b"{}")
        return str(document["site"]), float(document["written_at_s"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None, 0.0
