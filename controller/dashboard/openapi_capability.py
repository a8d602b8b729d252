"""Schemas of what can be shed, and of derates; pure."""

from __future__ import annotations

from controller.dashboard.event_request import MAX_DURATION_S, MAX_LIMIT_W, MAX_REASON, MAX_START_IN_S
from controller.dashboard.openapi_parts import (
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
from controller.model.capability import QosCost

QOS_COST = one_of(*(each.value for each in QosCost))
_OFFER = {
    "lead_s": told(NUMBER, "from the call until it is reached"),
    "qos_cost": QOS_COST,
    "shed_w": NUMBER,
    "achievable_w": NUMBER,
    "uncertainty_w": nullable(NUMBER),
    "duration_s": told(nullable(NUMBER), "null where nothing known ends it"),
    "recovery_s": nullable(NUMBER),
    "recovery_kwh": nullable(NUMBER),
    "events_per_day": told(nullable(NUMBER), "null where nothing limits that"),
    "broken": list_of(TEXT),
    "yields": told(list_of(TEXT), "promises that the plan breaks to keep it, as promise:subject"),
    "derated": nullable(
        answer_of(
            {
                "derate_id": TEXT,
                "shed_w": told(NUMBER, "offered at most"),
                "start_s": WALL_S,
                "end_s": WALL_S,
                "reason": TEXT,
                "possible_shed_w": told(NUMBER, "without the derate"),
                "possible_achievable_w": NUMBER,
                "possible_duration_s": nullable(NUMBER),
            }
        )
    ),
}
_DERATE = {
    "derate_id": TEXT,
    "state": one_of("pending", "active", "ended"),
    "shed_w": told(NUMBER, "reduction that is offered at most; 0 where none is"),
    "start_s": WALL_S,
    "end_s": WALL_S,
    "reason": TEXT,
    "made_s": WALL_S,
    "source": TEXT,
}

CAPABILITY_SCHEMAS: dict[str, Json] = {
    "Capability": answer_of(
        {
            "now_s": nullable(NUMBER),
            "present_w": nullable(NUMBER),
            "unknown": told(nullable(TEXT), "why there are no offers"),
            "derates": list_of(ref("Derate")),
            "offers": list_of(answer_of(_OFFER)),
        }
    ),
    "Derate": answer_of(_DERATE),
    "Derates": answer_of({"derates": list_of(ref("Derate"))}),
    "DerateRequest": request_of(
        {
            "shed_w": number(0.0, MAX_LIMIT_W),
            "duration_s": number(1.0, MAX_DURATION_S),
            "reason": text(MAX_REASON),
        },
        {"start": TIME, "start_in_s": number(0.0, MAX_START_IN_S), "derate_id": nullable(ID)},
    ),
}
