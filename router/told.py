"""What a router tells of itself through Redis: the part of its state that a controller reads. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from router.contract_presence import pack_state
from router.snapshot import Snapshot
from router.state_document import state_document

_KEPT = ("now_s", "ready", "draining", "table", "classes", "tenants", "redis")


def encode_told(snapshot: Snapshot) -> bytes:
    """The state, compressed; instances on which nothing is or was are left out."""
    document = state_document(snapshot)
    told: dict[str, Any] = {key: document[key] for key in _KEPT}
    told["instances"] = [
        {key: entry[key] for key in ("instance_id", "in_flight", "tokens")}
        for entry in document["instances"]
        if entry["in_flight"] or entry["tokens"]
    ]
    return pack_state(msgspec.json.encode(told))


def load_of(snapshot: Snapshot) -> int:
    """Requests in flight and waiting."""
    return sum(counts.in_flight + counts.queued for counts in snapshot.classes)
