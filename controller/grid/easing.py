"""A call followed in part: no lower than a power, by the operator's choice, until he takes that back; pure.

What was asked for stays beside the limit that holds: what was committed is counted from it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise

from controller.errors import CallRefused
from controller.grid.admit import Refusal
from controller.model.grid import GridEvent
from controller.model.programme import Programme

MAX_EASINGS = 64
"""Choices that are remembered of one call; the oldest are let go."""


@dataclass(frozen=True, slots=True)
class Easing:
    """A time over which a call is followed in part.

    Attributes:
        floor_w: at the metering point; where the call asks for less, this is its limit.
        reason: the operator's.
        from_s: wall clock.
        until_s: when it was taken back, or another choice came in its place; None while it holds.
    """

    floor_w: float
    reason: str
    from_s: float
    until_s: float | None = None

    @property
    def end_s(self) -> float:
        """The same with infinity for what holds."""
        return math.inf if self.until_s is None else self.until_s


Easings = tuple[Easing, ...]
"""Of one call, oldest first; only the last may hold."""


def check_floor(call_id: str, floor_w: float, programme: Programme) -> None:
    """Refuse a floor that is no power, or none that the programme calls sane.

    Raises:
        CallRefused: naming the value, the bounds and the remedy.
    """
    if not (math.isfinite(floor_w) and floor_w > 0.0 and programme.least_w <= floor_w <= programme.most_w):
        raise CallRefused(
            f"call {call_id!r:.80}: it cannot be followed down to {floor_w:g} W, which is not above 0 and within "
            f"{programme.least_w:g} to {programme.most_w:g} W; check its unit, or least_w and most_w of programme "
            f"{programme.name}; to follow all of it opt in",
            cause=Refusal.BOUNDS.value,
        )


def present(easings: Easings) -> Easing | None:
    """The one that holds."""
    return easings[-1] if easings and easings[-1].until_s is None else None


def eased(easings: Easings, floor_w: float, reason: str, now_s: float) -> Easings:
    """With another one that holds from now on; the very same where it says nothing new."""
    last = present(easings)
    if last is not None and (last.floor_w, last.reason) == (floor_w, reason):
        return easings
    return (*ended(easings, now_s), Easing(floor_w, reason, now_s))[-MAX_EASINGS:]


def ended(easings: Easings, now_s: float) -> Easings:
    """With none that holds any more; one that never held is forgotten."""
    last = present(easings)
    if last is None:
        return easings
    before = easings[:-1]
    return (*before, dataclasses.replace(last, until_s=now_s)) if last.from_s < now_s else before


def raised(event: GridEvent, easings: Easings) -> GridEvent:
    """A limit as it holds, or as it held when it was over."""
    held = (each for each in reversed(easings) if each.from_s < event.end_s <= each.end_s)
    return _no_lower(event, next(held, None))


def pieces(event: GridEvent, easings: Easings) -> tuple[GridEvent, ...]:
    """A limit as it held at each time of it: it begins anew with each choice that was made meanwhile."""
    edges = {event.start_s, event.end_s}
    edges |= {at_s for each in easings for at_s in (each.from_s, each.end_s) if event.start_s < at_s < event.end_s}
    asked = dataclasses.replace(event, limit_w=event.due_w, asked_limit_w=None)
    told = []
    for start_s, end_s in pairwise(sorted(edges)):
        held = next((each for each in easings if each.from_s <= start_s < each.end_s), None)
        told.append(_no_lower(dataclasses.replace(asked, start_s=start_s, end_s=end_s), held))
    return tuple(told) or (event,)


def _no_lower(event: GridEvent, easing: Easing | None) -> GridEvent:
    if easing is None or event.limit_w >= easing.floor_w:
        return event
    return dataclasses.replace(event, limit_w=easing.floor_w, asked_limit_w=event.limit_w)
