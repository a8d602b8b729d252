import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.clock import VirtualClock
from controller.dashboard.api import errors_as_json
from controller.dashboard.load_target_api import LoadTargetApi, LoadTargetParts
from controller.model.call import Asked, Call, CallInterval, Commitment
from controller.model.programme import Programme
from controller.signals.calls import CallBook
from tests.fakes.controller_parts import NOW_S, ListRecorder

TERMS = {"operator": Programme("operator"), "feed": Programme("feed", least_w=1000.0, most_w=20_000.0, ramp_s=60.0)}
URL = "/v1/load-target"


class Bench:
    def __init__(self, programme="feed"):
        self.recorder = ListRecorder()
        self.book = CallBook(self.recorder, TERMS)
        self.clock = VirtualClock(NOW_S)
        self.changes = 0
        self.present_w = 12_000.0
        self.programme = programme

    def changed(self):
        self.changes += 1

    def app(self):
        app = web.Application(middlewares=[errors_as_json])
        LoadTargetApi(
            LoadTargetParts(
                self.book,
                self.clock,
                self.changed,
                lambda: self.present_w,
                site="north",
                programme=self.programme,
                standing_limit_w=15_000.0,
            )
        ).add_to(app)
        return app


@pytest.fixture
async def served():
    bench = Bench()
    async with TestClient(TestServer(bench.app())) as client:
        yield client, bench


async def told(answer, status=200):
    body = await answer.json()
    assert answer.status == status, body
    return body


async def test_a_target_is_set_followed_and_taken_away(served):
    client, bench = served
    before = await told(await client.get(URL))
    assert (before["target"], before["status"], before["limit_w"]) == (None, "no_target", 15_000.0)
    assert before["limit_of"]["source"] == "site"
    put = await told(await client.put(URL, json={"target_w": 9000, "correlation_id": "n-1"}))
    assert put["target"] == {"target_w": 9000.0, "start_s": NOW_S, "end_s": None, "correlation_id": "n-1"}
    assert (put["status"], put["limit_w"], put["limit_of"]["source"], bench.changes) == (
        "ramping",
        9000.0,
        "load_target",
        1,
    )
    assert [event.limit_w for event in bench.book.current(NOW_S)] == [9000.0]
    bench.clock.advance(61.0)
    assert (await told(await client.get(URL)))["status"] == "over"
    bench.present_w = 8999.0
    assert (await told(await client.get(URL)))["status"] == "following"
    bench.present_w = None
    assert (await told(await client.get(URL)))["status"] == "power_unknown"
    gone = await told(await client.delete(URL))
    assert (gone["target"], gone["limit_w"], bench.book.current(bench.clock.wall_s())) == (None, 15_000.0, ())


async def test_null_goes_back_to_the_default_over_its_span_alone(served):
    client, _ = served
    await told(await client.put(URL, json={"target_w": 9000}))
    await told(await client.put(URL, json={"target_w": None, "start_in_s": 60, "duration_s": 60}))
    held = (await told(await client.get(f"{URL}/schedule")))["targets"]
    assert [(t["start_s"] - NOW_S, t["end_s"] and t["end_s"] - NOW_S) for t in held] == [(0.0, 60.0), (120.0, None)]
    assert (await told(await client.put(URL, json={"target_w": None})))["target"] is None


async def test_a_target_that_is_set_again_is_no_change(served):
    client, bench = served
    for _ in range(50):
        await told(await client.put(URL, json={"target_w": 9000, "correlation_id": "keep-alive"}))
        bench.clock.advance(1.0)
    assert bench.changes == 1
    assert (await told(await client.get(URL)))["target"]["start_s"] == NOW_S


async def test_a_tighter_call_of_another_is_told_as_the_limit_in_force(served):
    client, bench = served
    interval = CallInterval(NOW_S, NOW_S + 600, Commitment(Asked.AT_MOST_W, 5000.0))
    bench.book.submit(Call("g1", "openadr:vtn", "operator", NOW_S, NOW_S, (interval,)), NOW_S)
    put = await told(await client.put(URL, json={"target_w": 9000}))
    assert (put["limit_w"], put["limit_of"]) == (
        5000.0,
        {"source": "openadr:vtn", "event_id": "openadr:vtn/g1", "programme": "operator"},
    )


async def test_an_opt_out_is_told_and_outlasts_a_new_target(served):
    client, bench = served
    await told(await client.put(URL, json={"target_w": 9000}))
    bench.book.opt_out("load_target", "load-target", "a launch", NOW_S)
    put = await told(await client.put(URL, json={"target_w": 8000}))
    assert (put["status"], put["opted_out"], put["limit_w"]) == ("opted_out", "a launch", 15_000.0)


async def test_what_the_programme_calls_insane_is_refused_and_changes_nothing(served):
    client, bench = served
    for wrong in (999, 20_001):
        body = await told(await client.put(URL, json={"target_w": wrong}), 400)
        assert "outside 1000 to 20000 W" in body["error"]["message"]
    await told(await client.put(URL, data=b"{"), 415)
    await told(await client.put(URL, data=b"{", headers={"Content-Type": "application/json"}), 400)
    assert bench.changes == 0
    assert (await told(await client.put(URL, json={"target_w": 9000})))["target"]["target_w"] == 9000.0


async def test_too_many_changes_within_a_minute_are_refused(served):
    client, _ = served
    for n in range(30):
        await told(await client.put(URL, json={"target_w": 9000 + n}))
    assert (
        "changes within a minute"
        in (await told(await client.put(URL, json={"target_w": 5000}), 409))["error"]["message"]
    )
    assert (await told(await client.get(URL)))["target"]["target_w"] == 9029.0


async def test_a_schedule_is_replaced_and_changed_only_as_it_was_read(served):
    client, bench = served
    day = {"targets": [{"target_w": 9000, "duration_s": 60}, {"target_w": 7000, "start_in_s": 60, "duration_s": 60}]}
    answer = await client.put(f"{URL}/schedule", json=day)
    assert [t["target_w"] for t in (await told(answer))["targets"]] == [9000.0, 7000.0]
    tag = answer.headers["ETag"]
    await told(await client.put(URL, json={"target_w": 5000}, headers={"If-Match": tag}))
    late = await client.put(f"{URL}/schedule", json=day, headers={"If-Match": tag})
    assert "changed since" in (await told(late, 412))["error"]["message"]
    assert (await client.delete(URL, headers={"If-Match": tag})).status == 412
    assert (await told(await client.put(f"{URL}/schedule", json={"targets": []})))["targets"] == []
    assert bench.book.current(NOW_S) == ()


async def test_of_racing_targets_each_is_taken_and_the_last_one_holds(served):
    client, bench = served
    spans = [{"target_w": 9000 + n, "start_in_s": 100 * n, "duration_s": 50} for n in range(10)]
    answers = await asyncio.gather(*(client.put(URL, json=span) for span in spans))
    assert {answer.status for answer in answers} == {200}
    held = (await told(await client.get(f"{URL}/schedule")))["targets"]
    assert [t["target_w"] for t in held] == [9000.0 + n for n in range(10)]
    assert len({payload["kept"]["call"]["modified_s"] for payload in bench.recorder.of("call")}) == 10


async def test_targets_outlast_the_process(served):
    client, bench = served
    await told(await client.put(URL, json={"target_w": 9000, "correlation_id": "n-1"}))
    after = Bench()
    after.book.restore(bench.recorder.of("call"), NOW_S)
    async with TestClient(TestServer(after.app())) as again:
        body = await told(await again.get(URL))
        assert (body["target"]["target_w"], body["target"]["correlation_id"]) == (9000.0, "n-1")
        assert (await told(await again.put(URL, json={"target_w": 8000})))["target"]["target_w"] == 8000.0


async def test_metadata_tell_what_may_be_set(served):
    client, _ = served
    body = await told(await client.get(f"{URL}/metadata"))
    assert {
        key: body[key] for key in ("site", "programme", "least_w", "most_w", "default_w", "ramp_s", "present_w")
    } == {
        "site": "north",
        "programme": "feed",
        "least_w": 1000.0,
        "most_w": 20_000.0,
        "default_w": 15_000.0,
        "ramp_s": 60.0,
        "present_w": 12_000.0,
    }


async def test_a_target_that_is_followed_in_part_is_judged_by_that(served):
    client, bench = served
    await told(await client.put(URL, json={"target_w": 2000}))
    bench.book.follow_in_part("load_target", "load-target", 14_000.0, "a launch", NOW_S)
    put = await told(await client.put(URL, json={"target_w": 3000}))
    assert (put["status"], put["limit_w"], put["in_part"]["down_to_w"]) == ("following", 14_000.0, 14_000.0)
