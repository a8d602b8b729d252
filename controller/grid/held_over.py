"""Limits that are held for a while after their end, so that not all sites of a programme return at once (R3); pure.

How long is drawn once for each call, as a share of what its programme allows; a call that is cancelled returns as late.
Nothing is committed in that time: it is no part of the event, and is not settled.
"""

from __future__ import annotations

import dataclasses

from controller.model.grid import FOREVER_S, GridEvent

SUFFIX = "#held"


def held_over(events: tuple[GridEvent, ...], by_s: float) -> tuple[GridEvent, ...]:
    """What holds after the limits of a call.

    Args:
        events: its limits in order of time, cut off where it was cancelled.
        by_s: how long each is held; no longer than until the next one begins.
    """
    if by_s <= 0.0:
        return ()
    out = []
    for event in events:
        later = (other.start_s for other in events if other.start_s >= event.end_s and other.start_s < other.end_s)
        until_s = min(event.end_s + by_s, min(later, default=FOREVER_S))
        if event.start_s < event.end_s < until_s:
            out.append(_held(event, until_s))
    return tuple(out)


def _held(event: GridEvent, until_s: float) -> GridEvent:
    return dataclasses.replace(
        event,
        event_id=event.event_id + SUFFIX,
        start_s=event.end_s,
        end_s=until_s,
        ramp_s=0.0,
        prepare_s=0.0,
        settlement_interval_s=None,
        is_held_over=True,
    )
