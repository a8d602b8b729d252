"""From counters read now and then to the mean rate of each interval; what was not seen is missing, not zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_SPAN_INTERVALS = 2.0
"""What arrived between two readings further apart is not spread over the intervals between: it says when too badly."""
MIN_COVERED_FRAC = 0.5
"""An interval of which less was seen counts as missing."""


@dataclass(frozen=True, slots=True)
class OpenInterval:
    """The interval that the last reading fell into, as far as it was seen.

    Attributes:
        arrived: what came in the time seen.
        covered_s: that time.
    """

    index: int
    arrived: float = 0.0
    covered_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ClosedInterval:
    """An interval that is over, with its mean rate."""

    index: int
    rate_per_s: float


@dataclass(frozen=True, slots=True)
class Span:
    """What a counter grew by between two readings.

    Attributes:
        arrived: None where the counter does not tell, as after a restart.
    """

    from_s: float
    to_s: float
    arrived: float | None


def take(interval: OpenInterval | None, span: Span, step_s: float) -> tuple[tuple[ClosedInterval, ...], OpenInterval]:
    """Spread a span over the intervals that it touches: those that are over by its end, and the one still open."""
    end = math.floor(span.to_s / step_s)
    told = span.arrived is not None and 0.0 < span.to_s - span.from_s <= MAX_SPAN_INTERVALS * step_s
    touched = range(math.floor(span.from_s / step_s), end + 1) if told else range(end, end + 1)
    parts = {} if interval is None or interval.index > end else {interval.index: interval}
    for index in touched:
        part = parts.get(index, OpenInterval(index))
        parts[index] = _grown(part, span, step_s) if told else part
    closed = tuple(
        ClosedInterval(part.index, part.arrived / part.covered_s)
        for part in parts.values()
        if part.index < end and part.covered_s >= MIN_COVERED_FRAC * step_s
    )
    return closed, parts[end]


def _grown(part: OpenInterval, span: Span, step_s: float) -> OpenInterval:
    """The interval with its share of the span, by time."""
    start_s = part.index * step_s
    shared_s = max(0.0, min(span.to_s, start_s + step_s) - max(span.from_s, start_s))
    share = shared_s / (span.to_s - span.from_s)
    return OpenInterval(part.index, part.arrived + share * (span.arrived or 0.0), part.covered_s + shared_s)
