"""Calls as the API tells them; pure."""

from __future__ import annotations

import dataclasses
from typing import Any

from controller.grid.easing import present
from controller.model.call import CallState
from controller.model.grid import GridEvent
from controller.signals.call_views import CallView

Json = dict[str, Any]
_SETTLED = (CallState.CANCELLED, CallState.OPTED_OUT, CallState.ENDED)
"""States of a call in which all of its limits are."""


def limits_json(view: CallView, now_s: float) -> list[Json]:
    """The limits that a call comes to, each as an event."""
    settled = view.state.value if view.state in _SETTLED else None
    told = []
    for event in view.events:
        state = event.state(now_s)
        named = settled or (state.value if state is not None else "ended")
        plain = dataclasses.asdict(event)
        del plain["is_held_over"]  # none of these is
        told.append({**plain, "state": named})
    return told


def call_json(view: CallView, now_s: float) -> Json:
    """A call: what it asks for, what it comes to, and what of it cannot be followed.

    `limit_w` is the limit in force, else the next one, else the last; null where there is none.
    """
    call, baseline = view.call, view.frozen.baseline
    shown = _shown(view.events, now_s)
    return {
        "event_id": call.call_id,
        "state": view.state.value,
        "source": call.source,
        "programme": call.programme,
        "start_s": view.events[0].start_s if view.events else call.start_s,
        "end_s": view.events[-1].end_s if view.events else call.end_s,
        "notice_s": call.received_s,
        "limit_w": None if shown is None else shown.limit_w,
        "ramp_s": None if shown is None else shown.ramp_s,
        "baseline_w": None if baseline is None else baseline.value_w,
        "baseline_origin": None if baseline is None else baseline.origin.value,
        "is_test": call.is_test,
        "priority": call.priority,
        "opted_out": call.opted_out,
        "in_part": in_part_json(view),
        "asked": [
            {
                "start_s": interval.start_s,
                "end_s": interval.end_s,
                "asked": interval.commitment.asked.value,
                "value": interval.commitment.value,
            }
            for interval in call.intervals
        ],
        "limits": limits_json(view, now_s),
        "unresolved": [{"start_s": each.start_s, "reason": each.reason} for each in view.unresolved],
        "raised_to_least": list(view.clipped),
    }


def in_part_json(view: CallView) -> Json | None:
    """Down to what a call is followed, since when, and why; None where all of it is, or nothing."""
    held = present(view.easings)
    return None if held is None else {"down_to_w": held.floor_w, "since_s": held.from_s, "reason": held.reason}


def _shown(events: tuple[GridEvent, ...], now_s: float) -> GridEvent | None:
    open_events = [event for event in events if event.end_s > now_s]
    return open_events[0] if open_events else (events[-1] if events else None)
