"""A call as the book keeps it: what was heard, what became of it, and what its limits are counted from; pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum

from controller.grid.courses import Courses, Span, span_at, spans
from controller.grid.easing import Easings, raised
from controller.grid.resolve import References, Resolved, resolve
from controller.model.call import Asked, Call, CallInterval, CallState
from controller.model.grid import GridEvent
from controller.model.programme import Programme

_OF_BASELINE = (Asked.BELOW_BASELINE_W, Asked.BELOW_BASELINE_FRAC)


class Origin(StrEnum):
    """Where a reference comes from, the surest first."""

    PROGRAMME = "programme"
    """The programme's own baseline rule over the stored meter readings."""
    METER_BEFORE = "meter_before"
    """The mean of what was drawn before the preparation, as far as it was seen in the last hours."""
    PRESENT = "present"
    """What was drawn at that time."""
    MODELLED = "modelled"
    """What the model says is drawn, where no reading is at hand."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A power that a call's relative forms are counted from."""

    value_w: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class PresentDraw:
    """What was drawn when an interval began."""

    start_s: float
    value_w: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class Frozen:
    """References that hold for good, because what they are for has begun.

    Attributes:
        baseline: None where it is not frozen, or not known.
        frozen_s: when the baseline was; None before.
        present: one for each interval that began and is counted from the draw of its start.
    """

    baseline: Reference | None = None
    frozen_s: float | None = None
    present: tuple[PresentDraw, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptCall:
    """One call of the book.

    Attributes:
        call: as it is followed, its randomised start drawn.
        offset_s: by how much that put it off.
        randomize_s: within which that was drawn.
        cancelled_s: when it was cancelled.
        opted_out_s: when the operator chose not to follow it.
        courses_s: offsets of former courses of a clock that was set since, by which it holds as well.
        restore_frac: share, drawn once, of the time by which its programme lets the return begin later.
        easings: when the operator had it followed in part.
    """

    call: Call
    offset_s: float = 0.0
    randomize_s: float = 0.0
    cancelled_s: float | None = None
    opted_out_s: float | None = None
    frozen: Frozen = field(default_factory=Frozen)
    courses_s: Courses = ()
    restore_frac: float = 0.0
    easings: Easings = ()

    @property
    def key(self) -> tuple[str, str]:
        """By which it is found."""
        return self.call.source, self.call.call_id

    @property
    def end_s(self) -> float:
        """When it is over, by every course of the clock."""
        end_s = spans(self.call.start_s, self.call.end_s, self.courses_s)[-1][1]
        return end_s if self.cancelled_s is None else min(end_s, self.cancelled_s)

    def span_at(self, now_s: float) -> Span:
        """Its start and end that count now: the first, of several courses of the clock, that are not over."""
        return span_at(self.call.start_s, self.call.end_s, self.courses_s, now_s)

    def interval_at(self, interval: CallInterval, now_s: float) -> Span:
        """The same of one of its intervals."""
        return span_at(interval.start_s, interval.end_s, self.courses_s, now_s)

    def state(self, now_s: float) -> CallState:
        """Where it stands."""
        if self.cancelled_s is not None:
            return CallState.CANCELLED
        if self.is_over(now_s):
            return CallState.ENDED
        if self.call.opted_out is not None:
            return CallState.OPTED_OUT
        return CallState.ACTIVE if now_s >= self.span_at(now_s)[0] else CallState.PENDING

    def is_over(self, now_s: float) -> bool:
        """Whether nothing of it is left; what was cancelled stays so, however the clock is set."""
        return self.cancelled_s is not None or now_s >= self.end_s

    def is_ended_by(self, call: Call, now_s: float) -> bool:
        """Whether a change of it ends it: nothing is left of the change, by any course of the clock."""
        return not self.is_over(now_s) and spans(call.start_s, call.end_s, self.courses_s)[-1][1] <= now_s

    def resolved(self, programme: Programme, references: References) -> Resolved:
        """What it comes to by every course of the clock, cut off where it was cancelled or opted out of.

        Where it is followed in part, or was as an interval ended, the limit is the raised one.
        """
        cut_s = min((at_s for at_s in (self.cancelled_s, self.opted_out_s) if at_s is not None), default=None)
        whole = resolve(dataclasses.replace(self.call, opted_out=None), programme, references)
        events = tuple(
            dataclasses.replace(event, start_s=start_s, end_s=end_s) if self.courses_s else event
            for event in whole.events
            for start_s, end_s in spans(event.start_s, event.end_s, self.courses_s)
        )
        if cut_s is not None:
            whole = Resolved((), (), whole.clipped)
            events = tuple(_cut(event, cut_s) for event in events)
        return dataclasses.replace(whole, events=tuple(raised(event, self.easings) for event in events))


def events_at(events: tuple[GridEvent, ...], now_s: float) -> tuple[GridEvent, ...]:
    """One for each interval: where several courses of the clock give it several, the first that is not over."""
    chosen: dict[str, GridEvent] = {}
    for event in events:
        before = chosen.get(event.event_id)
        if before is None or before.end_s <= now_s:
            chosen[event.event_id] = event
    return tuple(chosen.values())


def _cut(event: GridEvent, at_s: float) -> GridEvent:
    return dataclasses.replace(event, start_s=min(event.start_s, at_s), end_s=min(event.end_s, at_s))


def asks(programme: Programme, interval: CallInterval) -> Asked:
    """What an interval asks for, its level read."""
    commitment = interval.commitment
    if commitment.asked is not Asked.LEVEL:
        return commitment.asked
    mapped = programme.level(round(commitment.value))
    return Asked.NOTHING if mapped is None else mapped.asked


def needs_baseline(call: Call, programme: Programme) -> bool:
    """Whether a limit of the call is counted from the baseline."""
    return any(asks(programme, interval) in _OF_BASELINE for interval in call.intervals)


def from_present(call: Call, programme: Programme) -> tuple[CallInterval, ...]:
    """The intervals whose limits are counted from what is drawn when they begin."""
    return tuple(i for i in call.intervals if asks(programme, i) is Asked.BELOW_PRESENT_W)
