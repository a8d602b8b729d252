"""What somebody asks of the site's power: a call, as it was heard, before it is resolved to a limit in W.

A call is an event of a programme in force (OpenADR), an operator's command or a set load target. It may ask for an
absolute cap, for a reduction below the baseline, or for a level that the programme's contract maps to one of those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from controller.model.grid import FOREVER_S

MAX_INTERVALS = 1024
"""Intervals that a call may have; a message with more is refused."""
MAX_W = 1e10
OPERATOR = "operator"
"""Source of what an operator asks for, and the programme whose terms hold unless he names another."""


def call_key(source: str, event_id: str) -> str:
    """By which a call is found with all that is kept of it: its source and its id, the same for all of its intervals.

    Args:
        source: of the call.
        event_id: the call's own id, or that of the event of one of its intervals (`controller.grid.resolve.event_ids`).
    """
    own = event_id if source == OPERATOR else event_id.removeprefix(f"{source}/")
    return f"{source} {own.partition('#')[0]}"


class CallState(StrEnum):
    """Where a call stands."""

    PENDING = "pending"
    """None of its intervals has begun."""
    ACTIVE = "active"
    """Begun and not over, gaps between its intervals included."""
    OPTED_OUT = "opted_out"
    """Not over, and not followed by the operator's choice."""
    ENDED = "ended"
    CANCELLED = "cancelled"


class Asked(StrEnum):
    """What the value of a commitment says."""

    AT_MOST_W = "at_most_w"
    """Import at the metering point at most this, W."""
    BELOW_BASELINE_W = "below_baseline_w"
    """This much less than the programme's baseline, W."""
    BELOW_BASELINE_FRAC = "below_baseline_frac"
    """This share less than the programme's baseline, 0..1."""
    BELOW_PRESENT_W = "below_present_w"
    """This much less than what was drawn when the interval began, W."""
    LEVEL = "level"
    """A level that the programme maps to one of the others."""
    NOTHING = "nothing"
    """No limit: an interval of normal operation within a call."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """What is asked for over an interval.

    Attributes:
        value: W, a share, or the level's number; 0 for `NOTHING`.
    """

    asked: Asked
    value: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        most = 1.0 if self.asked is Asked.BELOW_BASELINE_FRAC else MAX_W
        least = -100.0 if self.asked is Asked.LEVEL else 0.0
        if not (math.isfinite(self.value) and least <= self.value <= most):
            raise ValueError(f"{self.asked.value} {self.value!r} is outside {least:g} to {most:g}")


@dataclass(frozen=True, slots=True)
class CallInterval:
    """One stretch of a call, [start_s, end_s) on the wall clock; `end_s` of `FOREVER_S` has no end.

    Attributes:
        correlation_id: by which its sender knows it; None where it has none.
        interval_id: by which it is the same one after its call was changed; None is its place in the call.
    """

    start_s: float
    end_s: float
    commitment: Commitment
    correlation_id: str | None = None
    interval_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse a stretch without length."""
        if not 0.0 <= self.start_s < self.end_s <= FOREVER_S:
            raise ValueError(f"an interval from {self.start_s!r} to {self.end_s!r} has no length")


@dataclass(frozen=True, slots=True)
class Call:
    """What one message asks for.

    Attributes:
        call_id: unique within its source.
        source: who sent it: ``operator``, ``load_target`` or ``openadr:NAME``.
        programme: name of the configured programme whose terms hold.
        received_s: when it was first heard of: its notice.
        modified_s: time of the sender's last change, by which replayed and reordered messages are told.
        intervals: in order of time, without overlap; gaps ask for nothing.
        priority: 0 is the highest; None ranks below all (OpenADR 3.1 leaves it open).
        ramp_s: time after each start by which its limit is met; None takes the programme's.
        is_test: a rehearsal: followed like any other, marked in every account.
        opted_out: why the operator does not follow it; None where it is followed.
        randomize_s: the whole call begins up to this much later, by chance; 0 once that was drawn.
    """

    call_id: str
    source: str
    programme: str
    received_s: float
    modified_s: float
    intervals: tuple[CallInterval, ...]
    priority: int | None = None
    ramp_s: float | None = None
    is_test: bool = False
    opted_out: str | None = None
    randomize_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse intervals that are none, too many, or overlap."""
        if not 0 < len(self.intervals) <= MAX_INTERVALS:
            raise ValueError(f"call {self.call_id}: {len(self.intervals)} intervals; 1 to {MAX_INTERVALS} are followed")
        for before, after in zip(self.intervals, self.intervals[1:], strict=False):
            if after.start_s < before.end_s:
                raise ValueError(f"call {self.call_id}: the interval at {after.start_s!r} begins within the one before")

    @property
    def start_s(self) -> float:
        """Start of the first interval."""
        return self.intervals[0].start_s

    @property
    def end_s(self) -> float:
        """End of the last interval; `FOREVER_S` without one."""
        return self.intervals[-1].end_s
