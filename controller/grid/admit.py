"""Whether a received call may be followed: bounds, age of the message, pace of changes and room (R16).

What is refused is never acted upon. Pure: the book of calls tells what it holds, and draws by chance are handed in.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from controller.errors import CallRefused
from controller.grid.courses import Courses, spans
from controller.model.call import Asked, Call, CallInterval
from controller.model.grid import FOREVER_S
from controller.model.programme import Programme
from controller.utc_text import utc_text

MAX_CALLS = 256
MAX_INTERVALS_HELD = 8192
"""Intervals of all calls that are not over."""
MAX_SKEW_S = 300.0
"""How far a sender's clock may run ahead of this machine's."""
DAY_S = 86_400.0
MAX_AHEAD_S = 400 * DAY_S
MAX_RAMP_S = 86_400.0
MAX_RANDOM_S = 86_400.0
MAX_NAME = 128
MAX_RAW_CHARS = 1 << 19
PACE_S = 60.0
"""The time within which a programme's changes are counted."""


class Refusal(StrEnum):
    """Why a call was refused: the label by which refusals are counted."""

    MALFORMED = "malformed"
    UNKNOWN_PROGRAMME = "unknown_programme"
    BOUNDS = "out_of_bounds"
    FUTURE = "from_the_future"
    FAR = "too_far_ahead"
    OVER = "over"
    RATE = "too_many_changes"
    FULL = "book_full"
    REPLAYED = "replayed"
    CONFLICT = "conflict"


class Draws(Protocol):
    """A source of chance, such as `random.Random`."""

    def uniform(self, a: float, b: float) -> float:
        """A number between the two."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the book knows that bears on a message.

    Attributes:
        calls: how many it holds besides this one.
        intervals: how many these have.
        changes_s: when calls of the programme were changed, of the last minute at least.
        courses_s: former courses of the clock by which an earlier form of the call holds as well.
    """

    calls: int = 0
    intervals: int = 0
    changes_s: tuple[float, ...] = ()
    courses_s: Courses = ()


def is_stale(call: Call, modified_s: float | None) -> bool:
    """Whether a message says nothing newer than the one that is held: a replay, or one that was overtaken."""
    return modified_s is not None and call.modified_s <= modified_s


def is_timely(call: Call, now_s: float) -> bool:
    """Whether a message was made by now, but for what clocks may differ."""
    return call.modified_s - now_s <= MAX_SKEW_S


def check(call: Call, programme: Programme | None, known: Known, now_s: float) -> Programme:
    """The terms on which a call is taken in.

    Args:
        call: as it was heard.
        programme: whose terms it names, None where there is none of that name.
        known: what is held.
        now_s: wall clock.

    Raises:
        CallRefused: naming the value, the bound and the remedy.
    """
    _check_names(call)
    if programme is None:
        raise _refused(
            call,
            Refusal.UNKNOWN_PROGRAMME,
            f"programme {call.programme!r} is not configured; add it to programmes",
        )
    _check_times(call, known.courses_s, now_s)
    for interval in call.intervals:
        _check_bounds(call, interval, programme)
    recent = [at_s for at_s in known.changes_s if now_s - PACE_S < at_s <= now_s]
    if len(recent) >= programme.changes_per_min:
        raise _refused(
            call,
            Refusal.RATE,
            f"programme {programme.name} had {len(recent)} changes within a minute; "
            f"changes_per_min allows {programme.changes_per_min}",
            is_conflict=True,
        )
    if known.calls >= MAX_CALLS:
        raise _refused(call, Refusal.FULL, f"{MAX_CALLS} calls are held already; cancel some", is_conflict=True)
    if known.intervals + len(call.intervals) > MAX_INTERVALS_HELD:
        reason = f"{known.intervals} intervals are held already, and {MAX_INTERVALS_HELD} at most; cancel some calls"
        raise _refused(call, Refusal.FULL, reason, is_conflict=True)
    return programme


def drawn(call: Call, draws: Draws) -> tuple[Call, float]:
    """A call whose randomised start has been drawn, and by how much it was put off, s."""
    offset_s = draws.uniform(0.0, call.randomize_s) if call.randomize_s > 0 else 0.0
    return put_off(call, offset_s), offset_s


def put_off(call: Call, offset_s: float) -> Call:
    """A call of which every interval comes later by so much, up to the end of time."""
    intervals = tuple(
        dataclasses.replace(
            interval, start_s=interval.start_s + offset_s, end_s=min(interval.end_s + offset_s, FOREVER_S)
        )
        for interval in call.intervals
    )
    return dataclasses.replace(call, intervals=intervals, randomize_s=0.0)


def _check_names(call: Call) -> None:
    for key, name in (("call_id", call.call_id), ("source", call.source), ("programme", call.programme)):
        if not (0 < len(name) <= MAX_NAME and name.isprintable()):
            raise _refused(call, Refusal.MALFORMED, f"{key} {name!r:.80} is not 1 to {MAX_NAME} printable characters")


def _check_times(call: Call, courses_s: Courses, now_s: float) -> None:
    if not is_timely(call, now_s):
        raise _refused(
            call,
            Refusal.FUTURE,
            f"it was changed at {_moment(call.modified_s)}, more than {MAX_SKEW_S:.0f} s ahead of this clock; "
            "set the clocks of both sides",
        )
    if spans(call.start_s, call.end_s, courses_s)[-1][1] <= now_s:
        raise _refused(call, Refusal.OVER, f"it ended at {_moment(call.end_s)}", is_conflict=True)
    for key, value, most in (("ramp_s", call.ramp_s, MAX_RAMP_S), ("randomize_s", call.randomize_s, MAX_RANDOM_S)):
        if value is not None and not 0.0 <= value <= most:
            raise _refused(call, Refusal.BOUNDS, f"{key} is {value!r}, outside 0 to {most:g}")
    if call.start_s + call.randomize_s - now_s > MAX_AHEAD_S:
        raise _refused(
            call,
            Refusal.FAR,
            f"it begins at {_moment(call.start_s)}, more than {MAX_AHEAD_S / DAY_S:.0f} days ahead; send it later",
        )


def _check_bounds(call: Call, interval: CallInterval, programme: Programme) -> None:
    asked, value = interval.commitment.asked, interval.commitment.value
    if asked is Asked.AT_MOST_W and not programme.least_w <= value <= programme.most_w:
        raise _refused(
            call,
            Refusal.BOUNDS,
            f"a limit of {value:g} W is outside {programme.least_w:g} to {programme.most_w:g} W; "
            f"check its unit, or least_w and most_w of programme {programme.name}",
        )
    if asked in (Asked.BELOW_BASELINE_W, Asked.BELOW_PRESENT_W) and value > programme.most_w:
        raise _refused(
            call,
            Refusal.BOUNDS,
            f"a reduction of {value:g} W is more than {programme.most_w:g} W; "
            f"check its unit, or most_w of programme {programme.name}",
        )


def _moment(time_s: float) -> str:
    """A time, or the nearest one that can be written. A reason tells no distance from now: it would never repeat."""
    return utc_text(min(max(0.0, time_s), FOREVER_S - 1.0))


def _refused(call: Call, cause: Refusal, reason: str, *, is_conflict: bool = False) -> CallRefused:
    return CallRefused(f"call {call.call_id!r:.80}: {reason}", is_conflict=is_conflict, cause=cause.value)
