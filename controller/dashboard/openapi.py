"""The OpenAPI 3.1 document of the controller's whole API: a table of operations, and what they share; pure.

Answers may gain keys in later versions, so their schemas leave further ones open; what is sent may not have others.
"""

from __future__ import annotations

import re

from controller.dashboard.openapi_parts import TEXT, Json, Operation, ref
from controller.dashboard.openapi_schemas import SCHEMAS

API_VERSION = "1.0.0"
_PATH_NAME = re.compile(r"\{(\w+)\}")
_SAFE = ("get",)
_TAGGED = {"If-None-Match": "the ETag that the caller has"}
_MATCH = {"If-Match": "refused with 412 where the targets have another ETag now"}
_SOURCE = {"source": "of one source alone, e.g. openadr:NAME"}
_BODY = (400, 413, 415)
_EVENT_EXAMPLE = {"limit_w": 9000, "duration_s": 1800, "ramp_s": 30, "event_id": "spring"}
_TARGET_EXAMPLE = {"target_w": 9000, "duration_s": 600, "correlation_id": "feed-a-17"}
_SCHEDULE_EXAMPLE = {"targets": [{"target_w": 11000}, {"target_w": 9000, "start_in_s": 3600, "duration_s": 1800}]}
_DERATE_EXAMPLE = {"shed_w": 20000, "duration_s": 14400, "reason": "a chiller is out", "derate_id": "chiller"}
_HOOK_EXAMPLE = {"url": "https://hooks.example/ramps", "token": "a-secret-of-the-receiver"}

_EVENTS: dict[tuple[str, str], Operation] = {
    ("get", "/v1/events"): Operation(
        "listEvents",
        "events",
        "Calls pending, active, or ended within the last hour",
        {200: ("the calls", ref("Events"))},
        queries=_SOURCE,
    ),
    ("post", "/v1/events"): Operation(
        "addEvent",
        "events",
        "Curtail: one of limit_w, below_baseline_w, below_baseline_frac, below_present_w, level, with duration_s; or "
        "intervals",
        {200: ("what would hold: a dry run", ref("Event")), 201: ("taken in, and decided upon", ref("Event"))},
        (*_BODY, 409, 503),
        (ref("EventRequest"), _EVENT_EXAMPLE),
    ),
    ("get", "/v1/events/{event_id}"): Operation(
        "showEvent", "events", "One call", {200: ("the call", ref("Event"))}, (404, 409), queries=_SOURCE
    ),
    ("delete", "/v1/events/{event_id}"): Operation(
        "cancelEvent",
        "events",
        "End a call of an operator now",
        {200: ("the call, ended", ref("Event"))},
        (404, 409, 503),
        queries=_SOURCE,
    ),
    ("post", "/v1/events/{event_id}/opt-out"): Operation(
        "optOut",
        "events",
        "Do not follow a call any more, or with down_to_w no lower than that",
        {200: ("the call", ref("Event"))},
        (*_BODY, 404, 409, 503),
        (ref("OptOut"), {"reason": "a customer's launch", "down_to_w": 30000}),
        queries=_SOURCE,
    ),
    ("post", "/v1/events/{event_id}/opt-in"): Operation(
        "optIn",
        "events",
        "Follow a call again, and all of it",
        {200: ("the call", ref("Event"))},
        (404, 409, 503),
        queries=_SOURCE,
    ),
}
_LOAD_TARGET: dict[tuple[str, str], Operation] = {
    ("get", "/v1/load-target"): Operation(
        "showLoadTarget",
        "load target",
        "The target in force, the next one, and how the site stands to it",
        {200: ("with an ETag", ref("LoadTarget"))},
    ),
    ("put", "/v1/load-target"): Operation(
        "setLoadTarget",
        "load target",
        "Put a target over the span that it covers; null goes back to the default",
        {200: ("what holds now", ref("LoadTarget"))},
        (*_BODY, 409, 412, 503),
        (ref("TargetRequest"), _TARGET_EXAMPLE),
        headers=_MATCH,
    ),
    ("delete", "/v1/load-target"): Operation(
        "clearLoadTarget",
        "load target",
        "Take every target away",
        {200: ("what holds now", ref("LoadTarget"))},
        (412, 503),
        headers=_MATCH,
    ),
    ("get", "/v1/load-target/schedule"): Operation(
        "showLoadSchedule",
        "load target",
        "The targets in force and to come",
        {200: ("with an ETag", ref("Schedule"))},
    ),
    ("put", "/v1/load-target/schedule"): Operation(
        "setLoadSchedule",
        "load target",
        "Replace all targets; of those that overlap the later one in the list wins",
        {200: ("the targets", ref("Schedule"))},
        (*_BODY, 409, 412, 503),
        (ref("ScheduleRequest"), _SCHEDULE_EXAMPLE),
        headers=_MATCH,
    ),
    ("get", "/v1/load-target/metadata"): Operation(
        "loadTargetMetadata",
        "load target",
        "What may be set, on which terms, and what holds now",
        {200: ("terms and limit", ref("Metadata"))},
    ),
    ("get", "/v1/load-target/webhooks"): Operation(
        "listWebhooks",
        "load target",
        "Who is told of ramps",
        {200: ("without addresses' paths and tokens", ref("Webhooks"))},
    ),
    ("post", "/v1/load-target/webhooks"): Operation(
        "addWebhook",
        "load target",
        "Tell an address of ramps",
        {201: ("registered", ref("Webhook"))},
        (*_BODY, 409, 503),
        (ref("WebhookRequest"), _HOOK_EXAMPLE),
    ),
    ("delete", "/v1/load-target/webhooks/{webhook_id}"): Operation(
        "removeWebhook",
        "load target",
        "Tell it no more",
        {200: ("removed", ref("WebhookGone"))},
        (404, 503),
    ),
}
_REST: dict[tuple[str, str], Operation] = {
    ("get", "/v1/allocation"): Operation(
        "showAllocation",
        "routers",
        "The allocation table in force; with `Prefer: wait=N` the answer waits for another, 2 s at most",
        {200: ("with an ETag", ref("Allocation")), 304: ("the caller has it", None)},
        (503,),
        headers={**_TAGGED, "Prefer": "wait=SECONDS (RFC 7240)"},
    ),
    ("get", "/v1/energy-rates"): Operation(
        "showEnergyRates",
        "routers",
        "What a token costs on each instance",
        {200: ("with an ETag", ref("EnergyRates")), 304: ("the caller has them", None)},
        (503,),
        headers=_TAGGED,
    ),
    ("get", "/v1/engine-loads"): Operation(
        "showEngineLoads",
        "routers",
        "What the controller last read of each engine, in columns",
        {200: ("with an ETag", ref("EngineLoads")), 304: ("the caller has them", None)},
        (503,),
        headers=_TAGGED,
    ),
    ("get", "/v1/site"): Operation("showSite", "site", "Whose controller this is", {200: ("the site", ref("Site"))}),
    ("get", "/v1/capability"): Operation(
        "showCapability",
        "site",
        "What can be shed, how soon, for how long and at what cost",
        {200: ("the offers; none, and why, where it is not known", ref("Capability"))},
    ),
    ("get", "/v1/derates"): Operation(
        "listDerates", "site", "When less is offered than could be shed", {200: ("the derates", ref("Derates"))}
    ),
    ("post", "/v1/derates"): Operation(
        "addDerate",
        "site",
        "Offer at most so much for a while; calls in force are followed as they are",
        {201: ("the derate", ref("Derate"))},
        (*_BODY, 409, 503),
        (ref("DerateRequest"), _DERATE_EXAMPLE),
    ),
    ("delete", "/v1/derates/{derate_id}"): Operation(
        "endDerate", "site", "End a derate before its time", {200: ("the derate, ended", ref("Derate"))}, (404, 503)
    ),
    ("get", "/v1/quality"): Operation(
        "showQuality", "quality", "What canaries tell, and who is barred", {200: ("the report", ref("Quality"))}
    ),
    ("post", "/v1/quality/barred/{name}"): Operation(
        "bar",
        "quality",
        "Bar a pool or an instance",
        {201: ("the bar", ref("Barred"))},
        (400, 404, 409, 413, 503),
        (ref("BarRequest"), {"reason": "wrong weights"}),
        body_is_needed=False,
    ),
    ("delete", "/v1/quality/barred/{name}"): Operation(
        "lift", "quality", "Let it serve again", {200: ("the bar that was lifted", ref("Barred"))}, (404, 503)
    ),
    ("get", "/healthz"): Operation(
        "healthz", "operation", "Whether signals are read", {200: ("they are", ref("Healthy"))}, (503,)
    ),
    ("get", "/readyz"): Operation(
        "readyz", "operation", "Whether a decision was made", {200: ("one was", ref("Ready"))}, (503,)
    ),
    ("get", "/metrics"): Operation(
        "metrics", "operation", "Prometheus metrics", {200: ("text exposition", TEXT)}, media="text/plain"
    ),
    ("get", "/openapi.json"): Operation(
        "openapi", "operation", "This document", {200: ("OpenAPI 3.1", {"type": "object"})}
    ),
    ("get", "/"): Operation("page", "page", "The page", {200: ("the page", TEXT)}, media="text/html"),
    ("get", "/static/{name}"): Operation(
        "pageFile", "page", "A file of the page", {200: ("the file", TEXT)}, (404,), media="*/*"
    ),
    ("get", "/api/state"): Operation(
        "showState", "page", "The page's snapshot", {200: ("the snapshot", ref("Snapshot"))}, (503,)
    ),
    ("get", "/api/history"): Operation(
        "showHistory", "page", "The last half hour, as columns", {200: ("the points", ref("History"))}
    ),
    ("get", "/api/stream"): Operation(
        "stream",
        "page",
        "The snapshot once a second, as server-sent events",
        {200: ("events", TEXT)},
        (503,),
        media="text/event-stream",
    ),
}
OPERATIONS = {**_EVENTS, **_LOAD_TARGET, **_REST}


def document() -> Json:
    """The whole document."""
    paths: Json = {}
    for (method, path), operation in OPERATIONS.items():
        names = tuple(_PATH_NAME.findall(path))
        paths.setdefault(path, {})[method] = operation.document(names, changes=method not in _SAFE)
    ramp = {"required": True, "content": {"application/json": {"schema": ref("Ramp")}}}
    error = {"description": "what is wrong", "content": {"application/json": {"schema": ref("Error")}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wattroute controller",
            "version": API_VERSION,
            "summary": "Follows limits of the site's power and tells what it does",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "webhooks": {
            "ramp": {
                "post": {
                    "operationId": "ramp",
                    "summary": "A ramp of the site's power started or ended",
                    "requestBody": ramp,
                    "responses": {"2XX": {"description": "taken"}},
                }
            }
        },
        "components": {
            "schemas": SCHEMAS,
            "responses": {"Error": error},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "needed where a token is configured; else only its own machine may change things",
                }
            },
        },
    }
