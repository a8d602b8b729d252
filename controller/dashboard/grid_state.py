"""The grid's part of the state as the page and the API show it: limits, calls and sources; pure."""

from __future__ import annotations

import dataclasses
from typing import Any

from controller.dashboard.event_json import in_part_json
from controller.grid.loss import LinkState
from controller.grid.site_limit import Stretch
from controller.loop.grid_desk import GridStatus
from controller.model.call import CallState
from controller.signals.call_views import CallView

Json = dict[str, Any]
MAX_CALLS = 64
MAX_STRETCHES = 64
_OPEN = (CallState.ACTIVE, CallState.PENDING, CallState.OPTED_OUT)


def grid_json(status: GridStatus | None) -> Json | None:
    """What holds, what is to come, who asked for it, and who is silent; None before the first look."""
    if status is None:
        return None
    now_s = status.now_s
    views = [view for view in status.calls if view.state in _OPEN]
    then = status.limit.next_change(now_s)
    return {
        "limit": _stretch(status.limit.at(now_s)),
        "next_limit": _stretch(then),
        "limits": [_stretch(stretch) for stretch in status.limit.stretches[:MAX_STRETCHES]],
        "calls": [_call(view) for view in views[:MAX_CALLS]],
        "calls_not_shown": max(0, len(views) - MAX_CALLS),
        "sources": [_source(state, now_s) for state in status.sources],
        "clock": None if status.clock is None else dataclasses.asdict(status.clock),
    }


def _stretch(stretch: Stretch | None) -> Json | None:
    if stretch is None:
        return None
    event = stretch.event
    return {
        "start_s": stretch.start_s,
        "end_s": stretch.end_s,
        "limit_w": stretch.limit_w,
        "event_id": None if event is None else event.event_id,
        "source": None if event is None else event.source,
        "programme": None if event is None else event.programme,
    }


def _call(view: CallView) -> Json:
    baseline = view.frozen.baseline
    return {
        "call_id": view.call.call_id,
        "source": view.call.source,
        "programme": view.call.programme,
        "state": view.state.value,
        "start_s": view.call.start_s,
        "end_s": view.call.end_s,
        "is_test": view.call.is_test,
        "opted_out": view.call.opted_out,
        "in_part": in_part_json(view),
        "former_courses_s": list(view.courses_s),
        "held_until_s": max((event.end_s for event in view.held_over), default=None),
        "baseline_w": None if baseline is None else baseline.value_w,
        "baseline_origin": None if baseline is None else baseline.origin.value,
        "limits_w": [event.limit_w for event in view.events[:MAX_STRETCHES]],
        "unresolved": [{"start_s": each.start_s, "reason": each.reason} for each in view.unresolved[:MAX_STRETCHES]],
    }


def _source(state: LinkState, now_s: float) -> Json:
    return {
        "source": state.source,
        "silent_s": state.silent_s,
        "heard_s": state.heard_s,
        "is_lost": state.is_lost,
        "default_limit_w": min((event.limit_w for event in state.defaults if event.start_s <= now_s), default=None),
    }
