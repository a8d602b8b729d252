"""Reports as OpenADR 3 carries them, and their JSON in the form of 3.1 or of 3.0.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.openadr.messages import Interval, Version
from controller.openadr.messages_write import write_interval

AGGREGATED = "AGGREGATED_REPORT"
"""Name of a resource that stands for several."""


@dataclass(frozen=True, slots=True)
class ReportPayloadDescriptor:
    """What the values of a report's payloads are."""

    payload_type: str
    reading_type: str | None = None
    units: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is to be sent.

    Attributes:
        client_name: of the VEN.
        name: unique within the event; by it a report is found again.
        resource: whose values these are.
    """

    event_id: str
    program_id: str
    client_name: str
    name: str
    resource: str
    descriptors: tuple[ReportPayloadDescriptor, ...]
    intervals: tuple[Interval, ...]


def write_report(report: Report, version: Version = Version.V3_1) -> dict[str, Any]:
    """A report that is to be made or changed; 3.0.1 names the programme too."""
    program = {"programID": report.program_id} if version is Version.V3_0 else {}
    intervals = [write_interval(interval, version) for interval in report.intervals]
    return program | {
        "objectType": "REPORT",
        "eventID": report.event_id,
        "clientName": report.client_name,
        "reportName": report.name,
        "payloadDescriptors": [_descriptor(each) for each in report.descriptors],
        "resources": [{"resourceName": report.resource, "intervals": intervals}],
    }


def _descriptor(descriptor: ReportPayloadDescriptor) -> dict[str, Any]:
    told = {
        "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
        "payloadType": descriptor.payload_type,
        "readingType": descriptor.reading_type,
        "units": descriptor.units,
    }
    return {key: value for key, value in told.items() if value is not None}
