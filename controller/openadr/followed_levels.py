"""The levels of a call that are followed, for reports of SIMPLE_LEVEL: of a call followed in part, lower ones; pure."""

from __future__ import annotations

import dataclasses

from controller.grid.easing import pieces
from controller.grid.resolve import References, resolve
from controller.model.call import Asked, Call, CallInterval, Commitment
from controller.model.grid import GridEvent
from controller.model.programme import Programme
from controller.openadr.report_inputs import LevelSpan
from controller.signals.call_views import CallView

_SAME_W = 0.5


def followed_levels(view: CallView, programme: Programme | None) -> tuple[LevelSpan, ...]:
    """The levels that a call asks for, until it was cancelled.

    While it is followed in part it is at the highest level whose limit is kept in full; 0 where none is.

    Args:
        view: of the call.
        programme: its terms; None where they are not known, which leaves levels as they were asked for.
    """
    end_s = view.call.end_s if view.cancelled_s is None else view.cancelled_s
    spans: list[LevelSpan] = []
    for interval in view.call.intervals:
        if interval.commitment.asked is not Asked.LEVEL or interval.start_s >= end_s:
            continue
        asked, until_s = int(interval.commitment.value), min(interval.end_s, end_s)
        own = next((event for event in view.events if event.start_s == interval.start_s), None)
        if own is None or own.start_s >= own.end_s:
            spans.append(LevelSpan(interval.start_s, until_s, asked))
            continue
        for piece in pieces(own, view.easings):
            level = asked if piece.asked_limit_w is None else _kept(view.call, interval, piece, programme)
            spans.append(LevelSpan(piece.start_s, min(piece.end_s, until_s), level))
    return tuple(spans)


def _kept(call: Call, interval: CallInterval, piece: GridEvent, programme: Programme | None) -> int:
    """The highest level below the one asked for whose limit is no lower than the one that holds."""
    asked = int(interval.commitment.value)
    if programme is None:
        return asked
    for level in sorted((number for number, _ in programme.levels if 0 < number < asked), reverse=True):
        of_level = dataclasses.replace(interval, commitment=Commitment(Asked.LEVEL, level))
        as_call = dataclasses.replace(call, intervals=(of_level,))
        limits = resolve(as_call, programme, References(piece.baseline_w))
        if not limits.unresolved and all(limit.limit_w >= piece.limit_w - _SAME_W for limit in limits.events):
            return level
    return 0
