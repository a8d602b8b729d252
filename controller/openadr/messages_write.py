"""Writes the objects of OpenADR 3 as JSON, in the form of 3.1 or of 3.0.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.openadr.messages import (
    Event,
    EventDescriptor,
    Interval,
    IntervalPeriod,
    ObjectOperation,
    Operation,
    Point,
    Program,
    ReportDescriptor,
    Subscription,
    Target,
    ValuesMap,
    Version,
)
from controller.openadr.times import Duration, write_duration, write_moment

Json = dict[str, Any]
_VERBS = {Operation.READ: "GET", Operation.CREATE: "POST", Operation.UPDATE: "PUT", Operation.DELETE: "DELETE"}
NOW = {Version.V3_0: "0000-00-00", Version.V3_1: "0001-01-01T00:00:00Z"}


def write_event(event: Event, version: Version = Version.V3_1) -> Json:
    """An event as a VTN sends it."""
    return _present(
        {
            "objectType": "EVENT",
            "id": event.event_id,
            "programID": event.program_id,
            "eventName": event.name,
            "createdDateTime": _moment(event.created_s),
            "modificationDateTime": _moment(event.modified_s),
            "duration": None if version is Version.V3_0 else _length(event.duration),
            "priority": event.priority,
            "targets": write_targets(event.targets, version),
            "reportDescriptors": [write_report_descriptor(d, version) for d in event.report_descriptors] or None,
            "payloadDescriptors": [_descriptor(d) for d in event.descriptors] or None,
            "intervalPeriod": None if event.period is None else write_period(event.period, version),
        }
    ) | {"intervals": [write_interval(interval, version) for interval in event.intervals]}


def write_program(program: Program, version: Version = Version.V3_1) -> Json:
    """A programme as a VTN sends it."""
    zone = None if program.zone_s is None or version is Version.V3_1 else _offset(program.zone_s)
    return _present(
        {
            "objectType": "PROGRAM",
            "id": program.program_id,
            "programName": program.name,
            "modificationDateTime": _moment(program.modified_s),
            "timeZoneOffset": zone,
            "payloadDescriptors": [_descriptor(d) for d in program.descriptors] or None,
            "targets": write_targets(program.targets, version),
        }
    )


def write_interval(interval: Interval, version: Version = Version.V3_1) -> Json:
    """One interval of an event or of a report."""
    period = None if interval.period is None else write_period(interval.period, version)
    payloads = [write_values_map(payload) for payload in interval.payloads]
    return _present({"id": interval.interval_id, "intervalPeriod": period}) | {"payloads": payloads}


def write_period(period: IntervalPeriod, version: Version = Version.V3_1) -> Json:
    """When an interval is."""
    return _present(
        {
            "start": NOW[version] if period.is_now else _moment(period.start_s),
            "duration": _length(period.duration),
            "randomizeStart": write_duration(Duration(period.randomize_s)) if period.randomize_s else None,
        }
    )


def write_values_map(values: ValuesMap) -> Json:
    """Values with their type."""
    return {
        "type": values.type,
        "values": [{"x": v.x, "y": v.y} if isinstance(v, Point) else v for v in values.values],
    }


def write_report_descriptor(descriptor: ReportDescriptor, version: Version = Version.V3_1) -> Json:
    """A report that is asked for."""
    return _present(
        {
            "payloadType": descriptor.payload_type,
            "readingType": descriptor.reading_type,
            "units": descriptor.units,
            "targets": write_targets(descriptor.targets, version),
            "aggregate": descriptor.aggregate,
            "startInterval": descriptor.start_interval,
            "numIntervals": descriptor.num_intervals,
            "historical": descriptor.historical,
            "frequency": descriptor.frequency,
            "repeat": descriptor.repeat,
            "reportIntervals": None if version is Version.V3_0 else descriptor.report_intervals,
        }
    )


def write_targets(targets: tuple[Target, ...], version: Version) -> list[Any] | None:
    """Targets: texts in 3.1; objects in 3.0.1, where those without a kind are groups; None for none."""
    if version is Version.V3_1:
        return [target.value for target in targets] or None
    kinds: dict[str, list[str]] = {}
    for target in targets:
        kinds.setdefault(target.kind or "GROUP", []).append(target.value)
    return [{"type": kind, "values": values} for kind, values in kinds.items()] or None


def write_ven_request(name: str, attributes: Mapping[str, str], version: Version) -> Json:
    """A VEN that wants to be known; targets are the VTN's to give."""
    kind = {"objectType": "VEN_VEN_REQUEST"} if version is Version.V3_1 else {}
    return kind | {"venName": name} | _attributes(attributes)


def write_resource_request(name: str, ven_id: str, attributes: Mapping[str, str], version: Version) -> Json:
    """A resource of a VEN that is to be known; 3.0.1 tells the VEN by the path."""
    kind = {"objectType": "VEN_RESOURCE_REQUEST", "venID": ven_id} if version is Version.V3_1 else {}
    return kind | {"resourceName": name} | _attributes(attributes)


def write_subscription(subscription: Subscription, version: Version = Version.V3_1) -> Json:
    """A subscription that is to be made or changed."""
    return _present(
        {
            "clientName": subscription.client_name,
            "programID": subscription.program_id,
            "targets": write_targets(subscription.targets, version),
        }
    ) | {"objectOperations": [_object_operation(operation, version) for operation in subscription.operations]}


def write_notification(object_type: str, operation: Operation, content: Json, version: Version) -> Json:
    """What a VTN tells of a change."""
    return {"objectType": object_type, "operation": _operation(operation, version), "object": content}


def _operation(operation: Operation, version: Version) -> str:
    """What was done; 3.0.1 tells it by the verbs of HTTP."""
    return _VERBS[operation] if version is Version.V3_0 else operation.value


def _object_operation(operation: ObjectOperation, version: Version) -> Json:
    return _present(
        {
            "objects": list(operation.objects),
            "operations": [_operation(done, version) for done in operation.operations],
            "callbackUrl": operation.callback_url,
            "bearerToken": operation.bearer_token,
        }
    )


def _descriptor(descriptor: EventDescriptor) -> Json:
    return _present(
        {
            "objectType": "EVENT_PAYLOAD_DESCRIPTOR",
            "payloadType": descriptor.payload_type,
            "units": descriptor.units,
            "currency": descriptor.currency,
        }
    )


def _attributes(attributes: Mapping[str, str]) -> Json:
    return (
        {"attributes": [{"type": name, "values": [value]} for name, value in attributes.items()]} if attributes else {}
    )


def _moment(time_s: float | None) -> str | None:
    return None if time_s is None else write_moment(time_s)


def _length(duration: Duration | None) -> str | None:
    return None if duration is None else write_duration(duration)


def _offset(zone_s: float) -> str:
    return ("-" if zone_s < 0 else "") + write_duration(Duration(abs(zone_s)))


def _present(fields: Json) -> Json:
    return {key: value for key, value in fields.items() if value is not None}
