import dataclasses
import json

import pytest

from controller.dashboard.capability_json import NOT_TOLD, achievable_json, capability_json
from controller.model.capability import Capability
from controller.model.derate import Derate
from controller.model.grid import GridEvent, Precedence
from tests.fakes.capabilities import told
from tests.fakes.controller_parts import NOW_S


def event(limit_w, start_in_s=570.0, lasts_s=600.0, ramp_s=30.0):
    return GridEvent("e", limit_w, NOW_S + start_in_s, NOW_S + start_in_s + lasts_s, NOW_S, ramp_s=ramp_s)


def test_every_offer_is_told_and_is_json():
    body = json.loads(json.dumps(capability_json(told()), allow_nan=False))
    assert (len(body["offers"]), body["present_w"], body["unknown"]) == (12, 12_000.0, None)
    assert {key: body["offers"][5][key] for key in ("lead_s", "qos_cost", "achievable_w", "events_per_day")} == {
        "lead_s": 600.0,
        "qos_cost": "quality",
        "achievable_w": 7500.0,
        "events_per_day": 8.0,
    }


def test_what_is_not_known_is_said_to_be():
    assert capability_json(None) == {"now_s": None, "present_w": None, "unknown": NOT_TOLD, "derates": [], "offers": []}
    blind = capability_json(Capability(NOW_S, None, (), "what the site draws is not measured"))
    assert (blind["present_w"], blind["unknown"]) == (None, "what the site draws is not measured")


@pytest.mark.parametrize(
    ("events", "is_achievable", "achievable_w", "qos_cost"),
    [
        ((event(8000.0),), True, 6500.0, "none"),
        ((event(7000.0),), True, 6500.0, "waiting"),
        ((event(6500.0),), True, 6500.0, "held"),
        ((event(7000.0, lasts_s=36_000.0),), False, 6500.0, None),
        ((event(5000.0),), False, 6500.0, None),
        ((event(9000.0), event(7400.0, start_in_s=1200.0)), True, 6500.0, "waiting"),
        ((event(8000.0, start_in_s=0.0),), False, 9500.0, None),
        ((event(8000.0, start_in_s=0.0, ramp_s=5.0),), False, None, None),
    ],
)
def test_whether_what_is_asked_for_is_within_it(events, is_achievable, achievable_w, qos_cost):
    assert achievable_json(told(), events, NOW_S) == {
        "is_achievable": is_achievable,
        "achievable_w": achievable_w,
        "qos_cost": qos_cost,
        "derate_id": None,
        "capability_unknown": None,
    }


def test_a_limit_that_yields_to_the_classes_is_not_promised_at_their_cost():
    yields = dataclasses.replace(event(7000.0), precedence=Precedence.QOS)
    found = achievable_json(told(), (yields,), NOW_S)
    assert (found["is_achievable"], found["achievable_w"], found["qos_cost"]) == (False, 7500.0, None)


def test_of_what_is_not_known_nothing_is_promised():
    blind = achievable_json(Capability(NOW_S, None, (), "no meter"), (event(8000.0),), NOW_S)
    assert (blind["is_achievable"], blind["achievable_w"], blind["capability_unknown"]) == (None, None, "no meter")
    assert achievable_json(None, (event(8000.0),), NOW_S)["capability_unknown"] == NOT_TOLD
    assert achievable_json(told(), (), NOW_S)["capability_unknown"] == "nothing is asked for"


def test_a_derated_offer_tells_by_what_until_when_why_and_what_it_could_be():
    derate = Derate("fans", 1500.0, NOW_S, NOW_S + 7200.0, "a fan is out", NOW_S)
    known = told().derated((derate,), NOW_S)
    body = json.loads(json.dumps(capability_json(known), allow_nan=False))
    assert [each["derate_id"] for each in body["derates"]] == ["fans"]
    assert body["offers"][0]["derated"] is None
    soon = body["offers"][4]
    assert (soon["lead_s"], soon["qos_cost"], soon["shed_w"], soon["achievable_w"]) == (600.0, "none", 1500.0, 10_500.0)
    assert soon["derated"] == {
        "derate_id": "fans",
        "shed_w": 1500.0,
        "start_s": NOW_S,
        "end_s": NOW_S + 7200.0,
        "reason": "a fan is out",
        "possible_shed_w": 4000.0,
        "possible_achievable_w": 8000.0,
        "possible_duration_s": None,
    }
    asked = achievable_json(known, (event(8000.0),), NOW_S)
    assert (asked["is_achievable"], asked["achievable_w"], asked["derate_id"]) == (False, 10_500.0, "fans")
    later = achievable_json(known, (event(8000.0, start_in_s=7200.0),), NOW_S)
    assert (later["is_achievable"], later["derate_id"]) == (True, None), "it is over by then"
