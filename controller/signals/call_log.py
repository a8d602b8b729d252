"""What becomes of calls, as records of the ledger: each change, each refusal, and again in time what lasts."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from controller.errors import CallRefused, StoreError
from controller.grid.admit import PACE_S
from controller.grid.courses import Span, spans
from controller.grid.kept import KeptCall
from controller.grid.resolve import Resolved
from controller.model.call import Call
from controller.ports import Recorder
from controller.signals.gone import Gone
from controller.store.plain import from_plain, to_plain

log = logging.getLogger(__name__)

Part = TypeVar("Part")

RECORD_KIND = "call"
REFUSED_KIND = "call_refused"
GONE_KIND = "call_gone"
RENEW_S = 86_400.0
"""A call that lasts is recorded again after this time, so that it outlives the retention of old records."""
RENEW_RECORDS = 4000
"""And after so many records of calls: a start reads a bounded number of them."""
RESTORED_RECORDS = 10_000
REFUSALS_PER_MIN = 30
_RAW_CHARS = 65_536


class CallLog:
    """Writes them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._written = 0
        self._last: dict[tuple[str, str], tuple[float, int]] = {}
        self._refusals: deque[float] = deque(maxlen=REFUSALS_PER_MIN)
        self._overtaken: deque[float] = deque(maxlen=REFUSALS_PER_MIN)

    def write(self, kept: KeptCall, action: str, now_s: float, told: Mapping[str, Any]) -> None:
        """Record a change of a call.

        Raises:
            StoreError: it could not be written.
        """
        payload = {"action": action, "kept": to_plain(kept), **told}
        self._recorder.record(RECORD_KIND, now_s, payload)
        self._written += 1
        self._last[kept.key] = (now_s, self._written)

    def frozen(self, kept: KeptCall, resolved: Resolved, now_s: float) -> bool:
        """Record what a call came to as its references froze, W; whether that was done.

        With its baseline all of its limits are known; with a present draw, that of the interval which began.
        """
        is_whole = kept.frozen.frozen_s == now_s
        events = [e for e in resolved.events if is_whole or e.start_s <= now_s < e.end_s]
        told = dataclasses.replace(resolved, events=tuple(events))
        return self._tried(kept, "frozen", now_s, {"resolved": to_plain(told)})

    def clock_set(self, kept: KeptCall, step_s: float, now_s: float) -> None:
        """Tell and record by which courses of the clock a call holds now."""
        extra = {
            "source": kept.call.source,
            "call_id": kept.call.call_id,
            "step_s": round(step_s, 3),
            "holds_s": spans(kept.call.start_s, kept.call.end_s, kept.courses_s),
        }
        how = "its former course as well" if kept.courses_s else "what it shows alone"
        log.warning("the clock was set: a call is followed by %s", how, extra=extra)
        self._tried(kept, "clock_set", now_s, {"step_s": step_s})

    def clock_trusted(self, kept: KeptCall, held_s: Span, now_s: float) -> None:
        """Tell and record that a call holds by the present clock alone; as a warning where that ends its limit."""
        is_ended = held_s[0] <= now_s < held_s[1] and not kept.call.start_s <= now_s < kept.call.end_s
        extra = {"source": kept.call.source, "call_id": kept.call.call_id, "is_ended_now": is_ended}
        log.warning("the clock is known to be right: a call is followed by it alone", extra=extra)
        self._tried(kept, "clock_trusted", now_s, {})

    def overtaken(self, gone: Gone, now_s: float) -> None:
        """Record a cancellation that came before its call, of a flood of them the first of each minute."""
        if len(self._overtaken) == REFUSALS_PER_MIN and 0 <= now_s - self._overtaken[0] < PACE_S:
            return
        self._overtaken.append(now_s)
        try:
            self._recorder.record(GONE_KIND, now_s, {"gone": to_plain(gone)})
        except StoreError as failed:
            extra = {"source": gone.source, "call_id": gone.call_id, "reason": str(failed)}
            log.warning("cancellation not recorded", extra=extra)

    def renew(self, kept: KeptCall, now_s: float) -> None:
        """Record a call once more where it is due; where that fails it is tried again at the next look."""
        at_s, number = self._last.get(kept.key, (-math.inf, 0))
        if now_s - at_s >= RENEW_S or self._written - number >= RENEW_RECORDS:
            self._tried(kept, "kept", now_s, {})

    def refused(self, call: Call, error: CallRefused, now_s: float, raw: str) -> None:
        """Tell and record a refusal, of a flood of them the first of each minute."""
        if len(self._refusals) == REFUSALS_PER_MIN and 0 <= now_s - self._refusals[0] < PACE_S:
            return
        self._refusals.append(now_s)
        told = {"source": call.source[:128], "call_id": call.call_id[:128], "cause": error.cause, "reason": str(error)}
        log.warning("call refused", extra=told)
        try:
            self._recorder.record(REFUSED_KIND, now_s, {**told, "raw": raw[:_RAW_CHARS]})
        except StoreError as failed:
            log.warning("refusal not recorded", extra={"call_id": call.call_id[:128], "reason": str(failed)})

    def forget(self, keys: Iterable[tuple[str, str]]) -> None:
        """These calls are held no more."""
        for key in keys:
            self._last.pop(key, None)

    def _tried(self, kept: KeptCall, action: str, now_s: float, told: Mapping[str, Any]) -> bool:
        try:
            self.write(kept, action, now_s, told)
        except StoreError as error:
            self._last.pop(kept.key, None)
            extra = {"source": kept.call.source, "call_id": kept.call.call_id, "reason": str(error)}
            log.warning("call not recorded again", extra=extra)
            return False
        return True


def read_gone(records: Iterable[Mapping[str, Any]]) -> Iterable[Gone]:
    """The calls that were taken back before they came, oldest first; what cannot be read is told and left out."""
    return _parts(Gone, "gone", records, "cancellation not restored")


def read(records: Iterable[Mapping[str, Any]]) -> Iterable[KeptCall]:
    """The calls of recorded changes, oldest first; what cannot be read is told and left out."""
    return _parts(KeptCall, "kept", records, "call not restored")


def _parts(kind: type[Part], key: str, records: Iterable[Mapping[str, Any]], lost: str) -> Iterable[Part]:
    for record in records:
        try:
            yield from_plain(kind, record[key])
        except (KeyError, TypeError, ValueError) as error:
            log.error(lost, extra={"reason": f"{type(error).__name__}: {error}"})
