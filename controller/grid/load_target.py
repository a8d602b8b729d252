"""Load targets: what a facility's power manager lets the site draw over time, as one call (R1); pure.

A target holds from its start to its end, or for ever. The latest target wins over the span that it covers; one without
a value takes what was set there away, so that the default holds again. The whole schedule is one call of the source
`SOURCE`, so that it is admitted, recorded, restored and resolved as every other call is.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum

from controller.grid.admit import put_off
from controller.grid.courses import Courses
from controller.model.call import Asked, Call, CallInterval, CallState, Commitment
from controller.model.grid import FOREVER_S

SOURCE = "load_target"
CALL_ID = "load-target"
MAX_TARGETS = 256
"""Targets of a schedule that are not over."""


class Following(StrEnum):
    """How the site stands to the target in force."""

    NO_TARGET = "no_target"
    RAMPING = "ramping"
    """It draws more, and the ramp is not over."""
    FOLLOWING = "following"
    """It draws no more than the target."""
    OVER = "over"
    """It draws more, and the ramp is over."""
    OPTED_OUT = "opted_out"
    UNKNOWN = "power_unknown"
    """What it draws is not known."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the site may draw over [start_s, end_s), wall clock.

    Attributes:
        value_w: most that is drawn at the metering point; None takes away what was set over the span.
        end_s: `FOREVER_S` for no end.
        correlation_id: by which its sender knows it.
    """

    start_s: float
    end_s: float
    value_w: float | None
    correlation_id: str | None = None


Schedule = tuple[Target, ...]
"""Targets with a value, in order of time, without overlap."""


def schedule_of(call: Call | None, state: CallState | None, now_s: float, courses_s: Courses = ()) -> Schedule:
    """What of a call of this source is in force or to come.

    Where the clock was set since, it is told by the course by which the call is followed since the longest: what is put
    over it then leaves the rest as it holds.
    """
    if call is None or state in (None, CallState.ENDED, CallState.CANCELLED):
        return ()
    offset_s = courses_s[0] if courses_s else 0.0
    return tuple(
        Target(each.start_s, each.end_s, each.commitment.value, each.correlation_id)
        for each in put_off(call, offset_s).intervals
        if each.end_s > now_s
    )


def spliced(schedule: Schedule, target: Target, now_s: float) -> Schedule:
    """The schedule with a target put over what it covers.

    A target that only repeats the value in force keeps its begin: its ramp does not begin anew.

    Raises:
        ValueError: the target has no length, or ended before now.
    """
    start_s = max(target.start_s, now_s)
    if target.end_s <= start_s:
        raise ValueError(f"the target ends {now_s - target.end_s:.0f} s ago, or before its start; write a later end")
    pieces = [
        dataclasses.replace(old, start_s=from_s, end_s=until_s)
        for old in schedule
        for from_s, until_s in ((old.start_s, min(old.end_s, start_s)), (max(old.start_s, target.end_s), old.end_s))
        if from_s < until_s
    ]
    if target.value_w is not None:
        before = next((each for each in pieces if each.end_s == start_s and each.start_s < now_s == start_s), None)
        if before is not None and before.value_w == target.value_w:
            pieces.remove(before)
            start_s = before.start_s
        pieces.append(dataclasses.replace(target, start_s=start_s))
    return tuple(sorted((each for each in pieces if each.end_s > now_s), key=lambda each: each.start_s))


def replaced(schedule: Schedule, targets: tuple[Target, ...], now_s: float) -> Schedule:
    """A schedule of these targets alone, later ones over earlier ones; what goes on as it was keeps its begin.

    Raises:
        ValueError: a target has no length, or ended before now.
    """
    going_on = current(schedule, now_s)
    out: Schedule = ()
    for target in targets:
        out = spliced(out, target, now_s)
    first = current(out, now_s)
    if going_on is None or first is None or first.value_w != going_on.value_w or first.start_s != now_s:
        return out
    return (dataclasses.replace(first, start_s=going_on.start_s), *out[1:])


def current(schedule: Schedule, now_s: float) -> Target | None:
    """The target in force."""
    return next((each for each in schedule if each.start_s <= now_s < each.end_s), None)


def upcoming(schedule: Schedule, now_s: float) -> Target | None:
    """The first target that has not begun."""
    return next((each for each in schedule if each.start_s > now_s), None)


def later_than(modified_s: float, now_s: float) -> float:
    """Time of a change made now: after the one before, however the clock was set."""
    return max(now_s, math.nextafter(modified_s, math.inf))


def as_call(schedule: Schedule, programme: str, now_s: float, modified_s: float) -> Call | None:
    """The schedule as a call; None where it is empty, which ends the call.

    Raises:
        ValueError: it has more than `MAX_TARGETS` targets, or one with a value that means nothing.
    """
    if not schedule:
        return None
    if len(schedule) > MAX_TARGETS:
        raise ValueError(f"the schedule has {len(schedule)} targets; {MAX_TARGETS} at most are followed")
    intervals = tuple(
        CallInterval(
            each.start_s,
            each.end_s,
            Commitment(Asked.AT_MOST_W, each.value_w),
            each.correlation_id,
            interval_id=interval_id(each),
        )
        for each in schedule
        if each.value_w is not None
    )
    return Call(CALL_ID, SOURCE, programme, received_s=now_s, modified_s=modified_s, intervals=intervals)


def interval_id(target: Target) -> str:
    """Id of a target within its schedule: its start, Unix time in ms, which stays as others come and go around it."""
    return f"{round(target.start_s * 1000)}"


def following(
    target: Target | None,
    power_w: float | None,
    ramp_s: float,
    now_s: float,
    *,
    is_opted_out: bool,
    floor_w: float = 0.0,
) -> Following:
    """How the site stands to the target in force.

    Args:
        target: None where none is in force.
        power_w: what the site draws; None where that is not known.
        ramp_s: time after the target's start by which it is met.
        now_s: wall clock.
        is_opted_out: whether the operator chose not to follow it.
        floor_w: no lower than which the operator chose to follow it.
    """
    if target is None or target.value_w is None:
        return Following.NO_TARGET
    if is_opted_out:
        return Following.OPTED_OUT
    if power_w is None:
        return Following.UNKNOWN
    if power_w <= max(target.value_w, floor_w):
        return Following.FOLLOWING
    return Following.RAMPING if now_s < target.start_s + ramp_s else Following.OVER


def end_of(end_s: float) -> float | None:
    """An end as it is told: None for no end."""
    return None if end_s >= FOREVER_S else end_s
