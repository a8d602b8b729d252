"""The calls of an event: what its payloads ask of the site's power, in lines that do not overlap.

Each interval of a call keeps the identity of the event's interval, so that it is the same one after the event was
changed: what was measured and frozen of it goes on, and past intervals that the VTN drops keep their account.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.errors import MessageError
from controller.model.call import MAX_INTERVALS, Call, CallInterval, Commitment
from controller.openadr.messages import Event
from controller.openadr.schedule import Slot

MAX_LINES = 16
"""Intervals of one type that may overlap at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is asked for over [start_s, end_s).

    Attributes:
        interval_id: of the event's interval, with its round of a loop and its place among several values.
    """

    start_s: float
    end_s: float
    commitment: Commitment
    interval_id: str


@dataclass(frozen=True, slots=True)
class Loop:
    """Around when the calls of a loop are told, where they have more intervals than are followed at once.

    Attributes:
        from_s: what ended before is left out.
        modified_s: time of change of calls that are told in part: it grows as what is told moves on.
    """

    from_s: float
    modified_s: float


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose calls they are.

    Attributes:
        heard_s: when the event was first heard of.
        modified_s: time of its last change.
        loop: of an event that loops; None of one that does not.
    """

    source: str
    programme: str
    heard_s: float
    modified_s: float
    loop: Loop | None = None


def interval_id(slot: Slot, place: int = 0, count: int = 1) -> str:
    """Identity of a part of a slot: the interval's own id, its round (``r1`` is the second), its value (``v1``)."""
    its_round = f"r{slot.repeat}" if slot.repeat else ""
    its_value = f"v{place}" if count > 1 else ""
    return f"{slot.interval.interval_id}{its_round}{its_value}"


def calls(event: Event, parts: dict[str, list[Part]], caller: Caller) -> tuple[Call, ...]:
    """One call for each type of payload, and more where its intervals overlap: a call is followed in one line.

    Args:
        event: that asks.
        parts: by type.
        caller: whose they are.

    Raises:
        MessageError: too many overlap, or there are too many.
    """
    lines = [line for kind in sorted(parts) for line in _lines(parts[kind])]
    modified_s = caller.modified_s
    if caller.loop is not None and any(len(line) > MAX_INTERVALS for line in lines):
        modified_s = caller.loop.modified_s
        lines = [_around(line, caller.loop.from_s) for line in lines]
    try:
        return tuple(
            Call(
                call_id=event.event_id if n == 0 else f"{event.event_id}.{n + 1}",
                source=caller.source,
                programme=caller.programme,
                received_s=caller.heard_s,
                modified_s=modified_s,
                intervals=tuple(
                    CallInterval(part.start_s, part.end_s, part.commitment, interval_id=part.interval_id)
                    for part in line
                ),
                priority=event.priority,
            )
            for n, line in enumerate(lines)
        )
    except ValueError as error:
        raise MessageError("event.intervals", str(error)) from error


def _around(line: list[Part], from_s: float) -> list[Part]:
    """As many parts of a line as are followed at once, from a time on; the last ones where all have ended."""
    coming = [part for part in line if part.end_s > from_s]
    return coming[:MAX_INTERVALS] or line[-1:]


def _lines(parts: list[Part]) -> list[list[Part]]:
    """Parts in lines of which each is free of overlaps; what follows at once and asks for the same is one part."""
    lines: list[list[Part]] = []
    for part in sorted(parts, key=lambda part: (part.start_s, part.end_s)):
        line = next((line for line in lines if line[-1].end_s <= part.start_s), None)
        if line is None:
            if len(lines) >= MAX_LINES:
                raise MessageError("event.intervals", f"more than {MAX_LINES} overlap at once")
            lines.append([part])
        elif line[-1].end_s == part.start_s and line[-1].commitment == part.commitment:
            line[-1] = Part(line[-1].start_s, part.end_s, part.commitment, line[-1].interval_id)
        else:
            line.append(part)
    return lines
