"""Follows the events of one VTN of 2.0b: submits them, answers whether they are followed, and tells their prices."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from controller.errors import ControllerError, MessageError
from controller.openadr.events import Span
from controller.openadr.series import Ranked, held, rank
from controller.openadr.source_calls import Calls
from controller.openadr2.events import Meaning, meaning
from controller.openadr2.specs import Ven2Spec

log = logging.getLogger(__name__)

OPT_IN, OPT_OUT = "optIn", "optOut"
MAX_EVENTS = 2000


class EventDesk2:
    """The events of one VTN.

    Attributes:
        version: grows with every change of what is followed.
        known: what each event came to, by id.
    """

    def __init__(self, spec: Ven2Spec, book: Calls) -> None:
        self._spec = spec
        self._book = book
        self.known: dict[str, Meaning] = {}
        self.version = 0

    def take(self, event: Any, ven_id: str | None, now_s: float) -> str:
        """Follow an event, or a change of one; returns ``optIn`` where it is followed, else ``optOut``."""
        own = frozenset((self._spec.ven_name, *self._spec.resources, *(() if ven_id is None else (ven_id,))))
        try:
            found = meaning(event, self._spec, own, now_s)
            self._follow(found, event, now_s)
        except ControllerError as error:
            log.warning("event refused", extra={"source": self._spec.source, "reason": str(error)})
            return OPT_OUT
        return OPT_OUT if found.call is None and not found.price_usd_per_mwh and not found.is_cancelled else OPT_IN

    def spans(self, kind: str) -> tuple[Span, ...]:
        """What the events say of prices (``price_usd_per_mwh``)."""
        return held(
            Ranked(span, rank(None if known.call is None else known.call.priority, known.modified_s))
            for known in self.known.values()
            for span in getattr(known, kind, ())
        )

    def _follow(self, found: Meaning, event: Any, now_s: float) -> None:
        before = self.known.get(found.event_id)
        if before is None and len(self.known) >= MAX_EVENTS:
            raise MessageError("event", f"{MAX_EVENTS} events are known already")
        if before is not None and found.modification < before.modification:
            log.info("older form of an event passed over", extra={"event_id": found.event_id})
            return
        for signal in found.ignored:
            extra = {"source": self._spec.source, "event_id": found.event_id, "signal": signal}
            log.info("signal passed over", extra=extra)
        if found.call is not None and found.call.end_s > now_s:
            self._book.submit(found.call, now_s, raw=msgspec.json.encode(event).decode())
        elif found.is_cancelled or (before is not None and before.call is not None):
            self._book.cancel(
                self._spec.source, found.event_id, now_s, modified_s=found.modified_s, reason="the VTN ended it"
            )
        self.known[found.event_id] = found
        self.version += 1
