"""The document says of every route what it really takes and answers."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import aiohttp
import jsonschema
import pytest
from openapi_spec_validator import validate as validate_document

from controller.actuators.allocation_http import AllocationBoard
from controller.dashboard.capability_json import capability_json
from controller.dashboard.derate_request import read_derate
from controller.dashboard.event_request import read_opt_out, read_request
from controller.dashboard.load_target_request import read_schedule, read_target
from controller.dashboard.openapi import OPERATIONS, document
from controller.errors import CallRefused
from controller.grid.ramp_watch import Kind, RampEvent
from controller.loop.ramp_desk import notice_of
from controller.model.capability import Capability, Offer, QosCost
from tests.fakes.assembled import assembled, serving
from tests.fakes.controller_parts import NOW_S, commands

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "openapi.json"
DOCUMENT = document()


def closed(schema):
    """The same, with objects that have no keys but those named: what is answered must stand in the document."""
    if isinstance(schema, dict):
        out = {key: closed(value) for key, value in schema.items()}
        return {**out, "additionalProperties": False} if "properties" in out and "required" in out else out
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


def schema_of(operation_schema, *, is_strict=True):
    components = copy.deepcopy(DOCUMENT["components"])
    whole = {**operation_schema, "components": components}
    return closed(whole) if is_strict else whole


def check(answer, body, method, path):
    """An answer against what the document says of its status; the snapshot may say more."""
    told = DOCUMENT["paths"][path][method]["responses"].get(str(answer.status))
    assert told is not None, f"{method} {path} answered {answer.status}: {body}"
    if "$ref" in told:
        told = DOCUMENT["components"]["responses"]["Error"]
    if "content" not in told:
        return
    (media, content), *_ = told["content"].items()
    assert media in ("*/*", answer.content_type)
    if media == "application/json":
        strict = path not in ("/api/state", "/openapi.json")
        jsonschema.validate(json.loads(body), schema_of(content["schema"], is_strict=strict))


def test_it_is_valid_and_the_committed_one_is_current():
    validate_document(DOCUMENT)
    assert json.loads(COMMITTED.read_text()) == DOCUMENT, "run: make openapi"


def test_operations_have_names_of_their_own():
    names = [operation.name for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))


async def test_every_route_of_the_app_is_in_it_and_no_other(tmp_path):
    async with assembled(tmp_path) as service:
        routes = {
            (route.method.lower(), route.resource.canonical)
            for route in service.app.router.routes()
            if route.method != "HEAD" and route.resource is not None
        }
    assert routes == set(OPERATIONS)


READERS = {
    "addEvent": read_request,
    "setLoadTarget": lambda body: read_target(body, NOW_S),
    "setLoadSchedule": lambda body: read_schedule(body, NOW_S),
    "optOut": read_opt_out,
    "addDerate": lambda body: read_derate(body, (), NOW_S),
}


@pytest.mark.parametrize("operation", [each for each in OPERATIONS.values() if each.body], ids=lambda each: each.name)
def test_examples_are_valid_and_are_taken_in(operation):
    schema, example = operation.body
    jsonschema.validate(example, schema_of(schema))
    if operation.name in READERS:
        assert READERS[operation.name](example)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("addEvent", {"limit_w": -1, "duration_s": 60}),
        ("addEvent", {"limit_w": 1, "duration_s": 60, "nobody": 1}),
        ("addEvent", {"limit_w": 1, "duration_s": 60, "event_id": "a b"}),
        ("setLoadTarget", {}),
        ("setLoadTarget", {"target_w": "9"}),
        ("setLoadTarget", {"target_w": 9, "correlation_id": ""}),
        ("setLoadSchedule", {"targets": [{"target_w": 1}] * 257}),
        ("optOut", {"reason": "x", "down_to_kw": 1}),
        ("addDerate", {"shed_w": -1, "duration_s": 60, "reason": "x"}),
        ("addDerate", {"shed_w": 1, "duration_s": 60}),
    ],
)
def test_what_the_api_refuses_the_document_refuses(name, body):
    operation = next(each for each in OPERATIONS.values() if each.name == name)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, schema_of(operation.body[0], is_strict=False))
    with pytest.raises(CallRefused):
        READERS[name](body)


EVENT = {"limit_w": 9000, "duration_s": 600, "event_id": "e1"}
TARGET = {"target_w": 8000, "correlation_id": "c"}
DERATE = {"shed_w": 500, "duration_s": 600, "reason": "a fan is out", "derate_id": "d1"}
HOOK = {"url": "http://127.0.0.1:9/x", "token": "s3cret-token"}
REQUESTS = [
    ("post", "/v1/events", {}, {**EVENT, "dry_run": True}, 200),
    ("post", "/v1/events", {}, EVENT, 201),
    ("post", "/v1/events", {}, EVENT, 409),
    ("post", "/v1/events", {}, {}, 400),
    ("post", "/v1/events", {}, {"below_baseline_frac": 0.1, "duration_s": 60, "event_id": "e2"}, 201),
    ("get", "/v1/events", {}, None, 200),
    ("get", "/v1/events/{event_id}", {"event_id": "e1"}, None, 200),
    ("get", "/v1/events/{event_id}", {"event_id": "none"}, None, 404),
    ("post", "/v1/events/{event_id}/opt-out", {"event_id": "e1"}, {"reason": "a launch"}, 200),
    ("post", "/v1/events/{event_id}/opt-out", {"event_id": "e1"}, {"reason": "a launch", "down_to_w": 9500}, 200),
    ("get", "/v1/events/{event_id}", {"event_id": "e1"}, None, 200),
    ("post", "/v1/events/{event_id}/opt-in", {"event_id": "e1"}, None, 200),
    ("delete", "/v1/events/{event_id}", {"event_id": "e1"}, None, 200),
    ("get", "/v1/load-target", {}, None, 200),
    ("put", "/v1/load-target", {}, TARGET, 200),
    ("put", "/v1/load-target", {}, {}, 400),
    ("get", "/v1/load-target", {}, None, 200),
    ("put", "/v1/load-target/schedule", {}, {"targets": [TARGET, {**TARGET, "start_in_s": 60, "duration_s": 9}]}, 200),
    ("get", "/v1/load-target/schedule", {}, None, 200),
    ("get", "/v1/load-target/metadata", {}, None, 200),
    ("post", "/v1/load-target/webhooks", {}, HOOK, 201),
    ("get", "/v1/load-target/webhooks", {}, None, 200),
    ("delete", "/v1/load-target/webhooks/{webhook_id}", {"webhook_id": "hook-1"}, None, 200),
    ("delete", "/v1/load-target/webhooks/{webhook_id}", {"webhook_id": "hook-1"}, None, 404),
    ("delete", "/v1/load-target", {}, None, 200),
    ("get", "/v1/site", {}, None, 200),
    ("get", "/v1/capability", {}, None, 200),
    ("post", "/v1/derates", {}, DERATE, 201),
    ("post", "/v1/derates", {}, DERATE, 409),
    ("post", "/v1/derates", {}, {}, 400),
    ("get", "/v1/derates", {}, None, 200),
    ("delete", "/v1/derates/{derate_id}", {"derate_id": "d1"}, None, 200),
    ("delete", "/v1/derates/{derate_id}", {"derate_id": "d1"}, None, 404),
    ("post", "/v1/quality/barred/{name}", {"name": "bf16"}, {"reason": "a test"}, 201),
    ("get", "/v1/quality", {}, None, 200),
    ("delete", "/v1/quality/barred/{name}", {"name": "bf16"}, None, 200),
    ("get", "/v1/allocation", {}, None, None),
    ("get", "/v1/energy-rates", {}, None, None),
    ("get", "/v1/engine-loads", {}, None, None),
    ("get", "/healthz", {}, None, 200),
    ("get", "/readyz", {}, None, None),
    ("get", "/metrics", {}, None, 200),
    ("get", "/openapi.json", {}, None, 200),
    ("get", "/", {}, None, 200),
    ("get", "/static/{name}", {"name": "page.css"}, None, None),
    ("get", "/api/state", {}, None, None),
    ("get", "/api/history", {}, None, 200),
]


async def test_real_answers_are_as_it_says(tmp_path):
    asked = set()
    async with assembled(tmp_path) as service, aiohttp.ClientSession() as session, serving(service) as (url, _):
        for method, path, names, body, status in REQUESTS:
            async with session.request(method, url + path.format(**names), json=body) as answer:
                text = await answer.text()
                assert status in (None, answer.status), f"{method} {path}: {answer.status} {text}"
                check(answer, text, method, path)
            asked.add((method, path))
    assert asked | {("get", "/api/stream")} == set(OPERATIONS)


async def test_the_table_that_routers_read_is_as_it_says():
    board = AllocationBoard()
    await board.apply(commands(sequence=8))
    published = board.current(NOW_S)
    jsonschema.validate(json.loads(published.body), schema_of({"$ref": "#/components/schemas/Allocation"}))


def test_what_can_be_shed_is_as_it_says():
    offer = Offer(30.0, QosCost.HELD, 8e3, 7.5e3, 1e3, None)
    body = capability_json(Capability(NOW_S, 9e3, (offer,)))
    jsonschema.validate(body, schema_of({"$ref": "#/components/schemas/Capability"}))


def test_a_notice_of_a_ramp_is_as_it_says():
    event = RampEvent(Kind.DOWN_ENDED, NOW_S, 9e3, 8e3, NOW_S, met=True)
    body = notice_of(event, "north", "load_target", "load_target/load-target").body
    jsonschema.validate(dict(body), schema_of({"$ref": "#/components/schemas/Ramp"}))
    kinds = DOCUMENT["components"]["schemas"]["Ramp"]["properties"]["event"]["enum"]
    assert kinds == [kind.value for kind in Kind]
