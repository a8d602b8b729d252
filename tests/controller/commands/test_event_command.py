import json
from datetime import UTC, datetime

import pytest

from controller.commands.controller_client import Access
from controller.commands.event_command import MOST_LIMITS, change, curtail, events, lines_of
from tests.fakes.answering import answering
from tests.fakes.curtail_options import curtail_options

NOW = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)


@pytest.fixture
def controller():
    with answering() as told:
        yield told


def event(**changes):
    limit = {"limit_w": 4e4, "start_s": NOW.timestamp(), "end_s": 2.534e11, "ramp_s": 30.0}
    return {
        "event_id": "e", "state": "active", "source": "operator", "programme": "operator", "is_test": False,
        "limits": [limit], "baseline_w": 5e4, "baseline_origin": "programme", "raised_to_least": [], "unresolved": [],
        "opted_out": None, **changes,
    }  # fmt: skip


def test_what_is_shown_of_an_event():
    assert lines_of(event(dry_run=True, present_w=4.8e4, is_test=True), NOW) == [
        "e: would be active, operator, programme operator, a test",
        "  at most 40.000 kW from 16:30:00 UTC to further notice, met within 30 s",
        "  baseline 50.000 kW (programme)",
        "  drawn now 48.000 kW",
    ]
    amiss = event(
        limits=[], baseline_w=None, opted_out="a launch", raised_to_least=["e#1"],
        unresolved=[{"start_s": NOW.timestamp() + 86_400, "reason": "the baseline is not known"}],
    )  # fmt: skip
    assert lines_of(amiss, NOW)[1:] == [
        "  raised to the least limit of the programme: e#1",
        "  not followed from 2026-07-15 16:30:00: the baseline is not known",
        "  not followed: a launch",
    ]


def test_of_many_limits_the_first_are_shown_and_none_without_length():
    hours = [NOW.timestamp() + n * 3600 for n in range(30)]
    told = [{"limit_w": 4e4, "start_s": at_s, "end_s": at_s + 60, "ramp_s": 30.0} for at_s in hours]
    cut = {"limit_w": 4e4, "start_s": hours[0], "end_s": hours[0], "ramp_s": 30.0}
    past = {"limit_w": 9e4, "start_s": hours[0] - 60, "end_s": hours[0] - 30, "ramp_s": 30.0}
    assert "90.000 kW" in lines_of(event(limits=[past], state="ended"), NOW)[1]
    lines = lines_of(event(limits=[past, cut, *told, cut]), NOW)
    shown = [line for line in lines if "kW from" in line or "more" in line]
    assert len(shown) == MOST_LIMITS + 1
    assert shown[0] == "  at most 40.000 kW from 16:30:00 UTC to 16:31:00, met within 30 s"
    assert shown[-1] == f"  and {30 - MOST_LIMITS} more until 2026-07-15 21:31:00; wattroute events --json tells them"


def test_a_call_is_sent_and_what_it_comes_to_is_shown(controller, capsys):
    controller.answers = {"/v1/events": (201, json.dumps(event()).encode())}
    curtail(Access(controller.url), curtail_options(to="40kW"), {}, NOW)
    method, path, body, _ = controller.seen[-1]
    assert (method, path, json.loads(body)["limit_w"]) == ("POST", "/v1/events", 4e4)
    assert "at most 40.000 kW" in capsys.readouterr().out
    curtail(Access(controller.url), curtail_options(to="40kW", as_json=True), {}, NOW)
    assert json.loads(capsys.readouterr().out)["event_id"] == "e"


def test_events_are_listed_and_changed(controller, capsys):
    controller.answers = {"/v1/events": (200, b'{"events": []}'), "/v1/events/e": (200, json.dumps(event()).encode())}
    access = Access(controller.url)
    events(access, {}, NOW, as_json=False)
    assert "no events are pending" in capsys.readouterr().out
    change(access, {}, NOW, ("DELETE", "/v1/events/e", None))
    assert controller.seen[-1][:2] == ("DELETE", "/v1/events/e")
    assert "at most 40.000 kW" in capsys.readouterr().out
    controller.answers["/v1/events"] = (200, json.dumps({"events": [event()]}).encode())
    events(access, {}, NOW, as_json=True)
    assert json.loads(capsys.readouterr().out)["events"][0]["event_id"] == "e"
    events(access, {}, NOW, as_json=False)
    assert "at most 40.000 kW" in capsys.readouterr().out


def test_what_is_shown_of_an_event_that_is_followed_in_part():
    part = {"down_to_w": 4e4, "since_s": NOW.timestamp(), "reason": "a launch"}
    limit = {**event()["limits"][0], "asked_limit_w": 3e4}
    eased = lines_of(event(in_part=part, limits=[limit]), NOW)
    assert eased[1].startswith("  at most 40.000 kW from 16:30:00 UTC to further notice, ")
    assert eased[1].endswith(", met within 30 s, asked for 30.000 kW")
    assert eased[-1] == "  followed in part, no lower than 40.000 kW since 16:30:00: a launch"
    idle = lines_of(event(in_part={**part, "down_to_w": 3e3}), NOW)
    assert idle[-1] == "  that changes none of its limits: it asks for no less"
    assert "changes none" not in lines_of(event(in_part=part, limits=[]), NOW)[-1]


def test_a_limit_beyond_what_is_offered_names_the_derate():
    beyond = {"is_achievable": False, "achievable_w": 4e4, "qos_cost": None, "capability_unknown": None}
    physical = lines_of(event(**beyond, derate_id=None), NOW)
    assert any(line.endswith("is 40.000 kW") for line in physical)
    derated = lines_of(event(**beyond, derate_id="fans"), NOW)
    assert any(line.endswith("is 40.000 kW; less is offered by derate fans") for line in derated)
