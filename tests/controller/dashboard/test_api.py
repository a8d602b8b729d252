import asyncio

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.actuators.allocation_http import AllocationBoard
from controller.actuators.instance_tasks import InstanceTasks
from controller.actuators.loads_board import LoadsBoard
from controller.actuators.rates_board import RatesBoard
from controller.clock import VirtualClock
from controller.dashboard.api import Api, ApiParts
from controller.dashboard.board import Board
from controller.loop.custody import Custody
from controller.loop.runner import Runner, RunnerParts
from controller.metrics.telemetry import Telemetry
from controller.service.serving import build_app
from controller.signals.calls import CallBook
from controller.signals.canary_setup import CanarySetup
from controller.signals.latency import Latency
from controller.signals.present import Present
from controller.tick import Memory
from router.contract import decode
from router.contract_loads import EngineState, InstanceLoad, Loads, decode_loads
from router.contract_rates import EnergyRate, EnergyRates, decode_rates
from tests.fakes.controller_parts import NOW_S, ListRecorder, commands, decision, observation, site

SITE = site()
EVENT = {"limit_w": 9000, "duration_s": 600, "event_id": "e1"}


class Source:
    async def read(self, now_s):
        return observation(now_s)


class Bench:
    def __init__(self):
        self.clock = VirtualClock(NOW_S)
        self.recorder = ListRecorder()
        self.allocation = AllocationBoard()
        self.telemetry = Telemetry(SITE)
        self.board = Board(SITE, "act", Latency, 15.0)
        tasks = InstanceTasks((), self.clock)
        parts = RunnerParts(
            source=Source(),
            decide=lambda memory, seen: decision(SITE, seen.now_s, memory),
            publishers=(self.allocation,),
            instances=tasks,
            custody=Custody(Present(SITE), tasks, self.telemetry),
            recorder=self.recorder,
            telemetry=self.telemetry,
            clock=self.clock,
        )
        self.runner = Runner(parts, Memory.initial(SITE, NOW_S))
        self.calls = CallBook(self.recorder)
        self.rates = RatesBoard()
        self.loads = LoadsBoard()
        self.quality = CanarySetup().book(SITE, self.recorder)
        self.api = Api(
            ApiParts(
                self.allocation,
                self.rates,
                self.loads,
                self.calls,
                self.runner,
                self.telemetry,
                self.clock,
                self.quality,
            )
        )


@pytest.fixture
async def served():
    bench = Bench()
    async with TestClient(TestServer(build_app(bench.api, bench.board, None))) as client:
        yield client, bench


async def error_of(answer):
    return (await answer.json())["error"]["message"]


async def test_the_allocation_with_its_tag(served):
    client, bench = served
    empty = await client.get("/v1/allocation")
    assert (empty.status, empty.headers["Retry-After"]) == (503, "1")
    assert "static weights" in await error_of(empty)
    await bench.allocation.apply(commands(sequence=8))
    full = await client.get("/v1/allocation")
    assert (full.status, full.headers["ETag"]) == (200, '"8"')
    assert decode(await full.read()).sequence == 8
    for tag in ('"8"', 'W/"8"', '"7", "8"'):
        unchanged = await client.get("/v1/allocation", headers={"If-None-Match": tag})
        assert (unchanged.status, await unchanged.read()) == (304, b"")
    assert (await client.get("/v1/allocation", headers={"If-None-Match": '"7"'})).status == 200
    bench.clock.advance(60.0)
    assert (await client.get("/v1/allocation")).status == 503


async def test_who_prefers_to_wait_is_told_of_the_next_table_at_once(served):
    client, bench = served
    await bench.allocation.apply(commands(sequence=8))
    asks = {"If-None-Match": '"8"', "Prefer": "wait=3600"}
    coming = asyncio.ensure_future(client.get("/v1/allocation", headers=asks))
    await asyncio.sleep(0.05)
    assert not coming.done()
    await bench.allocation.apply(commands(sequence=9))
    answer = await coming
    assert (answer.status, answer.headers["ETag"], answer.headers["Preference-Applied"]) == (200, '"9"', "wait=2")


async def test_who_prefers_to_wait_is_told_of_the_first_table_at_once(served):
    client, bench = served
    coming = asyncio.create_task(client.get("/v1/allocation", headers={"If-None-Match": '"8"', "Prefer": "wait=3600"}))
    await asyncio.sleep(0.05)
    assert not coming.done()
    await bench.allocation.apply(commands(sequence=9))
    answer = await coming
    assert (answer.status, answer.headers["ETag"]) == (200, '"9"')


async def test_the_wait_for_a_first_table_is_bounded(served):
    client, _ = served
    assert (await client.get("/v1/allocation", headers={"Prefer": "wait=0"})).status == 503


async def test_the_wait_for_another_table_is_bounded(served):
    client, bench = served
    await bench.allocation.apply(commands(sequence=8))
    answer = await client.get("/v1/allocation", headers={"If-None-Match": '"8"', "Prefer": "wait=0"})
    assert (answer.status, answer.headers["Preference-Applied"]) == (304, "wait=0")
    new = await client.get("/v1/allocation", headers={"If-None-Match": '"7"', "Prefer": "wait=3600"})
    assert (new.status, "Preference-Applied" in new.headers) == (200, False)


async def test_an_event_from_entry_to_cancellation(served):
    client, bench = served
    added = await client.post("/v1/events", json=EVENT)
    assert (added.status, added.headers["Location"]) == (201, "/v1/events/e1")
    assert (await added.json())["state"] == "active"
    (listed,) = (await (await client.get("/v1/events")).json())["events"]
    assert (listed["event_id"], listed["limit_w"], listed["ramp_s"]) == ("e1", 9000.0, 30.0)
    assert bench.recorder.of("call")[0]["action"] == "added"
    cancelled = await client.delete("/v1/events/e1")
    assert (cancelled.status, (await cancelled.json())["state"]) == (200, "cancelled")
    assert (await client.delete("/v1/events/e1")).status == 404


async def test_wrong_requests_say_what_is_wrong(served):
    client, _ = served
    broken = await client.post("/v1/events", data=b"{", headers={"Content-Type": "application/json"})
    assert (broken.status, "not JSON" in await error_of(broken)) == (400, True)
    refused = await client.post("/v1/events", json={**EVENT, "limit_w": -5})
    assert (refused.status, "limit_w is -5" in await error_of(refused)) == (400, True)
    form = await client.post("/v1/events", data={"limit_w": "9"})
    assert (form.status, "application/json" in await error_of(form)) == (415, True)
    large = await client.post("/v1/events", data=b" " * 100_000, headers={"Content-Type": "application/json"})
    assert (large.status, "65536 bytes" in await error_of(large)) == (413, True)
    await client.post("/v1/events", json=EVENT)
    assert (await client.post("/v1/events", json=EVENT)).status == 409
    absent = await client.get("/nowhere")
    assert (absent.status, (await absent.json())["error"]["code"]) == (404, 404)
    assert (await client.put("/v1/events", json=EVENT)).status == 405


async def test_an_event_that_cannot_be_recorded_is_not_promised(served):
    client, bench = served
    bench.recorder.is_failing = True
    answer = await client.post("/v1/events", json=EVENT)
    assert (answer.status, "the disk is full" in await error_of(answer)) == (503, True)
    assert bench.calls.calls(NOW_S) == ()


async def test_health_and_readiness_follow_the_loop(served):
    client, bench = served
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 503
    task = asyncio.create_task(bench.runner.run())
    while not bench.runner.is_ready:
        await asyncio.sleep(0.001)
    assert (await client.get("/readyz")).status == 200
    bench.runner.stop()
    await task
    assert (await client.get("/healthz")).status == 200
    bench.clock.advance(31.0)
    stalled = await client.get("/healthz")
    assert (stalled.status, "read nothing for" in await error_of(stalled)) == (503, True)


async def test_a_loop_that_never_reads_is_ill(served):
    client, bench = served
    bench.clock.advance(31.0)
    assert (await client.get("/healthz")).status == 503


async def test_an_event_is_decided_upon_at_once(served):
    client, bench = served
    bench.runner._next_tick_s = NOW_S + 1e6
    await client.post("/v1/events", json=EVENT)
    assert bench.runner._next_tick_s == NOW_S


async def test_what_can_be_shed_is_not_known_before_it_is_told(served):
    client, _ = served
    answer = await client.get("/v1/capability")
    assert (answer.status, (await answer.json())["offers"]) == (200, [])


async def test_metrics(served):
    client, _ = served
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "wattroute_controller_tick_seconds_count 0.0" in await answer.text()


async def test_with_a_token_changes_need_it():
    bench = Bench()
    async with TestClient(TestServer(build_app(bench.api, bench.board, "a-long-and-random-token"))) as client:
        assert (await client.post("/v1/events", json=EVENT)).status == 401
        headers = {"Authorization": "Bearer a-long-and-random-token"}
        assert (await client.post("/v1/events", json=EVENT, headers=headers)).status == 201
        assert (await client.delete("/v1/events/e1")).status == 401
        assert [view.call.call_id for view in bench.calls.calls(NOW_S)] == ["e1"]


async def test_an_operator_bars_a_pool_and_lifts_it(served):
    client, bench = served
    assert (await client.delete("/v1/quality/barred/int4")).status == 404
    barred = await client.post("/v1/quality/barred/int4", json={"reason": "new weights"})
    assert (barred.status, (await barred.json())["source"]) == (201, "operator")
    assert (await client.post("/v1/quality/barred/int4")).status == 409
    told = await (await client.get("/v1/quality")).json()
    assert [bar["name"] for bar in told["barred"]] == ["int4"]
    assert told["counts"]["paused"] == "off"
    assert b'wattroute_controller_barred{subject="int4"} 1.0' in bench.telemetry.exposition()
    assert [payload["action"] for payload in bench.recorder.of("quality")] == ["barred"]
    assert (await client.delete("/v1/quality/barred/int4")).status == 200
    assert (await (await client.get("/v1/quality")).json())["barred"] == []
    assert b'wattroute_controller_barred{subject="int4"} 0.0' in bench.telemetry.exposition()


@pytest.mark.parametrize(("name", "body", "status"), [("int9", b"", 404), ("int4", b"{", 400), ("int4", b"[1]", 400)])
async def test_a_bar_that_cannot_be_set_says_why(served, name, body, status):
    client, _ = served
    assert (await client.post(f"/v1/quality/barred/{name}", data=body)).status == status


async def test_engines_loads_are_served_with_a_tag(served):
    client, bench = served
    assert (await client.get("/v1/engine-loads")).status == 503
    loads = Loads(4, 2, (InstanceLoad("bf16-0", EngineState.SERVING, 3, 1, 0.5),))
    bench.loads.post(loads)
    answer = await client.get("/v1/engine-loads")
    assert decode_loads(await answer.read()) == loads
    assert (await client.get("/v1/engine-loads", headers={"If-None-Match": answer.headers["ETag"]})).status == 304
    bench.loads.post(Loads(5, 2, ()))
    assert (await client.get("/v1/engine-loads", headers={"If-None-Match": answer.headers["ETag"]})).status == 200


async def test_energy_rates_are_served_with_a_tag_and_not_after_their_expiry(served):
    client, bench = served
    assert (await client.get("/v1/energy-rates")).status == 503
    rates = EnergyRates(NOW_S, NOW_S + 30, "shared", (EnergyRate("bf16-0", 0.02, 0.5, "direct"),))
    bench.rates.post(rates)
    answer = await client.get("/v1/energy-rates")
    assert decode_rates(await answer.read()) == rates
    again = await client.get("/v1/energy-rates", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    bench.rates.post(EnergyRates(NOW_S - 60, NOW_S - 30, "shared", ()))
    assert (await client.get("/v1/energy-rates")).status == 503
