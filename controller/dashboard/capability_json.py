"""What can be shed as the API and the page show it; pure. None is not known, or without end, as the field says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.dashboard.derate_json import derate_json
from controller.model.capability import Capability, Offer, QosCost
from controller.model.grid import GridEvent

Json = dict[str, Any]
NOT_TOLD = "it is not told yet, or too long ago"


def capability_json(told: Capability | None) -> Json:
    """Everything; without offers where it is not known, and why."""
    if told is None:
        return {"now_s": None, "present_w": None, "unknown": NOT_TOLD, "derates": [], "offers": []}
    return {
        "now_s": told.now_s,
        "present_w": told.drawn_w,
        "unknown": told.unknown,
        "derates": [derate_json(each, told.as_of_s) for each in told.derates],
        "offers": [_offer(each) for each in told.offers],
    }


def _offer(offer: Offer) -> Json:
    return {
        "lead_s": offer.lead_s,
        "qos_cost": offer.cost.value,
        "shed_w": offer.shed_w,
        "achievable_w": offer.achievable_w,
        "uncertainty_w": offer.uncertainty_w,
        "duration_s": offer.duration_s,
        "recovery_s": offer.recovery_s,
        "recovery_kwh": None if offer.recovery_j is None else offer.recovery_j / 3.6e6,
        "events_per_day": offer.events_per_day,
        "broken": list(offer.broken),
        "yields": list(offer.yields),
        "derated": _derated(offer),
    }


def _derated(offer: Offer) -> Json | None:
    """By which derate an offer is less than it could be, until when and why, and what it could be."""
    derate, possible = offer.derate, offer.possible
    if derate is None or possible is None:
        return None
    return {
        "derate_id": derate.derate_id,
        "shed_w": derate.shed_w,
        "start_s": derate.start_s,
        "end_s": derate.end_s,
        "reason": derate.reason,
        "possible_shed_w": possible.shed_w,
        "possible_achievable_w": possible.achievable_w,
        "possible_duration_s": possible.duration_s,
    }


def achievable_json(told: Capability | None, events: Sequence[GridEvent], now_s: float) -> Json:
    """Whether what is asked for lies within what can be shed; every value is None where that is not known.

    Each limit must be kept from the end of its ramp until the end of the last one.
    """
    if told is None or told.unknown is not None or not events:
        reason = NOT_TOLD if told is None else told.unknown or "nothing is asked for"
        unknown = dict.fromkeys(("is_achievable", "achievable_w", "qos_cost", "derate_id"))
        return {**unknown, "capability_unknown": reason}
    end_s = max(event.end_s for event in events)
    kept, lowest_w, derates = [], None, set()
    for event in events:
        # An event without an end asks for what nothing known ends.
        lead_s = max(0.0, event.start_s + event.ramp_s - now_s)
        lasts_s = max(0.0, end_s - max(now_s, event.start_s + event.ramp_s))
        kept.append(told.keeping(event.limit_w, lead_s, lasts_s, event.precedence))
        deepest = told.at(lead_s, told.costs(event.precedence)[-1])
        if deepest is not None and (lowest_w is None or deepest.achievable_w > lowest_w):
            lowest_w = deepest.achievable_w
        if deepest is not None and deepest.derate is not None:
            derates.add(deepest.derate.derate_id)
    found = [each for each in kept if each is not None]
    is_achievable = len(found) == len(events)
    costs = list(QosCost)
    dearest = max((each.cost for each in found), key=costs.index) if is_achievable else None
    return {
        "is_achievable": is_achievable,
        "achievable_w": lowest_w,
        "qos_cost": None if dearest is None else dearest.value,
        "derate_id": min(derates, default=None),
        "capability_unknown": None,
    }
