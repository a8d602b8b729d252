"""The objects of OpenADR 3.1 and 3.0.1, as far as a VEN needs them.

Field names follow the specification, with units; how each is read from JSON and written to it is in
`messages_read` and `messages_write`. Source: OpenADR 3 OpenAPI document, 3.0.1 and 3.1.0
(grid-coordination/openadr3-specification, Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.openadr.times import Duration

MAX_PAGE = 50
"""Most objects that a VTN hands out at once."""
MAX_INTERVALS = 20_000
"""Intervals of an event that are read: more than two years of hours."""
MAX_PAYLOADS = 64
MAX_VALUES = 20_000
MAX_TARGETS = 1024
MAX_DESCRIPTORS = 256


class Version(StrEnum):
    """Versions of the protocol; they differ in targets, resources, token discovery and requests of VENs."""

    V3_0 = "3.0.1"
    V3_1 = "3.1.0"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom an object is meant for.

    Attributes:
        value: e.g. a group's name; in 3.1 all of the target.
        kind: e.g. ``GROUP`` or ``VEN_NAME`` (3.0.1); None in 3.1.
    """

    value: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve."""

    x: float
    y: float


Value = float | int | str | bool | Point


@dataclass(frozen=True, slots=True)
class ValuesMap:
    """Values and what they are: a payload of an interval, or an attribute."""

    type: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class IntervalPeriod:
    """When an interval begins and how long it is.

    Attributes:
        start_s: None where it is not told, or is "now".
        is_now: whether the start is the word for "now", or for "after the one before".
        duration: None where it is not told.
        randomize_s: largest shift of the start, either way.
    """

    start_s: float | None = None
    is_now: bool = False
    duration: Duration | None = None
    randomize_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of an event or of a report."""

    interval_id: int
    payloads: tuple[ValuesMap, ...]
    period: IntervalPeriod | None = None


@dataclass(frozen=True, slots=True)
class EventDescriptor:
    """What the values of a type of payload are measured in."""

    payload_type: str
    units: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class ReportDescriptor:
    """A report that an event asks for; the defaults are the specification's.

    Attributes:
        start_interval: on which a report is made; -1 at the end of the last.
        num_intervals: how many it covers; -1 for all.
        historical: whether it tells what was, rather than what will be.
        frequency: intervals between reports; -1 for as many as it covers, 0 for whenever the VEN likes.
        repeat: how many reports; -1 without end.
        report_intervals: INTERVALS, SUB_INTERVALS or OPEN_INTERVALS (3.1).
    """

    payload_type: str
    reading_type: str | None = None
    units: str | None = None
    targets: tuple[Target, ...] = ()
    aggregate: bool = False
    start_interval: int = -1
    num_intervals: int = -1
    historical: bool = True
    frequency: int = -1
    repeat: int = 1
    report_intervals: str | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A programme as the VTN offers it.

    Attributes:
        modified_s: None where the VTN does not tell.
        zone_s: offset of its local time from UTC (3.0.1), None where it is not told.
    """

    program_id: str
    name: str
    modified_s: float | None = None
    descriptors: tuple[EventDescriptor, ...] = ()
    targets: tuple[Target, ...] = ()
    zone_s: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a programme.

    Attributes:
        created_s, modified_s: None where the VTN does not tell.
        duration: loops the intervals, or cuts them; None leaves them.
        priority: 0 is the highest, None ranks last.
        period: default of the intervals' periods.
    """

    event_id: str
    program_id: str
    name: str | None = None
    created_s: float | None = None
    modified_s: float | None = None
    duration: Duration | None = None
    priority: int | None = None
    targets: tuple[Target, ...] = ()
    report_descriptors: tuple[ReportDescriptor, ...] = ()
    descriptors: tuple[EventDescriptor, ...] = ()
    period: IntervalPeriod | None = None
    intervals: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class Ven:
    """A VEN as the VTN knows it."""

    ven_id: str
    name: str
    client_id: str | None = None
    attributes: tuple[ValuesMap, ...] = ()
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """A load behind a VEN, as the VTN knows it."""

    resource_id: str
    name: str
    ven_id: str
    attributes: tuple[ValuesMap, ...] = ()
    targets: tuple[Target, ...] = ()


class Operation(StrEnum):
    """What was done to an object; 3.0.1 tells it by the verbs of HTTP."""

    READ = "READ"
    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class ObjectOperation:
    """What a subscription is told of, and where."""

    objects: tuple[str, ...]
    operations: tuple[Operation, ...]
    callback_url: str
    bearer_token: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A request to be told of changes.

    Attributes:
        subscription_id: None for one that is to be made.
        program_id: None for all programmes (3.1).
    """

    subscription_id: str | None
    client_name: str
    operations: tuple[ObjectOperation, ...]
    program_id: str | None = None
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Notification:
    """What a VTN tells of a change.

    Attributes:
        object_type: PROGRAM, EVENT, REPORT, SUBSCRIPTION, VEN or RESOURCE.
        content: the object as it was sent.
        event: the object where it is an event.
    """

    object_type: str
    operation: Operation
    content: dict[str, object]
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a VTN tells it (RFC 7807)."""

    status: int | None = None
    title: str | None = None
    detail: str | None = None
    type: str | None = None
    instance: str | None = None

    def __str__(self) -> str:
        return ": ".join(part for part in (self.title, self.detail) if part) or "no reason given"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token.

    Attributes:
        expires_in_s: from when it was given; None where the server does not tell.
    """

    access_token: str
    expires_in_s: float | None = None

    def __repr__(self) -> str:
        return "Token(...)"
