"""Schemas of what the API takes in and answers; units stand in the keys; pure."""

from __future__ import annotations

from controller.actuators.webhooks import MAX_TOKEN, MAX_URL, Outcome
from controller.dashboard.event_request import (
    FORMS,
    MAX_DURATION_S,
    MAX_LIMIT_W,
    MAX_RAMP_S,
    MAX_REASON,
    MAX_START_IN_S,
)
from controller.dashboard.load_target_request import MAX_AHEAD_S, MAX_CORRELATION_ID
from controller.dashboard.openapi_capability import CAPABILITY_SCHEMAS, QOS_COST
from controller.dashboard.openapi_parts import (
    ANY,
    COUNT,
    FLAG,
    ID,
    NUMBER,
    TEXT,
    TIME,
    WALL_S,
    Json,
    answer_of,
    list_of,
    nullable,
    number,
    one_of,
    ref,
    request_of,
    text,
    told,
)
from controller.grid.kept import Origin
from controller.grid.load_target import MAX_TARGETS, Following
from controller.model.call import MAX_INTERVALS, Asked
from controller.model.grid import Precedence

_STATE = one_of("pending", "active", "opted_out", "ended", "cancelled")
_MAYBE_W = nullable(NUMBER)
_FORMS = {name: number(least, most) for name, (_, least, most) in FORMS.items()}
_FORMS["level"]["type"] = "integer"
_INTERVAL = {**_FORMS, "duration_s": number(1.0, MAX_DURATION_S)}

_IN_PART = nullable(
    answer_of({"down_to_w": told(NUMBER, "no lower than this it is followed"), "since_s": WALL_S, "reason": TEXT})
)

_LIMIT = answer_of(
    {
        "event_id": TEXT,
        "limit_w": told(NUMBER, "most the site may draw at its metering point"),
        "asked_limit_w": told(_MAYBE_W, "what is asked for, where it is followed in part; null where that is limit_w"),
        "start_s": WALL_S,
        "end_s": WALL_S,
        "notice_s": WALL_S,
        "ramp_s": NUMBER,
        "source": TEXT,
        "programme": TEXT,
        "precedence": nullable(one_of(*(each.value for each in Precedence))),
        "restore_w_per_s": _MAYBE_W,
        "prepare_s": nullable(NUMBER),
        "baseline_w": _MAYBE_W,
        "settlement_interval_s": nullable(NUMBER),
        "settles_on_clock": FLAG,
        "priority": nullable(COUNT),
        "state": _STATE,
    }
)
_EVENT = {
    "event_id": TEXT,
    "state": _STATE,
    "source": told(TEXT, "operator, load_target or openadr:NAME"),
    "programme": TEXT,
    "start_s": WALL_S,
    "end_s": WALL_S,
    "notice_s": WALL_S,
    "limit_w": told(_MAYBE_W, "the limit in force, else the next one, else the last"),
    "ramp_s": nullable(NUMBER),
    "baseline_w": _MAYBE_W,
    "baseline_origin": nullable(one_of(*(each.value for each in Origin))),
    "is_test": FLAG,
    "priority": nullable(COUNT),
    "opted_out": told(nullable(TEXT), "why it is not followed"),
    "in_part": told(_IN_PART, "how far it is followed; null where all of it is, or nothing"),
    "asked": list_of(
        answer_of(
            {
                "start_s": WALL_S,
                "end_s": WALL_S,
                "asked": one_of(*(each.value for each in Asked)),
                "value": NUMBER,
            }
        )
    ),
    "limits": list_of(ref("Limit")),
    "unresolved": list_of(answer_of({"start_s": WALL_S, "reason": TEXT})),
    "raised_to_least": list_of(TEXT),
}
_DRY_RUN = {
    "present_w": _MAYBE_W,
    "dry_run": FLAG,
    "is_achievable": told(nullable(FLAG), "whether what can be shed covers it"),
    "achievable_w": _MAYBE_W,
    "qos_cost": nullable(QOS_COST),
    "derate_id": told(nullable(TEXT), "by which less is offered meanwhile than could be shed"),
    "capability_unknown": nullable(TEXT),
}
_HOLDS = {
    "status": one_of(*(each.value for each in Following)),
    "opted_out": nullable(TEXT),
    "in_part": _IN_PART,
    "present_w": _MAYBE_W,
    "limit_w": told(_MAYBE_W, "what holds: the tightest of all calls and the site's own limit"),
    "limit_of": nullable(answer_of({"source": TEXT, "event_id": nullable(TEXT), "programme": nullable(TEXT)})),
}
_WEBHOOK = {
    "webhook_id": TEXT,
    "origin": told(TEXT, "scheme, host and port; the rest of the address is never shown, nor is the token"),
    "created_s": WALL_S,
    "has_token": FLAG,
    "pending": COUNT,
    "delivered": COUNT,
    "last": nullable(one_of(*(each.value for each in Outcome))),
    "last_s": nullable(NUMBER),
}
_SHARE = {"type": "object"}
_ELECTION = answer_of(
    {
        "role": one_of("leader", "standby"),
        "identity": TEXT,
        "leader": nullable(TEXT),
        "leader_address": nullable(TEXT),
        "has_standby": nullable(FLAG),
        "failure": nullable(TEXT),
    }
)

SCHEMAS: dict[str, Json] = {
    "Error": answer_of({"error": answer_of({"message": TEXT, "type": TEXT, "code": {"type": "integer"}})}),
    "Limit": _LIMIT,
    "Event": answer_of(_EVENT, _DRY_RUN),
    "Events": answer_of({"events": list_of(ref("Event"))}),
    "EventRequest": request_of(
        {},
        {
            **_INTERVAL,
            "intervals": list_of(request_of({"duration_s": _INTERVAL["duration_s"]}, _FORMS), maxItems=MAX_INTERVALS),
            "start": TIME,
            "start_in_s": number(0.0, MAX_START_IN_S),
            "ramp_s": nullable(number(0.0, MAX_RAMP_S)),
            "event_id": nullable(ID),
            "programme": TEXT,
            "is_test": FLAG,
            "priority": nullable(number(0.0, 1e6)),
            "dry_run": FLAG,
        },
    ),
    "OptOut": request_of(
        {"reason": text(MAX_REASON)},
        {"down_to_w": number(0.0, MAX_LIMIT_W, "above 0: follow it no lower than this; without it not at all")},
    ),
    "Target": answer_of(
        {
            "target_w": NUMBER,
            "start_s": WALL_S,
            "end_s": told(nullable(NUMBER), "null for no end"),
            "correlation_id": nullable(TEXT),
        }
    ),
    "TargetRequest": request_of(
        {"target_w": told(nullable(number(0.0, MAX_LIMIT_W)), "null goes back to the default")},
        {
            "start": TIME,
            "start_in_s": number(0.0, MAX_AHEAD_S),
            "end": nullable(TIME),
            "duration_s": nullable(number(1.0, MAX_AHEAD_S)),
            "correlation_id": nullable(text(MAX_CORRELATION_ID)),
        },
    ),
    "LoadTarget": answer_of({"target": nullable(ref("Target")), "next": nullable(ref("Target")), **_HOLDS}),
    "Schedule": answer_of({"targets": list_of(ref("Target"))}),
    "ScheduleRequest": request_of({"targets": list_of(ref("TargetRequest"), maxItems=MAX_TARGETS)}),
    "Metadata": answer_of(
        {
            "site": TEXT,
            "programme": TEXT,
            "least_w": NUMBER,
            "most_w": NUMBER,
            "default_w": _MAYBE_W,
            "ramp_s": NUMBER,
            "restore_w_per_s": _MAYBE_W,
            "precedence": one_of(*(each.value for each in Precedence)),
            "changes_per_min": COUNT,
            "max_targets": COUNT,
            **_HOLDS,
        }
    ),
    "Webhook": answer_of(_WEBHOOK),
    "Webhooks": answer_of({"webhooks": list_of(ref("Webhook"))}),
    "WebhookGone": answer_of({"webhook_id": TEXT, "origin": TEXT}),
    "WebhookRequest": request_of(
        {"url": told(text(MAX_URL), "https anywhere, or http to this machine")},
        {"token": nullable(text(MAX_TOKEN, "sent as bearer token"))},
    ),
    "Ramp": answer_of(
        {
            "id": told(TEXT, "also the header Idempotency-Key: a notice may come twice"),
            "event": one_of("ramp_down_started", "ramp_down_ended", "ramp_up_started", "ramp_up_ended"),
            "site": TEXT,
            "time_s": WALL_S,
            "limit_w": _MAYBE_W,
            "limit_source": nullable(TEXT),
            "limit_event_id": nullable(TEXT),
            "power_w": _MAYBE_W,
            "due_s": nullable(NUMBER),
            "met": told(nullable(FLAG), "of ramp_down_ended; null where the power is not known"),
            "superseded": FLAG,
        }
    ),
    "Site": answer_of({"site": TEXT, "measured_w": _MAYBE_W}),
    "Barred": answer_of({"name": TEXT, "is_pool": FLAG, "source": TEXT, "reason": TEXT, "since_s": WALL_S}),
    "BarRequest": {"type": "object", "properties": {"reason": TEXT}},
    **CAPABILITY_SCHEMAS,
    "Quality": answer_of(
        {
            "pools": list_of({"type": "object"}),
            "barred": list_of(ref("Barred")),
            "counts": _SHARE,
            "is_reference_doubted": FLAG,
            "names": told(list_of(TEXT), "all pools and instances there are"),
        }
    ),
    "Allocation": answer_of(
        {
            "schema_version": COUNT,
            "sequence": COUNT,
            "issued_at_s": WALL_S,
            "expires_at_s": WALL_S,
            "issuer": TEXT,
            "weights": list_of(
                answer_of(
                    {"class_id": TEXT, "pools": list_of(answer_of({"pool_id": TEXT, "weight": NUMBER}))},
                )
            ),
            "caps": list_of(answer_of({"instance_id": TEXT, "max_in_flight": COUNT})),
            "draining": list_of(TEXT),
            "event": nullable(answer_of({"event_id": TEXT, "state": TEXT, "ends_at_s": WALL_S})),
        }
    ),
    "EnergyRates": answer_of(
        {
            "schema_version": COUNT,
            "issued_at_s": WALL_S,
            "expires_at_s": WALL_S,
            "idle": one_of("shared", "kept"),
            "rates": list_of(
                told(
                    list_of(ANY, minItems=5, maxItems=5), "instance, J/prompt token, J/output token, quality, tokens/s"
                )
            ),
        }
    ),
    "EngineLoads": answer_of(
        {
            "schema_version": COUNT,
            "sequence": told(COUNT, "another one at each look"),
            "routers": told(COUNT, "routers that the controller hears of"),
            "instances": list_of(TEXT),
            "states": told(TEXT, "a letter an instance: s serving, z sleeping, - neither"),
            "running": list_of(COUNT),
            "waiting": list_of(COUNT),
            "kv_permille": list_of(COUNT),
        }
    ),
    "Healthy": answer_of({"status": one_of("ok"), "age_s": NUMBER}),
    "Ready": answer_of({"status": one_of("ready")}),
    "Snapshot": answer_of(
        {
            "schema_version": COUNT,
            "now_s": WALL_S,
            "site": TEXT,
            "mode": TEXT,
            "emulated": FLAG,
            "election": nullable(_ELECTION),
        }
    ),
    "History": answer_of({"pools": list_of(TEXT), "columns": {"type": "object"}}),
}
