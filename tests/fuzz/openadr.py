"""Messages of OpenADR servers: any bytes are an event that is followed, or a told fault that changes nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from controller.errors import MessageError
from controller.model.call import Call
from controller.openadr.events import Terms
from controller.openadr.fields import decode
from controller.openadr.follow import EventDesk
from controller.openadr.messages_read import read_notification, read_problem, read_token, read_token_url

NOW_S = 1_782_925_200.0
TERMS = Terms("openadr:utility", "dr", alerts={"ALERT_GRID_EMERGENCY": 3})
PERIOD = {"start": "2026-07-01T17:00:00Z", "duration": "PT1H", "randomizeStart": "PT5M"}
USD = {"payloadType": "PRICE", "units": "KWH", "currency": "USD"}


class Notes:
    """A book that notes what it is told."""

    def __init__(self) -> None:
        self.submitted: list[Call] = []

    def submit(self, call: Call, now_s: float, *, raw: str = "") -> Call:
        self.submitted.append(call)
        return call

    def cancel(self, *_: object, **__: object) -> None:
        raise AssertionError("nothing was followed that could be cancelled")


def fault_of(read: Callable[[bytes], object], data: bytes) -> str:
    """What is said of bytes that cannot be read; nothing of those that can."""
    try:
        read(data)
    except MessageError as error:
        return str(error)
    return ""


def check_openadr(data: bytes) -> None:
    """The bytes as an event of a listing, and as what else a server or a callback sends."""
    assert str(read_problem(data)).isprintable()
    for read in (read_notification, read_token, read_token_url):
        assert fault_of(read, data).isprintable()
    fault = fault_of(lambda body: decode(body, "event"), data)
    assert fault.isprintable(), fault
    if fault:
        return
    content, notes = decode(data, "event"), Notes()
    desk = EventDesk("openadr:utility", notes, random.Random(1))
    event_id = desk.take(content, TERMS, frozenset(), NOW_S)
    assert event_id is None or event_id in desk.followed
    refused = next((known.refused for known in desk.followed.values()), None)
    assert refused is None or not notes.submitted
    for call in notes.submitted:
        assert call.end_s > NOW_S
        assert call.source == "openadr:utility"


def openadr_seeds() -> list[bytes]:
    """An event of each kind, and one of each other message."""
    payloads = (
        ("SIMPLE", [1]),
        ("IMPORT_CAPACITY_LIMIT", [10.5, 8]),
        ("DISPATCH_SETPOINT_RELATIVE", [-3]),
        ("PRICE", [0.17]),
        ("ALERT_GRID_EMERGENCY", ["shed"]),
    )
    events = [
        {
            "id": "e-1",
            "programID": "p-1",
            "priority": 0,
            "targets": ["north"] if kind == "PRICE" else None,
            "modificationDateTime": "2026-07-01T16:00:00.000Z",
            "duration": "P9999Y" if kind == "SIMPLE" else None,
            "payloadDescriptors": [USD],
            "intervalPeriod": PERIOD,
            "intervals": [{"id": 0, "payloads": [{"type": kind, "values": values}]}],
        }
        for kind, values in payloads
    ]
    others = [
        {"objectType": "EVENT", "operation": "UPDATE", "object": events[0]},
        {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600},
        {"tokenURL": "https://auth.example/token"},
    ]
    return [json.dumps(each).encode() for each in (*events, *others)]
