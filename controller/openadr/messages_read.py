"""Reads programmes and events of OpenADR 3 from decoded JSON; whatever is sent, `MessageError` alone is raised."""

from __future__ import annotations

import math
from typing import Any

from controller.errors import MessageError
from controller.openadr import times
from controller.openadr.fields import MAX_NAME, Fields, entries, number, text
from controller.openadr.messages import (
    MAX_DESCRIPTORS,
    MAX_INTERVALS,
    MAX_PAYLOADS,
    MAX_TARGETS,
    MAX_VALUES,
    Event,
    EventDescriptor,
    Interval,
    IntervalPeriod,
    Point,
    Program,
    ReportDescriptor,
    Target,
    Value,
    ValuesMap,
)

MAX_RANDOMIZE_S = 86_400.0
"""Largest shift of a start that is followed."""


def read_program(data: Any, place: str = "program") -> Program:
    """A programme.

    Raises:
        MessageError: a field is missing or wrong.
    """
    fields = Fields.of(data, place)
    offset = fields.text("timeZoneOffset", MAX_NAME)
    return Program(
        program_id=fields.object_id("id"),
        name=fields.name("programName"),
        modified_s=_stamp(fields, "modificationDateTime"),
        descriptors=_descriptors(fields),
        targets=read_targets(fields),
        zone_s=None if offset is None else times.read_offset_s(offset, fields.at("timeZoneOffset")),
    )


def read_event(data: Any, place: str = "event", zone_s: float | None = None) -> Event:
    """An event.

    Args:
        data: decoded JSON.
        place: what errors call it.
        zone_s: of the programme, for moments without an offset.

    Raises:
        MessageError: a field is missing or wrong.
    """
    fields = Fields.of(data, place)
    return Event(
        event_id=fields.object_id("id"),
        program_id=fields.object_id("programID"),
        name=fields.text("eventName"),
        created_s=_stamp(fields, "createdDateTime"),
        modified_s=_stamp(fields, "modificationDateTime"),
        duration=_duration(fields, "duration"),
        priority=fields.optional_integer("priority", 0),
        targets=read_targets(fields),
        report_descriptors=fields.each("reportDescriptors", MAX_DESCRIPTORS, read_report_descriptor),
        descriptors=_descriptors(fields),
        period=_period(fields, zone_s),
        intervals=fields.each("intervals", MAX_INTERVALS, lambda entry, at: read_interval(entry, at, zone_s)),
    )


def read_interval(data: Any, place: str, zone_s: float | None = None) -> Interval:
    """One interval of an event or of a report."""
    fields = Fields.of(data, place)
    fields.value("payloads")
    return Interval(
        interval_id=fields.integer("id"),
        payloads=fields.each("payloads", MAX_PAYLOADS, read_values_map),
        period=_period(fields, zone_s),
    )


def read_values_map(data: Any, place: str) -> ValuesMap:
    """Values with their type."""
    fields = Fields.of(data, place)
    kind = fields.name("type")
    fields.value("values")
    return ValuesMap(kind, fields.each("values", MAX_VALUES, _value))


def read_report_descriptor(data: Any, place: str) -> ReportDescriptor:
    """A report that is asked for."""
    fields = Fields.of(data, place)
    return ReportDescriptor(
        payload_type=fields.name("payloadType"),
        reading_type=fields.text("readingType", MAX_NAME),
        units=fields.text("units", MAX_NAME),
        targets=read_targets(fields),
        aggregate=fields.boolean("aggregate", False),
        start_interval=fields.integer("startInterval", -1, -1),
        num_intervals=fields.integer("numIntervals", -1, -1),
        historical=fields.boolean("historical", True),
        frequency=fields.integer("frequency", -1, -1),
        repeat=fields.integer("repeat", -1, 1),
        report_intervals=fields.text("reportIntervals", MAX_NAME),
    )


def _value(value: Any, place: str) -> Value:
    if isinstance(value, str):
        return text(value, place)
    if isinstance(value, bool):
        return value
    if isinstance(value, dict):
        fields = Fields.of(value, place)
        return Point(number(fields.value("x"), fields.at("x")), number(fields.value("y"), fields.at("y")))
    found = number(value, place)
    return value if isinstance(value, int) else found


def _period(fields: Fields, zone_s: float | None) -> IntervalPeriod | None:
    if not fields.has("intervalPeriod"):
        return None
    period = Fields.of(fields.data["intervalPeriod"], fields.at("intervalPeriod"))
    start = period.text("start", MAX_NAME)
    is_now = start is not None and times.is_now(start)
    randomize = _duration(period, "randomizeStart")
    randomize_s = 0.0 if randomize is None else _randomize_s(randomize, period.at("randomizeStart"))
    return IntervalPeriod(
        start_s=None if start is None or is_now else times.read_moment(start, period.at("start"), zone_s),
        is_now=is_now,
        duration=_duration(period, "duration"),
        randomize_s=randomize_s,
    )


def _randomize_s(duration: times.Duration, place: str) -> float:
    length_s = math.inf if duration.is_forever or duration.months else duration.seconds
    if length_s > MAX_RANDOMIZE_S:
        raise MessageError(place, "a start that is shifted by more than a day is not followed")
    return length_s


def _duration(fields: Fields, key: str) -> times.Duration | None:
    value = fields.text(key, MAX_NAME)
    return None if value is None else times.read_duration(value, fields.at(key))


def _stamp(fields: Fields, key: str) -> float | None:
    value = fields.text(key, MAX_NAME)
    return None if value is None else times.read_moment(value, fields.at(key), 0.0)


def _descriptors(fields: Fields) -> tuple[EventDescriptor, ...]:
    """Of events' payloads; those of reports, which a programme may list beside them, are left out."""
    found = fields.each("payloadDescriptors", MAX_DESCRIPTORS, _descriptor)
    return tuple(descriptor for descriptor in found if descriptor is not None)


def _descriptor(data: Any, place: str) -> EventDescriptor | None:
    fields = Fields.of(data, place)
    if fields.text("objectType", MAX_NAME) == "REPORT_PAYLOAD_DESCRIPTOR":
        return None
    return EventDescriptor(
        fields.name("payloadType"), fields.text("units", MAX_NAME), fields.text("currency", MAX_NAME)
    )


def read_targets(fields: Fields) -> tuple[Target, ...]:
    """Whom an object is meant for.

    Raises:
        MessageError: that cannot be read.
    """
    if not fields.has("targets"):
        return ()
    found: list[Target] = []
    for n, entry in enumerate(entries(fields.data["targets"], fields.at("targets"), MAX_TARGETS)):
        found += _target(entry, f"{fields.at('targets')}[{n}]")
    return tuple(found)


def _target(entry: Any, place: str) -> list[Target]:
    """One of 3.1 is text, one of 3.0.1 an object of a type and its values."""
    if isinstance(entry, str):
        return [Target(text(entry, place, MAX_NAME, 1))]
    fields = Fields.of(entry, place)
    kind = fields.name("type")
    return [Target(value, kind) for value in fields.each("values", MAX_TARGETS, read_name)]


def read_name(value: Any, place: str) -> str:
    """A name, such as one entry of a list of them.

    Raises:
        MessageError: it is none.
    """
    return text(value, place, MAX_NAME, 1)
