"""Calls to curtail, entered by operators.

The book is bounded and every change is recorded, so that a restarted controller knows the events in force. It is
called by the API and by the tick on the same event loop.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.errors import ControllerError, StoreError
from controller.model.grid import GridEvent
from controller.ports import Recorder

log = logging.getLogger(__name__)

RECORD_KIND = "event"
MAX_EVENTS = 256
KEEP_ENDED_S = 3600.0
MAX_LIMIT_W = 1e9
MAX_START_IN_S = 30 * 86_400.0
MAX_DURATION_S = 7 * 86_400.0
MAX_RAMP_S = 3600.0
RENEW_S = 86_400.0
"""An event that lasts is recorded again after this time, so that it outlives the retention of old records."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class EventRefused(ControllerError):  # noqa: N818 - reads as the outcome it is
    """A request about an event cannot be followed; the text says why, `is_conflict` that the state forbids it."""

    def __init__(self, reason: str, *, is_conflict: bool = False) -> None:
        super().__init__(reason)
        self.is_conflict = is_conflict


@dataclass(frozen=True, slots=True)
class EventRequest:
    """What an operator asks for.

    Attributes:
        limit_w: most the site may draw at its metering point.
        start_in_s, duration_s: from now on.
        ramp_s: time after the start by which the limit must be met.
    """

    limit_w: float
    duration_s: float
    start_in_s: float = 0.0
    ramp_s: float = 30.0
    event_id: str | None = None


def read_request(data: Any) -> EventRequest:
    """Check the JSON form of a request.

    Raises:
        EventRefused: naming the key, the value and what is expected.
    """
    if not isinstance(data, dict):
        raise EventRefused(f"a JSON object is expected, not {type(data).__name__}")
    known = {field.name for field in dataclasses.fields(EventRequest)}
    strangers = sorted(map(str, set(data) - known))
    if strangers:
        raise EventRefused(f"unknown key {strangers[0]!r}; known are {', '.join(sorted(known))}")
    event_id = data.get("event_id")
    if event_id is not None and not (isinstance(event_id, str) and _ID.fullmatch(event_id)):
        raise EventRefused(f"event_id {event_id!r:.80} is not a name of 1 to 64 letters, digits, '.', '_' and '-'")
    return EventRequest(
        limit_w=_number(data, "limit_w", 0.0, MAX_LIMIT_W),
        duration_s=_number(data, "duration_s", 1.0, MAX_DURATION_S),
        start_in_s=_number(data, "start_in_s", 0.0, MAX_START_IN_S, default=0.0),
        ramp_s=_number(data, "ramp_s", 0.0, MAX_RAMP_S, default=30.0),
        event_id=event_id,
    )


def _number(data: dict[str, Any], key: str, least: float, most: float, *, default: float | None = None) -> float:
    value = data.get(key, default)
    if value is None:
        raise EventRefused(f"{key} is missing; write a number from {least:g} to {most:g}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise EventRefused(f"{key} is {value!r:.40}; write a number from {least:g} to {most:g}")
    if not least <= value <= most:
        raise EventRefused(f"{key} is {value!r:.40}, outside {least:g} to {most:g}")
    return float(value)


class EventBook:
    """The events that are pending, active or ended within the last hour."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._events: dict[str, GridEvent] = {}
        self._recorded_s: dict[str, float] = {}

    def add(self, request: EventRequest, now_s: float) -> GridEvent:
        """Take in a request.

        Raises:
            EventRefused: the id is taken or the book is full.
            StoreError: it could not be recorded; the event is then not taken in.
        """
        self._forget(now_s)
        event_id = request.event_id or self._free_id(now_s)
        if event_id in self._events:
            raise EventRefused(f"event {event_id!r} exists already; choose another event_id", is_conflict=True)
        if len(self._events) >= MAX_EVENTS:
            raise EventRefused(f"{MAX_EVENTS} events are held already; cancel some", is_conflict=True)
        start_s = now_s + request.start_in_s
        event = GridEvent(
            event_id=event_id,
            limit_w=request.limit_w,
            start_s=start_s,
            end_s=start_s + request.duration_s,
            notice_s=now_s,
            ramp_s=request.ramp_s,
        )
        self._keep(event, "added", now_s)
        return event

    def cancel(self, event_id: str, now_s: float) -> GridEvent | None:
        """End an event now; None where there is none of that id or it is over."""
        event = self._events.get(event_id)
        if event is None or event.state(now_s) is None:
            return None
        cancelled = dataclasses.replace(event, end_s=now_s, start_s=min(event.start_s, now_s))
        self._keep(cancelled, "cancelled", now_s)
        return cancelled

    def current(self, now_s: float) -> tuple[GridEvent, ...]:
        """Events that are pending or active, by their start."""
        self._forget(now_s)
        events = tuple(event for event in self.recent() if event.state(now_s) is not None)
        for event in events:
            if now_s - self._recorded_s.get(event.event_id, -math.inf) >= RENEW_S:
                self._renew(event, now_s)
        return events

    def recent(self) -> tuple[GridEvent, ...]:
        """All events held, by their start."""
        return tuple(sorted(self._events.values(), key=lambda event: (event.start_s, event.event_id)))

    def restore(self, records: Iterable[Mapping[str, Any]], now_s: float) -> int:
        """Take in recorded changes, oldest first; returns how many events are pending or active."""
        names = [field.name for field in dataclasses.fields(GridEvent)]
        for record in records:
            event = GridEvent(**{name: record[name] for name in names if name in record})
            self._events[event.event_id] = event
        return len(self.current(now_s))

    def _keep(self, event: GridEvent, action: str, now_s: float) -> None:
        self._recorder.record(RECORD_KIND, now_s, {"action": action, **dataclasses.asdict(event)})
        self._events[event.event_id] = event
        self._recorded_s[event.event_id] = now_s

    def _renew(self, event: GridEvent, now_s: float) -> None:
        """Record an event once more; where that fails it is tried again at the next look."""
        try:
            self._keep(event, "kept", now_s)
        except StoreError as error:
            log.warning("event not recorded again", extra={"event_id": event.event_id, "reason": str(error)})

    def _forget(self, now_s: float) -> None:
        self._events = {key: event for key, event in self._events.items() if now_s < event.end_s + KEEP_ENDED_S}
        self._recorded_s = {key: at_s for key, at_s in self._recorded_s.items() if key in self._events}

    def _free_id(self, now_s: float) -> str:
        base = f"operator-{int(now_s)}"
        names = (base, *(f"{base}-{n}" for n in range(2, MAX_EVENTS + 3)))
        return next(name for name in names if name not in self._events)
