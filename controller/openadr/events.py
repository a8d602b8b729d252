"""What an event of OpenADR 3 means: calls on the site's power, default limits, prices, emissions and alerts.

Payload types that are not ours are named and passed over. A payload of ours that cannot be read refuses the whole
event: half of what a utility asked for is not what it asked for. Source: OpenADR 3.1.0 Definition, table 1, and User
Guide 7 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.errors import MessageError
from controller.model.call import Asked, Call, Commitment
from controller.model.grid import FOREVER_S
from controller.openadr import event_calls, quantities
from controller.openadr.event_calls import Caller, Loop, Part, interval_id
from controller.openadr.fields import shown
from controller.openadr.levels import LEVELS, PERCENT, level, level_of_share
from controller.openadr.messages import Event, EventDescriptor, Target, ValuesMap
from controller.openadr.schedule import DAY_S, HOUR_S, Hearing, Slot, schedule
from controller.openadr.shares import Share, divided

LIMITS = frozenset(("IMPORT_CAPACITY_LIMIT", "DISPATCH_SETPOINT"))
RELATIVE = "DISPATCH_SETPOINT_RELATIVE"
SUBSCRIPTION = "IMPORT_CAPACITY_SUBSCRIPTION"
RESERVATION = "IMPORT_CAPACITY_RESERVATION"
PRICE = "PRICE"
GHG = "GHG"
ALERT = "ALERT_"
MAX_NOTICE = 500
LOOP_TICK_S = 1e-5
"""By how much the call of a loop grows younger with each hour of the time up to which it is told further."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How the events of one programme of a VTN are understood.

    Attributes:
        source: of the calls, ``openadr:NAME``.
        programme: name of the configured programme whose terms hold.
        own: targets that are ours: names of the VEN, its resources, its groups, its programme.
        descriptors: of the programme, for events that have none of their own.
        alerts: level of each type of alert that is acted upon.
        relative_sheds: whether a relative set-point tells the reduction, rather than the change (negative is less).
        usd_per_unit: how many USD a unit of each currency is; "" stands for prices that name none.
        zone_s: offset of the programme's local time from UTC, for moments without one; None refuses those.
        percent_levels: level by percentage, for CONTROL_LEVEL_OFFSET_PERCENT; None refuses those, and an empty one
            passes them over.
    """

    source: str
    programme: str
    own: frozenset[str] = frozenset()
    descriptors: tuple[EventDescriptor, ...] = ()
    alerts: Mapping[str, int] = field(default_factory=dict)
    relative_sheds: bool = False
    usd_per_unit: Mapping[str, float] = field(default_factory=lambda: {"USD": 1.0})
    zone_s: float | None = None
    percent_levels: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A value over a stretch of time."""

    start_s: float
    end_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert, for people."""

    kind: str
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an event comes to.

    Attributes:
        calls: on the site's power; the first has the event's id.
        subscription_w, reservation_w: the site's default limit, and what was granted above it.
        price_usd_per_mwh, carbon_kg_per_mwh: of the grid's energy.
        ignored: types of payloads that are not ours, or that ask for more load.
        end_s: end of its last slot.
    """

    calls: tuple[Call, ...] = ()
    subscription_w: tuple[Span, ...] = ()
    reservation_w: tuple[Span, ...] = ()
    price_usd_per_mwh: tuple[Span, ...] = ()
    carbon_kg_per_mwh: tuple[Span, ...] = ()
    notices: tuple[Notice, ...] = ()
    ignored: tuple[str, ...] = ()
    end_s: float = 0.0


def meaning(event: Event, terms: Terms, hearing: Hearing, modified_s: float) -> Meaning:
    """What an event comes to.

    Args:
        event: as it was read.
        terms: how it is understood.
        hearing: when it was heard.
        modified_s: time of its last change.

    Raises:
        MessageError: a payload of ours, its units or a time cannot be followed; the text names it.
    """
    timed = schedule(event, hearing)
    reader = _Reader(event, terms)
    for slot in timed.slots:
        for number_, payload in enumerate(slot.interval.payloads):
            reader.take(slot, payload, f"event.intervals[id {slot.interval.interval_id}].payloads[{number_}]")
    loop = Loop(hearing.now_s - HOUR_S, modified_s + LOOP_TICK_S * timed.hour) if timed.is_looped else None
    day_s = modified_s + LOOP_TICK_S * timed.day * DAY_S / HOUR_S
    caller = Caller(terms.source, terms.programme, hearing.heard_s, day_s, loop)
    return Meaning(
        calls=event_calls.calls(event, reader.parts, caller),
        subscription_w=tuple(reader.spans[SUBSCRIPTION]),
        reservation_w=tuple(reader.spans[RESERVATION]),
        price_usd_per_mwh=tuple(reader.spans[PRICE]),
        carbon_kg_per_mwh=tuple(reader.spans[GHG]),
        notices=tuple(reader.notices),
        ignored=tuple(sorted(reader.ignored)),
        end_s=max((reader.end_s, *(slot.end_s for slot in timed.slots)), default=0.0),
    )


def is_ours(targets: tuple[Target, ...], own: frozenset[str]) -> bool:
    """Whether an object with these targets is meant for us.

    One without targets is for all. Those of 3.1 name groups, one of which must be ours; those of 3.0.1 have kinds, of
    each of which one must be ours.
    """
    kinds: dict[str | None, bool] = {}
    for target in targets:
        kinds[target.kind] = kinds.get(target.kind, False) or target.value in own
    return all(kinds.values())


class _Reader:
    """Gathers what the payloads of one event say."""

    def __init__(self, event: Event, terms: Terms) -> None:
        self._terms = terms
        self._descriptors = {d.payload_type: d for d in (*terms.descriptors, *event.descriptors)}
        self.parts: dict[str, list[Part]] = {}
        self.spans: dict[str, list[Span]] = {kind: [] for kind in (SUBSCRIPTION, RESERVATION, PRICE, GHG)}
        self.notices: list[Notice] = []
        self.ignored: set[str] = set()
        self.end_s = 0.0

    def take(self, slot: Slot, payload: ValuesMap, place: str) -> None:
        """One payload of one slot."""
        kind = payload.type
        if kind.startswith(ALERT):
            self._take_alert(slot, payload)
        elif self._is_ours(kind):
            shares = divided(slot, payload, place, may_be_open=kind == SUBSCRIPTION)
            for n, share in enumerate(shares):
                self._take_value(kind, share, interval_id(slot, n, len(shares)))
        else:
            self.ignored.add(kind)

    def _is_ours(self, kind: str) -> bool:
        if kind == PERCENT:
            return self._terms.percent_levels is None or bool(self._terms.percent_levels)
        return kind in LIMITS or kind in LEVELS or kind in self.spans or kind == RELATIVE

    def _take_value(self, kind: str, share: Share, named: str) -> None:
        if share.end_s <= share.start_s:
            return
        self.end_s = max(self.end_s, share.end_s)
        if kind in self.spans:
            self.spans[kind].append(Span(share.start_s, share.end_s, self._scaled(kind, share.value, share.at)))
            return
        commitment = self._commitment(kind, share.value, share.at)
        if commitment.asked is Asked.NOTHING and share.value != 0:
            self.ignored.add(f"{kind} that asks for more load")
        self.parts.setdefault(kind, []).append(Part(share.start_s, share.end_s, commitment, named))

    def _scaled(self, kind: str, value: float, at: str) -> float:
        descriptor = self._descriptors.get(kind, EventDescriptor(kind))
        place = f"event.payloadDescriptors[{kind}]"
        if kind == PRICE:
            return value * quantities.usd_per_mwh(descriptor, self._terms.usd_per_unit, place)
        if kind == GHG:
            return _not_negative(value, at) * quantities.kg_per_mwh(descriptor, place)
        return _not_negative(value, at) * quantities.watts(descriptor, place)

    def _commitment(self, kind: str, value: float, at: str) -> Commitment:
        if kind in LEVELS:
            return level(kind, value, at)
        descriptor, place = self._descriptors.get(kind, EventDescriptor(kind)), f"event.payloadDescriptors[{kind}]"
        if kind == PERCENT:
            return level_of_share(value * quantities.share(descriptor, place), self._terms.percent_levels, at)
        factor = quantities.watts(descriptor, place)
        try:
            if kind in LIMITS:
                return Commitment(Asked.AT_MOST_W, _not_negative(value, at) * factor)
            less_w = value * factor if self._terms.relative_sheds else -value * factor
            return Commitment(Asked.BELOW_PRESENT_W, less_w) if less_w > 0 else Commitment(Asked.NOTHING)
        except ValueError as error:
            raise MessageError(at, str(error)) from error

    def _take_alert(self, slot: Slot, payload: ValuesMap) -> None:
        end_s = FOREVER_S if slot.is_open else slot.end_s
        if end_s <= slot.start_s:
            return
        self.end_s = max(self.end_s, end_s)
        text = "; ".join(value for value in payload.values if isinstance(value, str))[:MAX_NOTICE]
        self.notices.append(Notice(payload.type, text, slot.start_s, end_s))
        called = self._terms.alerts.get(payload.type)
        if called is not None:
            part = Part(slot.start_s, end_s, Commitment(Asked.LEVEL, called), interval_id(slot))
            self.parts.setdefault(payload.type, []).append(part)


def _not_negative(value: float, at: str) -> float:
    if value < 0:
        raise MessageError(at, f"{shown(value)} is less than 0")
    return value
