import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.clock import VirtualClock
from controller.dashboard.api import errors_as_json
from controller.dashboard.events_api import EventsApi, EventsParts
from controller.model.call import Asked, Call, CallInterval, Commitment
from controller.model.programme import Programme
from controller.signals.calls import CallBook
from tests.fakes.capabilities import told as told_capability
from tests.fakes.controller_parts import NOW_S, ListRecorder

CAP = {"limit_w": 9000, "duration_s": 600, "event_id": "e1"}
TERMS = {
    "operator": Programme("operator"),
    "dr": Programme("dr", levels=((2, Commitment(Asked.AT_MOST_W, 7000.0)),), least_w=1000.0),
}


class Bench:
    def __init__(self):
        self.recorder = ListRecorder()
        self.book = CallBook(self.recorder, TERMS)
        self.changes = 0
        self.present_w = 12_000.0
        self.capability = None

    def changed(self):
        self.changes += 1


@pytest.fixture
async def served():
    bench = Bench()
    app = web.Application(middlewares=[errors_as_json])
    parts = EventsParts(
        bench.book, VirtualClock(NOW_S), bench.changed, lambda: bench.present_w, lambda: bench.capability
    )
    EventsApi(parts).add_to(app)
    async with TestClient(TestServer(app)) as client:
        yield client, bench


async def error_of(answer):
    return (await answer.json())["error"]["message"]


def from_the_grid(event_id="g1"):
    interval = CallInterval(NOW_S + 60, NOW_S + 660, Commitment(Asked.AT_MOST_W, 5000.0))
    return Call(event_id, "openadr:vtn", "dr", NOW_S, NOW_S, (interval,))


async def test_a_call_is_entered_shown_and_ended(served):
    client, bench = served
    added = await client.post("/v1/events", json=CAP)
    assert (added.status, added.headers["Location"], bench.changes) == (201, "/v1/events/e1", 1)
    assert [(await added.json())[key] for key in ("state", "limit_w", "ramp_s")] == ["active", 9000.0, 30.0]
    assert (await (await client.get("/v1/events/e1")).json())["event_id"] == "e1"
    assert (await (await client.delete("/v1/events/e1")).json())["state"] == "cancelled"
    assert (await client.delete("/v1/events/e1")).status == 404


async def test_a_level_is_resolved_by_its_programme(served):
    client, _ = served
    added = await client.post("/v1/events", json={"level": 2, "duration_s": 60, "programme": "dr"})
    assert (added.status, (await added.json())["limit_w"]) == (201, 7000.0)
    stranger = await client.post("/v1/events", json={"level": 2, "duration_s": 60, "programme": "nobodys"})
    assert (stranger.status, "programme 'nobodys' is not configured" in await error_of(stranger)) == (400, True)


async def test_an_event_that_ends_within_its_programmes_ramp_is_refused_and_taken_with_a_shorter_one(served):
    client, _ = served
    short = {**CAP, "duration_s": 30}
    told = await client.post("/v1/events", json=short)
    assert told.status == 400
    assert "programme operator allows a ramp of 30 s: its limit would never have to be kept" in await error_of(told)
    assert (await client.post("/v1/events", json={**short, "ramp_s": 10})).status == 201


@pytest.mark.parametrize("is_dry", [False, True])
async def test_a_level_that_the_programme_does_not_know_is_refused(served, is_dry):
    client, bench = served
    body = {"intervals": [{"level": level, "duration_s": 60} for level in (2, 3)], "programme": "dr", "dry_run": is_dry}
    told = await client.post("/v1/events", json=body)
    assert told.status == 400
    assert "programme dr does not say what level 3 asks for; add it to levels, which has 2" in await error_of(told)
    bare = await client.post("/v1/events", json={"level": 1, "duration_s": 60, "dry_run": is_dry})
    assert "programme operator does not say what level 1 asks for; add it to levels, which are empty" in (
        await error_of(bare)
    )
    assert (bench.book.calls(NOW_S), bench.changes) == ((), 0)


async def test_a_dry_run_tells_and_keeps_nothing(served):
    client, bench = served
    told = await client.post("/v1/events", json={**CAP, "dry_run": True})
    body = await told.json()
    assert (told.status, body["dry_run"], body["limit_w"], body["present_w"]) == (200, True, 9000.0, 12_000.0)
    assert (bench.book.calls(NOW_S), bench.changes, bench.recorder.kept) == ((), 0, [])
    insane = await client.post("/v1/events", json={**CAP, "limit_w": 1, "programme": "dr", "dry_run": True})
    assert insane.status == 400
    assert sum(bench.book.refused.values()) == 0, "a rehearsal is no refusal"


async def test_a_dry_run_tells_whether_it_can_be_kept(served):
    client, bench = served
    at_once = {**CAP, "dry_run": True}
    unknown = await (await client.post("/v1/events", json=at_once)).json()
    assert (unknown["is_achievable"], unknown["achievable_w"]) == (None, None)
    bench.capability = told_capability()
    for limit_w, kept, cost in ((11_000, True, "none"), (9600, True, "held"), (9000, False, None)):
        told = await (await client.post("/v1/events", json={**at_once, "limit_w": limit_w})).json()
        assert (told["is_achievable"], told["qos_cost"], told["achievable_w"]) == (kept, cost, 9500.0)
    entered = await (await client.post("/v1/events", json=CAP)).json()
    assert "is_achievable" not in entered, "what is entered is followed as far as it goes"


async def test_a_call_of_the_grid_is_opted_out_of_but_not_cancelled(served):
    client, bench = served
    bench.book.submit(from_the_grid(), NOW_S)
    refused = await client.delete("/v1/events/g1")
    assert (refused.status, "opt out of it instead" in await error_of(refused)) == (409, True)
    out = await client.post("/v1/events/g1/opt-out", json={"reason": "a launch"})
    assert (await out.json())["opted_out"] == "a launch"
    assert bench.book.current(NOW_S) == ()
    back = await client.post("/v1/events/g1/opt-in", json={})
    assert ((await back.json())["opted_out"], len(bench.book.current(NOW_S))) == (None, 1)
    assert bench.changes == 2


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": 7}, {"reason": "x" * 501}, []])
async def test_an_opt_out_says_why(served, body):
    client, bench = served
    bench.book.submit(from_the_grid(), NOW_S)
    answer = await client.post("/v1/events/g1/opt-out", json=body)
    assert (answer.status, "of 1 to 500 characters" in await error_of(answer)) == (400, True)


async def test_an_id_that_two_sources_use_wants_its_source(served):
    client, bench = served
    bench.book.submit(from_the_grid("e1"), NOW_S)
    await client.post("/v1/events", json=CAP)
    both = await client.get("/v1/events/e1")
    assert (both.status, "add ?source=NAME" in await error_of(both)) == (409, True)
    one = await client.get("/v1/events/e1", params={"source": "openadr:vtn"})
    assert (await one.json())["programme"] == "dr"
    listed = await (await client.get("/v1/events", params={"source": "operator"})).json()
    assert [event["source"] for event in listed["events"]] == ["operator"]


async def test_wrong_requests_say_what_is_wrong(served):
    client, bench = served
    broken = await client.post("/v1/events", data=b"{", headers={"Content-Type": "application/json"})
    assert (broken.status, "not JSON" in await error_of(broken)) == (400, True)
    form = await client.post("/v1/events", data={"limit_w": "9"})
    assert (form.status, "application/json" in await error_of(form)) == (415, True)
    assert (await client.get("/v1/events/none")).status == 404
    await client.post("/v1/events", json=CAP)
    assert (await client.post("/v1/events", json=CAP)).status == 409
    assert (await client.post("/v1/events/e1/opt-out", data=b"x")).status == 415
    assert bench.changes == 1


async def test_a_call_is_followed_in_part_and_whole_again(served):
    client, bench = served
    bench.book.submit(from_the_grid(), NOW_S)
    url = "/v1/events/g1/opt-out"
    part = await (await client.post(url, json={"reason": "a launch", "down_to_w": 8000})).json()
    assert (part["state"], part["opted_out"], part["limit_w"]) == ("pending", None, 8000.0)
    assert part["in_part"] == {"down_to_w": 8000.0, "since_s": NOW_S, "reason": "a launch"}
    assert (part["limits"][0]["asked_limit_w"], bench.changes) == (5000.0, 1)
    whole = await (await client.post("/v1/events/g1/opt-in", json={})).json()
    assert (whole["in_part"], whole["limit_w"], whole["limits"][0]["asked_limit_w"]) == (None, 5000.0, None)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"down_to_w": 0}, "down to 0 W, which is not above 0 and within 1000 to 1e\\+09 W"),
        ({"down_to_w": 500}, "down to 500 W"),
        ({"down_to_w": -1}, "down_to_w is -1, outside 0 to 1e\\+09"),
        ({"down_to_w": "30kW"}, "down_to_w is '30kW'; write a number"),
        ({"down_to_w": None}, "down_to_w is missing; write a number"),
        ({"down_to_w": True}, "down_to_w is True"),
        ({"down_to_kw": 30}, "unknown key 'down_to_kw'; known are down_to_w, reason"),
    ],
)
async def test_a_part_that_is_none_never_becomes_the_whole(served, more, says):
    client, bench = served
    bench.book.submit(from_the_grid(), NOW_S)
    answer = await client.post("/v1/events/g1/opt-out", json={"reason": "a launch", **more})
    assert answer.status == 400
    assert re.search(says, await error_of(answer))
    (limit,) = bench.book.current(NOW_S)
    assert (limit.limit_w, bench.changes) == (5000.0, 0)


async def test_what_is_unknown_or_over_is_not_followed_in_part(served):
    client, _bench = served
    part = {"reason": "a launch", "down_to_w": 8000}
    assert (await client.post("/v1/events/none/opt-out", json=part)).status == 404
    await client.post("/v1/events", json=CAP)
    await client.delete("/v1/events/e1")
    over = await client.post("/v1/events/e1/opt-out", json=part)
    assert (over.status, "is over" in await error_of(over)) == (404, True)
