"""Fields of the objects of OpenADR 3.1 and 3.0.1: what a VTN sends and what it must refuse to take.

Source: the OpenAPI documents of 3.0.1 and 3.1.0 (grid-coordination/openadr3-specification, Apache-2.0); names and
requirements only.
"""

from __future__ import annotations

from typing import Any

METADATA = {"id", "createdDateTime", "modificationDateTime", "objectType"}

REQUIRED = {
    "3.1.0": {
        "programs": {"programName"},
        "events": {"programID"},
        "reports": {"eventID", "clientName", "resources"},
        "subscriptions": {"clientName", "objectOperations"},
        "vens": {"venName", "objectType"},
        "resources": {"resourceName", "objectType"},
    },
    "3.0.1": {
        "programs": {"programName"},
        "events": {"programID", "intervals"},
        "reports": {"programID", "eventID", "clientName", "resources"},
        "subscriptions": {"clientName", "programID", "objectOperations"},
        "vens": {"venName"},
        "resources": {"resourceName"},
    },
}

OPTIONAL = {
    "3.1.0": {
        "programs": {"intervalPeriod", "programDescriptions", "payloadDescriptors", "attributes", "targets"},
        "events": {
            "eventName",
            "duration",
            "priority",
            "targets",
            "reportDescriptors",
            "payloadDescriptors",
            "intervalPeriod",
            "intervals",
        },
        "reports": {"clientID", "reportName", "payloadDescriptors"},
        "subscriptions": {"clientID", "programID", "targets"},
        "vens": {"clientID", "attributes", "targets"},
        "resources": {"clientID", "venID", "attributes", "targets"},
    },
    "3.0.1": {
        "programs": {
            "programLongName",
            "retailerName",
            "retailerLongName",
            "programType",
            "country",
            "principalSubdivision",
            "timeZoneOffset",
            "intervalPeriod",
            "programDescriptions",
            "bindingEvents",
            "localPrice",
            "payloadDescriptors",
            "targets",
        },
        "events": {
            "eventName",
            "priority",
            "targets",
            "reportDescriptors",
            "payloadDescriptors",
            "intervalPeriod",
        },
        "reports": {"reportName", "payloadDescriptors"},
        "subscriptions": {"targets"},
        "vens": {"attributes", "targets", "resources"},
        "resources": {"venID", "attributes", "targets"},
    },
}

UNIQUE_NAME = {"programs": "programName", "vens": "venName", "resources": "resourceName"}
OBJECT_TYPE = {
    "programs": "PROGRAM",
    "events": "EVENT",
    "reports": "REPORT",
    "subscriptions": "SUBSCRIPTION",
    "vens": "VEN",
    "resources": "RESOURCE",
}
MAY_WRITE = {
    "programs": {"bl"},
    "events": {"bl"},
    "reports": {"ven"},
    "subscriptions": {"bl", "ven"},
    "vens": {"bl", "ven"},
    "resources": {"bl", "ven"},
}
PAGE = 50


def known(version: str, kind: str) -> set[str]:
    """Names of all fields of a kind of object."""
    return METADATA | REQUIRED[version][kind] | OPTIONAL[version][kind]


def fault_of(version: str, kind: str, content: Any) -> str | None:
    """Why a VTN must refuse this request body with 400; None where it must not."""
    if not isinstance(content, dict):
        return "the body is not an object"
    for name in sorted(REQUIRED[version][kind]):
        if content.get(name) is None:
            return f"{name} is missing"
    targets = content.get("targets") or []
    shape = str if version == "3.1.0" else dict
    if not all(isinstance(target, shape) for target in targets):
        return f"targets of {version} are each {'text' if shape is str else 'an object of type and values'}"
    for place in ("intervals", "resources"):
        for n, entry in enumerate(content.get(place) or []):
            if place == "intervals" and not {"id", "payloads"} <= set(entry):
                return f"intervals[{n}] lacks id or payloads"
    return None
