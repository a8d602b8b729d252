"""When the intervals of an event are: defaults and overrides, "now", loops and randomised starts (User Guide 7.3, 7.4).

A loop that has no end is told for some days around now; what is told moves on with the day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.errors import MessageError
from controller.model.grid import FOREVER_S
from controller.openadr.messages import Event, Interval, IntervalPeriod
from controller.openadr.times import Duration

HOUR_S = 3600.0
DAY_S = 86_400.0
DAYS_BACK = 1
DAYS_AHEAD = 3
MAX_SLOTS = 20_000
_NOTHING = Duration()
_NO_PERIOD = IntervalPeriod()


@dataclass(frozen=True, slots=True)
class Hearing:
    """How an event came to be known.

    Attributes:
        heard_s: when it was first heard of: where "now" is.
        now_s: wall clock.
        chance: from -1 to 1, drawn once an event: the share of a randomised start's range by which it is shifted.
    """

    heard_s: float
    now_s: float
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class Slot:
    """One interval on the wall clock, [start_s, end_s).

    Attributes:
        is_open: whether nobody says how long it is; `end_s` is then its start.
        repeat: which round of a loop it belongs to.
    """

    start_s: float
    end_s: float
    interval: Interval
    is_open: bool = False
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The slots of an event, in the order of its intervals.

    Attributes:
        is_looped: whether its intervals repeat; the slots are then those around now.
        day, hour: of which day and hour of a loop they are told; 0 of an event that does not loop.
    """

    slots: tuple[Slot, ...]
    is_looped: bool = False
    day: int = 0
    hour: int = 0


def is_cancelled(event: Event) -> bool:
    """Whether the VTN gave the event as a whole no length, whatever its intervals say of themselves (User Guide 7.9).

    That is a duration of nothing, or a period of nothing that begins at the word for "now".
    """
    period = event.period or _NO_PERIOD
    lengths = (event.duration, period.duration if period.is_now else None)
    return any(length is not None and length.is_zero for length in lengths)


def begins_when_heard(event: Event) -> bool:
    """Whether its times are counted from when it was first heard of."""
    periods = (event.period, *(interval.period for interval in event.intervals[:1]))
    return any(period is not None and period.is_now for period in periods)


def schedule(event: Event, hearing: Hearing) -> Schedule:
    """The intervals of an event as slots on the wall clock; none of one that was cancelled.

    Raises:
        MessageError: an interval does not say when it begins, or a loop has too many.
    """
    slots = _once(event, hearing)
    if event.duration is None or not slots:
        return Schedule(slots)
    begin_s, end_s = slots[0].start_s, max(slot.end_s for slot in slots)
    until_s = event.duration.after(begin_s)
    round_s = end_s - begin_s
    if until_s <= end_s or round_s <= 0.0:
        return Schedule(_cut(slots, until_s))
    return _looped(slots, round_s, until_s, hearing.now_s)


def in_force(event: Event, hearing: Hearing) -> tuple[float, float] | None:
    """From when until when the event lasts, all rounds of a loop included; None where it has no intervals, or no more.

    Raises:
        MessageError: an interval does not say when it begins.
    """
    slots = _once(event, hearing)
    if not slots:
        return None
    begin_s = slots[0].start_s
    if event.duration is not None:
        return begin_s, event.duration.after(begin_s)
    return begin_s, FOREVER_S if any(slot.is_open for slot in slots) else max(slot.end_s for slot in slots)


def _once(event: Event, hearing: Hearing) -> tuple[Slot, ...]:
    if is_cancelled(event):
        return ()
    base = event.period or _NO_PERIOD
    shift_s = hearing.chance * base.randomize_s
    found: list[Slot] = []
    for number, interval in enumerate(event.intervals):
        period = interval.period or _NO_PERIOD
        if period.randomize_s:
            shift_s = hearing.chance * period.randomize_s
        if period.start_s is not None:
            start_s = period.start_s + shift_s
        elif number:
            start_s = found[-1].end_s
        else:
            start_s = _first_start_s(base, period, hearing, shift_s)
        duration = period.duration or base.duration
        start_s = min(max(0.0, start_s), FOREVER_S)
        found.append(Slot(start_s, (duration or _NOTHING).after(start_s), interval, is_open=duration is None))
    return tuple(found)


def _first_start_s(base: IntervalPeriod, period: IntervalPeriod, hearing: Hearing, shift_s: float) -> float:
    if base.start_s is not None:
        return base.start_s + shift_s
    if base.is_now or period.is_now:
        return hearing.heard_s + abs(shift_s)
    raise MessageError(
        "event.intervals[0].intervalPeriod.start", "neither the event nor its first interval says when it begins"
    )


def _cut(slots: tuple[Slot, ...], until_s: float) -> tuple[Slot, ...]:
    kept = (slot for slot in slots if slot.start_s < until_s or slot.start_s == slot.end_s <= until_s)
    return tuple(
        Slot(slot.start_s, min(slot.end_s, until_s), slot.interval, slot.is_open, slot.repeat) for slot in kept
    )


def _looped(slots: tuple[Slot, ...], round_s: float, until_s: float, now_s: float) -> Schedule:
    begin_s = slots[0].start_s
    day, hour = (max(0, math.floor((now_s - begin_s) / part_s)) for part_s in (DAY_S, HOUR_S))
    from_s, to_s = begin_s + (day - DAYS_BACK) * DAY_S, min(until_s, begin_s + (day + DAYS_AHEAD) * DAY_S)
    first = max(0, math.floor((from_s - begin_s) / round_s))
    last = max(first, math.ceil((to_s - begin_s) / round_s) - 1)
    if (last - first + 1) * len(slots) > MAX_SLOTS:
        raise MessageError("event.duration", f"its intervals repeat more than {MAX_SLOTS} times within some days")
    found = [
        Slot(slot.start_s + n * round_s, slot.end_s + n * round_s, slot.interval, slot.is_open, n)
        for n in range(first, last + 1)
        for slot in slots
    ]
    return Schedule(_cut(tuple(found), until_s), is_looped=True, day=day, hour=hour)
