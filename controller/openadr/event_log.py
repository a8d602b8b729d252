"""What is told and counted of the events of one VTN: refusals, payloads that are passed over, alerts."""

from __future__ import annotations

import logging
from collections import Counter

from controller.openadr.events import Meaning
from controller.openadr.payload_types import EVENT_PAYLOADS, OTHER

log = logging.getLogger(__name__)

MAX_NAMELESS = 256


class EventLog:
    """Tells each thing once.

    Attributes:
        refused: how many messages were not followed.
        ignored: how often payloads of each type were passed over; those of no standard are `OTHER`.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._nameless: set[bytes] = set()
        self.refused = 0
        self.ignored: Counter[str] = Counter()

    def refuse(self, event_id: str | None, reason: str) -> None:
        """Count and tell a message that is not followed."""
        self.refused += 1
        self.warn("event refused", event_id, reason=reason)

    def refuse_nameless(self, digest: bytes, reason: str) -> None:
        """The same, once, of what has no id by which it could be remembered."""
        if digest in self._nameless:
            return
        if len(self._nameless) >= MAX_NAMELESS:
            self._nameless.clear()
        self._nameless.add(digest)
        self.refuse(None, reason)

    def tell_new(self, event_id: str, found: Meaning, before: Meaning) -> None:
        """Count and tell what an event has of payloads that are passed over, and of alerts, that it had not before."""
        for kind in set(found.ignored) - set(before.ignored):
            named = kind.partition(" ")[0]
            self.ignored[named if named in EVENT_PAYLOADS else OTHER] += 1
            told = {"source": self._source, "event_id": event_id, "payload_type": kind}
            log.info("payload type passed over", extra=told)
        for notice in set(found.notices) - set(before.notices):
            self.warn("alert of the grid", event_id, alert=notice.kind, said=notice.text)

    def warn(self, what: str, event_id: str | None, **told: str) -> None:
        """A warning about an event."""
        log.warning(what, extra={"source": self._source, "event_id": event_id, **told})
