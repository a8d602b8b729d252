"""When a report that an event asks for is due, and which intervals it covers.

The User Guide (3.1, 7.5) tells most of it by example; where its text and its figures disagree, this holds:

* A report on the past is due at the end of the last interval that it covers. With `startInterval` s and `numIntervals`
  n it covers the n intervals that end with s (figure "periodic reporting"), or, where so many have not been by then,
  the n that begin with s (figure "subset of intervals reporting"); without n, all from s on.
* A report on what is to come is due at the start of the first interval that it covers.
* The intervals of a looped event are numbered on; with the default timing each round has its report.
* An event without intervals whose period has a length has implied ones of that length (8.7), without end.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from controller.model.grid import FOREVER_S
from controller.openadr.messages import Event, ReportDescriptor
from controller.openadr.schedule import HOUR_S, Hearing, in_force, is_cancelled, schedule

SUB_INTERVALS, OPEN_INTERVALS = "SUB_INTERVALS", "OPEN_INTERVALS"
MAX_COVERED = 1024
"""Intervals of one report."""
MAX_DUE = 512
"""Reports of one descriptor that are made at once; older ones are not made."""
MAX_BACK = 20_000
"""Implied intervals before now that are looked at."""
AD_HOC_S = 300.0
"""Time between reports that the VTN leaves to the VEN."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """An interval that is reported on, [start_s, end_s).

    Attributes:
        interval_id: of the event's interval, or our own number where the event has none.
    """

    start_s: float
    end_s: float
    interval_id: int


@dataclass(frozen=True, slots=True)
class Due:
    """One report that is to be made.

    Attributes:
        number: from 0 within its descriptor.
        due_s: when it can be made.
    """

    number: int
    due_s: float
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """The intervals of an event by their number.

    Attributes:
        count: of one round.
        is_endless: whether more rounds, or more implied intervals, follow.
        first_s: where number 0 begins.
    """

    stretches: Mapping[int, Stretch]
    count: int
    is_endless: bool
    first_s: float


class Lines:
    """The intervals of events; those of a loop, which has many, are made once an hour for all of its descriptors."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Event, tuple[float, float, int], _Line]] = {}

    def of(self, event: Event, hearing: Hearing) -> _Line:
        """Those of an event that has some.

        Raises:
            MessageError: its times cannot be followed.
        """
        heard = (hearing.heard_s, hearing.chance, math.floor(hearing.now_s / HOUR_S))
        made = self._made.get(event.event_id)
        if made is None or made[0] is not event or made[1] != heard:
            made = self._made[event.event_id] = event, heard, _line(event, hearing)
        return made[2]

    def keep(self, event_ids: Collection[str]) -> None:
        """Forget all others."""
        self._made = {event_id: made for event_id, made in self._made.items() if event_id in event_ids}


@dataclass(frozen=True, slots=True)
class Asker:
    """What is known of an event that asks for reports.

    Attributes:
        step_s: length of the intervals that are ours to choose: of settlement.
        lines: where its intervals are remembered.
    """

    event: Event
    hearing: Hearing
    step_s: float = 300.0
    lines: Lines = field(default_factory=Lines)


def due(asker: Asker, descriptor: ReportDescriptor) -> tuple[Due, ...]:
    """Reports of a descriptor that are due by now, oldest first; none of an event that was cancelled.

    Of those that were due before the event was heard of, only the latest is among them (7.5, "do it now").

    Args:
        asker: the event, and when it was heard.
        descriptor: one of its own.

    Raises:
        MessageError: the event's times cannot be followed.
    """
    heard_s = asker.hearing.heard_s
    if is_cancelled(asker.event):
        return ()
    if _is_ad_hoc(asker.event, descriptor):
        return _ad_hoc(asker)
    found = _planned(asker, descriptor)
    late = [each for each in found if each.due_s < heard_s][-1:]
    return tuple((late + [each for each in found if each.due_s >= heard_s])[-MAX_DUE:])


def _is_ad_hoc(event: Event, descriptor: ReportDescriptor) -> bool:
    """Whether the time is the VEN's to choose: it says so, or there are no intervals and nothing that implies them."""
    if descriptor.frequency == 0:
        return True
    length = None if event.period is None else event.period.duration
    return not event.intervals and (length is None or length.is_zero or length.is_forever)


def _ad_hoc(asker: Asker) -> tuple[Due, ...]:
    """The report of the moment: on the last step that has passed; while the event is in force."""
    event, now_s = asker.event, asker.hearing.now_s
    start_s, end_s = asker.hearing.heard_s, FOREVER_S
    if event.intervals:
        lasts = in_force(event, asker.hearing)
        if lasts is None:
            return ()
        start_s, end_s = max(start_s, lasts[0]), lasts[1]
    number = math.floor((min(now_s, end_s) - start_s) / AD_HOC_S)
    if number < 0:
        return ()
    at_s = start_s + number * AD_HOC_S
    return (Due(number, at_s, (Stretch(at_s - AD_HOC_S, at_s, 0),)),)


def _planned(asker: Asker, descriptor: ReportDescriptor) -> list[Due]:
    """The latest reports that are due, oldest first."""
    event = asker.event
    line = asker.lines.of(event, asker.hearing) if event.intervals else _implied(asker, descriptor)
    if not line.stretches:
        return []
    first, length, step = _window(descriptor, line)
    is_each_round = line.is_endless and descriptor.repeat == 1 and descriptor.frequency < 0 and asker.event.intervals
    lowest, highest = min(line.stretches), max(line.stretches)
    last = (highest - first) // step
    if descriptor.repeat >= 0 and not is_each_round:
        last = min(last, max(descriptor.repeat, 1) - 1)
    found: list[Due] = []
    for number in range(last, max(0, math.ceil((lowest - first - length + 1) / step)) - 1, -1):
        begin = first + number * step
        decisive = line.stretches.get(min(begin + length - 1, highest) if descriptor.historical else begin)
        if decisive is not None and decisive.start_s > asker.hearing.now_s:
            continue
        numbers = range(begin, begin + min(length, MAX_COVERED))
        covered = tuple(line.stretches[n] for n in numbers if n in line.stretches)
        if not covered or (line.is_endless and len(covered) < len(numbers)):
            continue
        due_s = covered[-1].end_s if descriptor.historical else covered[0].start_s
        if due_s <= asker.hearing.now_s:
            found.append(Due(number, due_s, _divided(covered, descriptor, asker.step_s)))
        if len(found) == MAX_DUE:
            break
    return found[::-1]


def _window(descriptor: ReportDescriptor, line: _Line) -> tuple[int, int, int]:
    """Number of the first interval, how many are covered, and by how many the next report moves on."""
    start, count = descriptor.start_interval, min(descriptor.num_intervals, MAX_COVERED)
    round_end = line.count - 1
    if not descriptor.historical:
        first = max(start, 0)
        length = count if count > 0 else max(1, line.count - first)
    elif start < 0:
        length = count if count > 0 else line.count
        first = max(0, round_end - length + 1)
    elif count <= 0:
        first, length = start, max(1, line.count - start)
    else:
        first, length = (start - count + 1 if start - count + 1 >= 0 else start), count
    if descriptor.frequency > 0:
        return first, length, descriptor.frequency
    return first, length, (line.count if line.is_endless and line.count > 1 and count <= 0 else length)


def _line(event: Event, hearing: Hearing) -> _Line:
    timed = schedule(event, hearing)
    count = len(event.intervals)
    places = {id(interval): n for n, interval in enumerate(event.intervals)}
    stretches = {
        slot.repeat * count + places[id(slot.interval)]: Stretch(slot.start_s, slot.end_s, slot.interval.interval_id)
        for slot in timed.slots
        if slot.end_s > slot.start_s
    }
    first_s = timed.slots[0].start_s if timed.slots else 0.0
    return _Line(stretches, count, timed.is_looped, first_s)


def _implied(asker: Asker, descriptor: ReportDescriptor) -> _Line:
    """Intervals one after another from the period's start: those around now, as many as a report may reach."""
    period, hearing = asker.event.period, asker.hearing
    if period is None or period.duration is None:
        return _Line({}, 0, False, 0.0)
    start_s = hearing.heard_s if period.start_s is None else period.start_s
    length_s = period.duration.after(start_s) - start_s
    count = min(max(1, descriptor.num_intervals), MAX_COVERED)
    now = math.floor((hearing.now_s - start_s) / length_s)
    frequency = max(1, descriptor.frequency)
    back = min(MAX_DUE * frequency, MAX_BACK, max(0, now)) + count
    numbers = range(max(0, now - back), max(0, now) + count + 1)
    stretches = {n: Stretch(start_s + n * length_s, start_s + (n + 1) * length_s, n) for n in numbers}
    return _Line(stretches, count, True, start_s)


def _divided(stretches: tuple[Stretch, ...], descriptor: ReportDescriptor, step_s: float) -> tuple[Stretch, ...]:
    """The intervals as the descriptor wants them: the event's, parts of these under the same id, or our own."""
    if descriptor.report_intervals not in (SUB_INTERVALS, OPEN_INTERVALS):
        return stretches
    if descriptor.report_intervals == OPEN_INTERVALS:
        stretches = (Stretch(stretches[0].start_s, stretches[-1].end_s, 0),)
    parts: list[Stretch] = []
    for stretch in stretches:
        length_s = stretch.end_s - stretch.start_s
        pieces = max(1, min(math.ceil(length_s / step_s - 1e-9), MAX_COVERED - len(parts)))
        cut_s = max(step_s, length_s / pieces)
        for n in range(pieces):
            end_s = stretch.end_s if n == pieces - 1 else stretch.start_s + (n + 1) * cut_s
            number = n if descriptor.report_intervals == OPEN_INTERVALS else stretch.interval_id
            parts.append(Stretch(stretch.start_s + n * cut_s, end_s, number))
    return tuple(parts[:MAX_COVERED])
