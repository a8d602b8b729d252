"""From what several events say of prices, emissions and default limits to what holds.

Where events say different things of one moment, the one of the highest priority counts, then the latest.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from controller.model.grid import Series, SeriesQuality
from controller.openadr.events import Span

Rank = tuple[float, float]
"""Priority and age: the least counts."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A span, and what it yields to."""

    span: Span
    rank: Rank


def rank(priority: int | None, modified_s: float) -> Rank:
    """Rank of what an event says: 0 is the highest priority, none is the lowest (the specification leaves it open)."""
    return (math.inf if priority is None else float(priority), -modified_s)


def held(ranked: Iterable[Ranked]) -> tuple[Span, ...]:
    """What holds when, without overlaps; gaps stay gaps."""
    waiting = sorted(ranked, key=lambda each: each.span.start_s)
    edges_s = sorted({edge for each in waiting for edge in (each.span.start_s, each.span.end_s)})
    active: list[tuple[Rank, float, float]] = []
    found: list[Span] = []
    position = 0
    for start_s, end_s in pairwise(edges_s):
        while position < len(waiting) and waiting[position].span.start_s <= start_s:
            each = waiting[position]
            heapq.heappush(active, (each.rank, each.span.end_s, each.span.value))
            position += 1
        while active and active[0][1] <= start_s:
            heapq.heappop(active)
        if active:
            found.append(Span(start_s, end_s, active[0][2]))
    return tuple(found)


def value_at(spans: tuple[Span, ...], time_s: float) -> float | None:
    """What holds at a time, None where nothing does."""
    return next((span.value for span in spans if span.start_s <= time_s < span.end_s), None)


def series_at(spans: tuple[Span, ...], unit: str, source: str, now_s: float) -> Series | None:
    """What holds from now on without a gap; None where nothing holds now."""
    coming = [span for span in spans if span.end_s > now_s]
    if not coming or coming[0].start_s > now_s:
        return None
    joined = coming[:1]
    for span in coming[1:]:
        if span.start_s > joined[-1].end_s:
            break
        joined.append(span)
    return Series(
        starts_s=tuple(span.start_s for span in joined),
        values=tuple(span.value for span in joined),
        end_s=joined[-1].end_s,
        unit=unit,
        source=source,
        quality=SeriesQuality.PUBLISHED,
    )
