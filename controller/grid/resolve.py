"""Resolves calls to limits in W: every form of commitment ends in one `GridEvent` for each interval (R1).

Prices take no part: a limit follows from calls, programmes and baselines alone, so that no price can relax it (R9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.call import OPERATOR, Asked, Call, CallInterval, Commitment
from controller.model.grid import GridEvent
from controller.model.programme import Programme


@dataclass(frozen=True, slots=True)
class References:
    """What the relative forms of a call are counted from.

    Attributes:
        baseline_w: by the programme's rule, frozen at the start; before it the best guess. None while not known.
        present_w: drawn when each interval began, by the interval's start; one without an entry has not begun.
    """

    baseline_w: float | None = None
    present_w: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An interval of a call of which no limit can be made, with the reason."""

    call_id: str
    start_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a call comes to.

    Attributes:
        events: one for each interval that asks for a limit; none of a call that is opted out of.
        unresolved: what could not be followed.
        clipped: ids of events whose limit was raised to the least that the programme calls sane.
    """

    events: tuple[GridEvent, ...]
    unresolved: tuple[Unresolved, ...] = ()
    clipped: tuple[str, ...] = ()


def resolve(call: Call, programme: Programme, references: References) -> Resolved:
    """The limits that a call comes to under a programme's terms."""
    if call.opted_out is not None:
        return Resolved(())
    events, unresolved, clipped = [], [], []
    for event_id, interval in zip(event_ids(call), call.intervals, strict=True):
        limit_w = _limit_w(interval, programme, references)
        if isinstance(limit_w, str):
            unresolved.append(Unresolved(call.call_id, interval.start_s, limit_w))
            continue
        if limit_w is None:
            continue
        if limit_w < programme.least_w:
            clipped.append(event_id)
            limit_w = programme.least_w
        events.append(_event(call, interval, programme, references, (event_id, limit_w)))
    return Resolved(tuple(events), tuple(unresolved), tuple(clipped))


def event_ids(call: Call) -> tuple[str, ...]:
    """Id of each interval's event, which no other call has: an operator's own, else with its source before it.

    It has the interval's own id, by which it stays the same where the call is changed, or its place where it has none.
    """
    call_id = call.call_id if call.source == OPERATOR else f"{call.source}/{call.call_id}"
    own = [interval.interval_id for interval in call.intervals]
    if None not in own and len(set(own)) == len(own):
        return tuple(f"{call_id}#{each}" for each in own)
    return (call_id,) if len(own) == 1 else tuple(f"{call_id}#{number}" for number in range(len(own)))


def by_programme(calls: tuple[Call, ...], programmes: Mapping[str, Programme]) -> tuple[tuple[Call, Programme], ...]:
    """Each call with its terms; calls of a programme that is not configured are left out."""
    return tuple((call, programmes[call.programme]) for call in calls if call.programme in programmes)


def _limit_w(interval: CallInterval, programme: Programme, references: References) -> float | str | None:
    """Limit of an interval, None where it asks for none, and the reason where it cannot be told."""
    commitment = interval.commitment
    if commitment.asked is Asked.LEVEL:
        mapped = programme.level(round(commitment.value))
        if mapped is None or mapped.asked is Asked.LEVEL:
            return f"programme {programme.name} does not say what level {commitment.value:g} asks for; add it to levels"
        commitment = mapped
    return _of_quantity(commitment, interval, references)


def _of_quantity(commitment: Commitment, interval: CallInterval, references: References) -> float | str | None:
    if commitment.asked is Asked.NOTHING:
        return None
    if commitment.asked is Asked.AT_MOST_W:
        return commitment.value
    if commitment.asked is Asked.BELOW_PRESENT_W:
        present_w = dict(references.present_w).get(interval.start_s, references.baseline_w)
        return "what is drawn is not known" if present_w is None else max(0.0, present_w - commitment.value)
    if references.baseline_w is None:
        return "the baseline is not known"
    share = commitment.value if commitment.asked is Asked.BELOW_BASELINE_FRAC else 0.0
    less_w = commitment.value if commitment.asked is Asked.BELOW_BASELINE_W else 0.0
    return max(0.0, references.baseline_w * (1.0 - share) - less_w)


def _event(
    call: Call, interval: CallInterval, programme: Programme, references: References, limit: tuple[str, float]
) -> GridEvent:
    event_id, limit_w = limit
    return GridEvent(
        event_id=event_id,
        limit_w=limit_w,
        start_s=interval.start_s,
        end_s=interval.end_s,
        notice_s=call.received_s,
        ramp_s=programme.ramp_s if call.ramp_s is None else call.ramp_s,
        source=call.source,
        programme=call.programme,
        precedence=programme.precedence,
        restore_w_per_s=programme.restore_w_per_s,
        prepare_s=programme.prepare_s,
        settlement_interval_s=None if programme.settles_instantaneous else programme.settlement_interval_s,
        baseline_w=references.baseline_w,
        priority=call.priority,
        settles_on_clock=programme.settles_on_clock,
    )
