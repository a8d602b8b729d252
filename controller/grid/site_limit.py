"""The one limit of the site over time, from every source at once (R1, R9); pure.

Most restrictive wins: the limit of an instant is the least of the standing limit and all events in force. Of equal
limits the one of the highest priority is told, which changes nothing else. Prices take no part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from controller.model.grid import GridEvent


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time over which one limit holds, [start_s, end_s).

    Attributes:
        limit_w: None where nothing limits.
        event: whose limit it is; None where it is the standing one, or none.
    """

    start_s: float
    end_s: float
    limit_w: float | None
    event: GridEvent | None


@dataclass(frozen=True, slots=True)
class SiteLimit:
    """The limit over a time without gaps: neighbours differ in their limit or in whose it is."""

    stretches: tuple[Stretch, ...]

    def at(self, time_s: float) -> Stretch | None:
        """What holds at a time; None outside."""
        return next((each for each in self.stretches if each.start_s <= time_s < each.end_s), None)

    def next_change(self, time_s: float) -> Stretch | None:
        """The first stretch after a time with another limit than then."""
        now = self.at(time_s)
        limit_w = None if now is None else now.limit_w
        return next((each for each in self.stretches if each.start_s > time_s and each.limit_w != limit_w), None)


def site_limit(
    events: tuple[GridEvent, ...], standing_limit_w: float | None, from_s: float, until_s: float
) -> SiteLimit:
    """The limit over [from_s, until_s).

    Args:
        events: of calls and of lost sources, resolved.
        standing_limit_w: the site's own, None for none.
        from_s: wall clock.
        until_s: likewise.
    """
    near = [event for event in events if event.start_s < until_s and event.end_s > from_s]
    edges = {from_s, until_s}
    edges |= {at_s for event in near for at_s in (event.start_s, event.end_s) if from_s < at_s < until_s}
    ordered = sorted(edges)
    stretches: list[Stretch] = []
    for start_s, end_s in pairwise(ordered):
        event = min((e for e in near if e.start_s <= start_s < e.end_s), key=_rank, default=None)
        if event is None or (standing_limit_w is not None and standing_limit_w < event.limit_w):
            stretch = Stretch(start_s, end_s, standing_limit_w, None)
        else:
            stretch = Stretch(start_s, end_s, event.limit_w, event)
        last = stretches[-1] if stretches else None
        if last is not None and (last.limit_w, last.event) == (stretch.limit_w, stretch.event):
            stretches[-1] = Stretch(last.start_s, end_s, last.limit_w, last.event)
        else:
            stretches.append(stretch)
    return SiteLimit(tuple(stretches))


def _rank(event: GridEvent) -> tuple[float, float, float, str]:
    priority = math.inf if event.priority is None else float(event.priority)
    return event.limit_w, priority, event.start_s, event.event_id
