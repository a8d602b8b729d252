"""What holds of a call whose times were read off a clock that was set since (R7, R10); pure.

A clock that is set does not say which of its courses is the true one: the one before, or the one after. Until it is
known to be right, a call holds by each of them, so that a clock that jumps neither lifts a limit nor loses one. A
course is told by its offset: by how much later than its sender's times, on the clock as it is now, the call holds too.
"""

from __future__ import annotations

from controller.model.grid import FOREVER_S

Courses = tuple[float, ...]
"""Offsets of a clock's former courses, s, the oldest first; the present course, 0, is left out."""
Span = tuple[float, float]
SAME_S = 1.0
"""Courses that differ by no more are one."""
MAX_COURSES = 4


def stepped(courses: Courses, step_s: float) -> Courses:
    """The former courses after the clock was set ahead by so much (back where negative).

    A clock that returns to a former course was wrong in between: what it showed there is forgotten. Of too many courses
    the oldest, which was there before the trouble, and the latest are kept.
    """
    moved = tuple(offset_s + step_s for offset_s in (*courses, 0.0))
    returned = next((number for number, offset_s in enumerate(moved) if abs(offset_s) <= SAME_S), None)
    if returned is not None:
        return moved[:returned]
    return moved if len(moved) <= MAX_COURSES else (moved[0], *moved[1 - MAX_COURSES :])


def spans(start_s: float, end_s: float, courses: Courses) -> tuple[Span, ...]:
    """When [start_s, end_s) holds by any course, on the clock as it is now: in order of time, without overlap."""
    out: list[Span] = []
    for offset_s in sorted((*courses, 0.0)):
        begins_s, ends_s = max(0.0, start_s + offset_s), min(end_s + offset_s, FOREVER_S)
        if end_s >= FOREVER_S:
            ends_s = FOREVER_S
        if out and begins_s <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], ends_s))
        elif begins_s < ends_s:
            out.append((begins_s, ends_s))
    return tuple(out) or ((start_s, end_s),)


def span_at(start_s: float, end_s: float, courses: Courses, now_s: float) -> Span:
    """The first of these that is not over; the last one where all are."""
    if not courses:
        return start_s, end_s
    each = spans(start_s, end_s, courses)
    return next((span for span in each if span[1] > now_s), each[-1])
