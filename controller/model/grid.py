"""Grid signals: price and carbon series, limits and events."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

from router.contract import EventState

FOREVER_S = 253_402_300_800.0
"""End of the year 9999: the end of what has none, in a number that every record can hold."""


class Precedence(StrEnum):
    """What yields when a limit and the promises to the classes cannot both be kept."""

    CONTRACT = "contract_over_qos"
    QOS = "qos_over_contract"


class SeriesQuality(StrEnum):
    """How the values of a series came about."""

    PUBLISHED = "published"
    """As the market or the system operator settled or measured them."""
    FORECAST = "forecast"
    ESTIMATED = "estimated"
    RECORDED = "recorded"
    """Of another time, replayed."""
    CONSTANT = "constant"
    """Assumed by the operator."""


@dataclass(frozen=True, slots=True)
class Series:
    """A step function: `values[i]` holds on [starts_s[i], starts_s[i+1]), the last one until `end_s`.

    Attributes:
        unit: e.g. ``usd_per_mwh`` or ``kg_per_mwh``.
        source: what it was read from.
        issued_at_s: when its publisher made it; None where that is not told.
        quality: how the values came about.
    """

    starts_s: tuple[float, ...]
    values: tuple[float, ...]
    end_s: float
    unit: str
    source: str
    issued_at_s: float | None = None
    quality: SeriesQuality = SeriesQuality.PUBLISHED

    def __post_init__(self) -> None:
        """Check that the series is a step function."""
        if not self.starts_s or len(self.starts_s) != len(self.values):
            raise ValueError(f"{self.source}: {len(self.starts_s)} starts for {len(self.values)} values")
        if any(b <= a for a, b in zip(self.starts_s, (*self.starts_s[1:], self.end_s), strict=True)):
            raise ValueError(f"{self.source}: starts do not grow")

    def at(self, time_s: float) -> float | None:
        """Value in force at a time, None outside the series."""
        index = bisect_right(self.starts_s, time_s) - 1
        return self.values[index] if index >= 0 and time_s < self.end_s else None


@dataclass(frozen=True, slots=True)
class GridEvent:
    """A limit on the site's import that somebody has called for: an interval of a call, resolved to W.

    Attributes:
        limit_w: most the site may draw, at its metering point.
        start_s, end_s: wall clock; the event is in force on [start_s, end_s).
        notice_s: when it became known.
        ramp_s: time after the start by which the limit must be met.
        source: who sent it.
        programme: whose terms hold.
        precedence: what yields when the limit and the promises cannot both be kept; None for the plan's order.
        restore_w_per_s: fastest rise of the site's power after the end; None for no bound.
        prepare_s: how long before the start preparation may begin; None for the plan's.
        baseline_w: the draw that would have been, by the programme's rule; None where the controller's own holds.
        settlement_interval_s: over which delivery is averaged; None where every reading counts.
        priority: of the call, 0 the highest; None ranks below all. It says which of equal limits is told, no more.
        is_held_over: whether it is the limit of an event that is over, held until its return begins, and nothing is
            committed in it.
        settles_on_clock: whether settlement intervals begin at multiples of their length in UTC; else the first begins
            at the end of the ramp.
        asked_limit_w: what its call asks for, where the operator has it followed in part, down to `limit_w` and no
            lower; None where that is `limit_w`.
    """

    event_id: str
    limit_w: float
    start_s: float
    end_s: float
    notice_s: float
    ramp_s: float = 30.0
    source: str = "operator"
    programme: str = "operator"
    precedence: Precedence | None = None
    restore_w_per_s: float | None = None
    prepare_s: float | None = None
    baseline_w: float | None = None
    settlement_interval_s: float | None = None
    priority: int | None = None
    is_held_over: bool = False
    settles_on_clock: bool = False
    asked_limit_w: float | None = None

    @property
    def due_w(self) -> float:
        """The limit that was asked for, from which what is committed is counted."""
        return self.limit_w if self.asked_limit_w is None else self.asked_limit_w

    def state(self, now_s: float) -> EventState | None:
        """Pending, active, or None once it is over."""
        if now_s >= self.end_s:
            return None
        return EventState.ACTIVE if now_s >= self.start_s else EventState.PENDING


def limit_at(events: tuple[GridEvent, ...], standing_limit_w: float | None, time_s: float) -> float | None:
    """Most the site may draw at a time: the most restrictive of the standing limit and the events in force (R9)."""
    limits = [event.limit_w for event in events if event.start_s <= time_s < event.end_s]
    if standing_limit_w is not None:
        limits.append(standing_limit_w)
    return min(limits, default=None)


def released_s(events: tuple[GridEvent, ...], from_s: float, until_s: float) -> float:
    """Latest start of the events in force at any time of [from_s, until_s]; minus infinity without one.

    An event may ask for other instances than those that were brought up before it began: their least up-time is over.
    """
    starts = [event.start_s for event in events if event.start_s <= until_s and event.end_s > from_s]
    return max(starts, default=-math.inf)


def firm_limit_at(
    events: tuple[GridEvent, ...], standing_limit_w: float | None, time_s: float, lead_s: float = 0.0
) -> float | None:
    """Most the site may draw at a time, without the events whose ramp goes on for more than `lead_s` from then."""
    ramped = tuple(event for event in events if event.start_s + event.ramp_s <= time_s + lead_s)
    return limit_at(ramped, standing_limit_w, time_s)
