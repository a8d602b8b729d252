"""Messages that were refused: counted, recorded and told, the same one once."""

from __future__ import annotations

from collections import Counter

from controller.errors import CallRefused
from controller.grid.admit import Refusal
from controller.model.call import Call
from controller.signals.call_log import CallLog

_MAX_KNOWN = 256
_TRANSIENT = {Refusal.RATE.value, Refusal.FULL.value, Refusal.UNKNOWN_PROGRAMME.value}
"""Causes that are counted each time: they lie in how much was sent."""


class Refusals:
    """Remembers a bounded number of them.

    Each message is judged anew whenever it comes: what was out of its time may be in time once a clock was set right.

    Attributes:
        counts: how many messages were refused, by cause.
    """

    def __init__(self, told: CallLog) -> None:
        self._log = told
        self._known: dict[tuple[str, str, float], str] = {}
        self.counts: Counter[str] = Counter({cause.value: 0 for cause in Refusal})

    def take(self, call: Call, error: CallRefused, now_s: float, raw: str) -> None:
        """Count, record and tell a refusal; not that of the same message for the same cause again."""
        key = (call.source, call.call_id, call.modified_s)
        if self._known.get(key) == error.cause:
            return
        self.counts[error.cause] += 1
        if error.cause not in _TRANSIENT:
            if len(self._known) >= _MAX_KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[key] = error.cause
        self._log.refused(call, error, now_s, raw)
