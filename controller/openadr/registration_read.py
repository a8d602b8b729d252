"""Reads what a VEN is registered as with a VTN, and what it is told by it; nothing but `MessageError` is raised."""

from __future__ import annotations

from typing import Any

from controller.errors import MessageError
from controller.openadr.fields import MAX_NAME, Fields, decode, shown, text
from controller.openadr.messages import (
    MAX_DESCRIPTORS,
    MAX_PAYLOADS,
    Notification,
    ObjectOperation,
    Operation,
    Resource,
    Subscription,
    Ven,
)
from controller.openadr.messages_read import read_event, read_name, read_targets, read_values_map

_BY_VERB = {"GET": Operation.READ, "POST": Operation.CREATE, "PUT": Operation.UPDATE, "DELETE": Operation.DELETE}


def read_ven(data: Any, place: str = "ven") -> Ven:
    """A VEN."""
    fields = Fields.of(data, place)
    return Ven(
        ven_id=fields.object_id("id"),
        name=fields.name("venName"),
        client_id=fields.text("clientID"),
        attributes=fields.each("attributes", MAX_DESCRIPTORS, read_values_map),
        targets=read_targets(fields),
    )


def read_resource(data: Any, place: str = "resource") -> Resource:
    """A resource."""
    fields = Fields.of(data, place)
    return Resource(
        resource_id=fields.object_id("id"),
        name=fields.name("resourceName"),
        ven_id=fields.object_id("venID"),
        attributes=fields.each("attributes", MAX_DESCRIPTORS, read_values_map),
        targets=read_targets(fields),
    )


def read_subscription(data: Any, place: str = "subscription") -> Subscription:
    """A subscription."""
    fields = Fields.of(data, place)
    fields.value("objectOperations")
    return Subscription(
        subscription_id=fields.optional_id("id"),
        client_name=fields.name("clientName"),
        operations=fields.each("objectOperations", MAX_DESCRIPTORS, _object_operation),
        program_id=fields.optional_id("programID"),
        targets=read_targets(fields),
    )


def read_notification(body: bytes | str) -> Notification:
    """What a callback or a broker delivered, as it came.

    The reference server writes ``object_type`` for ``objectType``; both are read.

    Raises:
        MessageError: it is not JSON, or a field is missing or wrong.
    """
    fields = Fields.of(decode(body, "notification"), "notification")
    kind = fields.name("objectType" if fields.has("objectType") else "object_type")
    content = Fields.of(fields.value("object"), "notification.object").data
    event = read_event(content, "notification.object") if kind == "EVENT" else None
    return Notification(kind, _operation(fields.value("operation"), fields.at("operation")), content, event)


def _object_operation(data: Any, place: str) -> ObjectOperation:
    fields = Fields.of(data, place)
    return ObjectOperation(
        objects=fields.each("objects", MAX_PAYLOADS, read_name),
        operations=fields.each("operations", MAX_PAYLOADS, _operation),
        callback_url=text(fields.value("callbackUrl"), fields.at("callbackUrl")),
        bearer_token=fields.text("bearerToken"),
    )


def _operation(value: Any, place: str) -> Operation:
    found = text(value, place, MAX_NAME, 1)
    operation = _BY_VERB.get(found) or Operation.__members__.get(found)
    if operation is None:
        raise MessageError(place, f"{shown(found)} is none of {', '.join(Operation)}")
    return operation
