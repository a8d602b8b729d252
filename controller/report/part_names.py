"""By which names a report tells the parts of an event; pure."""

from __future__ import annotations

from collections.abc import Sequence

from controller.evidence.account import Settled
from controller.utc_text import utc_text


def part_names(parts: Sequence[Settled]) -> tuple[str, ...]:
    """The event's own id, without its source; of several parts with the time of each, UTC, or date and time."""
    names = [part.event.event_id.removeprefix(f"{part.event.source}/").partition("#")[0] for part in parts]
    if len(parts) == 1:
        return tuple(names)
    days = {utc_text(part.event.start_s, "%Y-%m-%d") for part in parts}
    form = "%H:%M:%S" if len(days) < 2 else "%Y-%m-%d %H:%M:%S"
    return tuple(
        f"{name.partition(' until ')[0]}, {utc_text(part.event.start_s, form)} to {utc_text(part.event.end_s, form)}"
        for name, part in zip(names, parts, strict=True)
    )


def part_bands(parts: Sequence[Settled], start_s: float) -> tuple[tuple[float, float, str], ...]:
    """From when until when each part that has begun was in force, minutes from `start_s`, with its name."""
    return tuple(
        ((part.event.start_s - start_s) / 60, (part.until_s - start_s) / 60, name)
        for part, name in zip(parts, part_names(parts), strict=True)
        if part.until_s > part.event.start_s
    )
