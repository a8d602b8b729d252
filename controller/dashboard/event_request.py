"""An operator's call to curtail as the API takes it in, and calls as it tells them."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

from controller.errors import CallRefused
from controller.model.call import OPERATOR, Asked, Call, CallInterval, CallState, Commitment
from controller.signals.call_views import CallView

MAX_LIMIT_W = 1e9
MAX_START_IN_S = 30 * 86_400.0
MAX_DURATION_S = 7 * 86_400.0
MAX_RAMP_S = 3600.0
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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

    def call(self, event_id: str, now_s: float) -> Call:
        """The same as a call."""
        start_s = now_s + self.start_in_s
        interval = CallInterval(start_s, start_s + self.duration_s, Commitment(Asked.AT_MOST_W, self.limit_w))
        return Call(event_id, OPERATOR, OPERATOR, now_s, now_s, (interval,), ramp_s=self.ramp_s)


def read_request(data: Any) -> EventRequest:
    """Check the JSON form of a request.

    Raises:
        CallRefused: naming the key, the value and what is expected.
    """
    if not isinstance(data, dict):
        raise CallRefused(f"a JSON object is expected, not {type(data).__name__}")
    known = {field.name for field in dataclasses.fields(EventRequest)}
    strangers = sorted(map(str, set(data) - known))
    if strangers:
        raise CallRefused(f"unknown key {strangers[0]!r}; known are {', '.join(sorted(known))}")
    event_id = data.get("event_id")
    if event_id is not None and not (isinstance(event_id, str) and _ID.fullmatch(event_id)):
        raise CallRefused(f"event_id {event_id!r:.80} is not a name of 1 to 64 letters, digits, '.', '_' and '-'")
    return EventRequest(
        limit_w=_number(data, "limit_w", 0.0, MAX_LIMIT_W),
        duration_s=_number(data, "duration_s", 1.0, MAX_DURATION_S),
        start_in_s=_number(data, "start_in_s", 0.0, MAX_START_IN_S, default=0.0),
        ramp_s=_number(data, "ramp_s", 0.0, MAX_RAMP_S, default=30.0),
        event_id=event_id,
    )


def chosen_id(request: EventRequest, views: tuple[CallView, ...], now_s: float) -> str:
    """The id that was asked for, or one that is free.

    Raises:
        CallRefused: the id is taken.
    """
    taken = {view.call.call_id for view in views if view.call.source == OPERATOR}
    if request.event_id in taken:
        raise CallRefused(f"event {request.event_id!r} exists already; choose another event_id", is_conflict=True)
    if request.event_id is not None:
        return request.event_id
    base = f"operator-{int(now_s)}"
    return next(name for name in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))) if name not in taken)


def events_json(view: CallView, now_s: float) -> list[dict[str, Any]]:
    """The limits that a call comes to."""
    over = {CallState.CANCELLED: "ended", CallState.OPTED_OUT: "opted_out"}.get(view.state)
    told = []
    for event in view.events:
        state = event.state(now_s)
        named = over or (state.value if state is not None else "ended")
        told.append({**dataclasses.asdict(event), "state": named})
    return told


def _number(data: dict[str, Any], key: str, least: float, most: float, *, default: float | None = None) -> float:
    value = data.get(key, default)
    if value is None:
        raise CallRefused(f"{key} is missing; write a number from {least:g} to {most:g}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CallRefused(f"{key} is {value!r:.40}; write a number from {least:g} to {most:g}")
    if not least <= value <= most:
        raise CallRefused(f"{key} is {value!r:.40}, outside {least:g} to {most:g}")
    return float(value)
