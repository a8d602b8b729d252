"""Messages of OpenADR servers: any bytes are an event that is followed, or a told fault that changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

from controller.errors import MessageError
from controller.grid.admit import is_timely
from controller.model.call import Call
from controller.openadr.answers_read import read_problem, read_token, read_token_url
from controller.openadr.descriptors import MAX_COVERED, MAX_DUE, Asker, due
from controller.openadr.draws import Draws
from controller.openadr.events import Terms
from controller.openadr.fields import decode
from controller.openadr.follow import EventDesk
from controller.openadr.messages import Event
from controller.openadr.notifiers import read_broker, read_topics
from controller.openadr.registration_read import read_notification
from controller.openadr.report_inputs import ReportInputs
from controller.openadr.report_messages import write_report
from controller.openadr.reports import Reporting, refusal, report
from controller.openadr.schedule import Hearing

NOW_S = 1_782_925_200.0
TERMS = Terms("openadr:utility", "dr", alerts={"ALERT_GRID_EMERGENCY": 3}, percent_levels={10: 1, 50: 2})
PERIOD = {"start": "2026-07-01T17:00:00Z", "duration": "PT1H", "randomizeStart": "PT5M"}
REPORTING = Reporting("ven-1")
ROLLING = {
    "payloadType": "DEMAND",
    "startInterval": 0,
    "numIntervals": 1,
    "historical": False,
    "frequency": 1,
    "repeat": -1,
    "reportIntervals": "SUB_INTERVALS",
}
AT_ANY_TIME = {"payloadType": "OPERATING_STATE", "frequency": 0}
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
    decoded: tuple[Callable[[bytes], object], ...] = (
        lambda body: read_broker(decode(body, "notifiers")),
        lambda body: read_topics(decode(body, "topics")),
    )
    for read in (read_notification, read_token, read_token_url, *decoded):
        assert fault_of(read, data).isprintable()
    fault = fault_of(lambda body: decode(body, "event"), data)
    assert fault.isprintable(), fault
    if fault:
        return
    content, notes = decode(data, "event"), Notes()
    desk = EventDesk("openadr:utility", notes, Draws(1))
    event_id = desk.take(content, TERMS, frozenset(), NOW_S)
    assert event_id is None or event_id in desk.followed or not notes.submitted
    refused = next((known.refused for known in desk.followed.values()), None)
    to_follow = [call for call in notes.submitted if is_timely(call, NOW_S)]
    assert refused is None or not to_follow
    for known in desk.followed.values():
        if known.event is not None:
            check_reports(known.event)
    for call in to_follow:
        assert call.end_s > NOW_S
    for call in notes.submitted:
        assert call.source == "openadr:utility"


def check_reports(event: Event) -> None:
    """Whatever is asked of reports, some are due in order, of bounded size, and each can be made."""
    late = Hearing(NOW_S, NOW_S + 7200.0)
    for line, descriptor in enumerate(event.report_descriptors[:8]):
        try:
            found = due(Asker(event, late), descriptor)
        except MessageError:
            return
        assert [each.number for each in found] == sorted({each.number for each in found})
        assert len(found) <= MAX_DUE
        for each in found[-2:]:
            assert 0 < len(each.stretches) <= MAX_COVERED
            assert all(stretch.end_s > stretch.start_s for stretch in each.stretches)
            if refusal(descriptor, REPORTING) is None:
                made = report(event, line, each, ReportInputs(late.now_s), REPORTING)
                json.dumps(write_report(made), allow_nan=False)


def openadr_seeds() -> list[bytes]:
    """An event of each kind, and one of each other message."""
    payloads = (
        ("SIMPLE", [1]),
        ("IMPORT_CAPACITY_LIMIT", [10.5, 8]),
        ("DISPATCH_SETPOINT_RELATIVE", [-3]),
        ("CONTROL_LEVEL_OFFSET_PERCENT", [0.25]),
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
            "reportDescriptors": [ROLLING, AT_ANY_TIME, {"payloadType": "USAGE"}] if kind == "PRICE" else None,
        }
        for kind, values in payloads
    ]
    cancelled = dict(events[4], duration="PT0S")
    ahead = dict(events[4], modificationDateTime="4052-07-01T16:00:00.000Z")
    others = [
        cancelled,
        ahead,
        {"objectType": "EVENT", "operation": "UPDATE", "object": events[0]},
        {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600},
        {"tokenURL": "https://auth.example/token"},
        {"MQTT": {"URIS": ["mqtts://broker.example"], "authentication": {"method": "ANONYMOUS"}}},
        {"topics": {"ALL": "events/+"}},
    ]
    return [json.dumps(each).encode() for each in (*events, *others)]
