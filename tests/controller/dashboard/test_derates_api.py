import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.clock import VirtualClock
from controller.dashboard.api import errors_as_json
from controller.dashboard.derates_api import DeratesApi
from controller.errors import StoreError
from controller.signals.derates import DerateBook
from tests.fakes.controller_parts import NOW_S, ListRecorder

WHOLE = {"shed_w": 20_000, "duration_s": 600, "reason": "a chiller is out", "derate_id": "chiller"}


class Recorder(ListRecorder):
    is_full = False

    def record(self, kind, time_s, payload):
        if self.is_full:
            raise StoreError("the disk is full")
        super().record(kind, time_s, payload)


@pytest.fixture
async def served():
    recorder, clock = Recorder(), VirtualClock(NOW_S)
    app = web.Application(middlewares=[errors_as_json])
    DeratesApi(DerateBook(recorder), clock).add_to(app)
    async with TestClient(TestServer(app)) as client:
        yield client, recorder, clock


async def error_of(answer):
    return answer.status, (await answer.json())["error"]["message"]


async def test_a_derate_is_entered_listed_and_ended(served):
    client, _, _ = served
    added = await client.post("/v1/derates", json=WHOLE)
    assert (added.status, (await added.json())["state"]) == (201, "active")
    listed = (await (await client.get("/v1/derates")).json())["derates"]
    assert [(each["derate_id"], each["shed_w"]) for each in listed] == [("chiller", 20_000.0)]
    assert (await (await client.delete("/v1/derates/chiller")).json())["state"] == "ended"
    assert await (await client.get("/v1/derates")).json() == {"derates": []}
    gone = await error_of(await client.delete("/v1/derates/chiller"))
    assert gone == (404, "no derate 'chiller' is in force or to come; GET /v1/derates lists them")


async def test_one_that_is_over_is_listed_no_more(served):
    client, _, clock = served
    await client.post("/v1/derates", json=WHOLE)
    clock.advance(600.0)
    assert await (await client.get("/v1/derates")).json() == {"derates": []}


async def test_what_is_wrong_taken_or_not_recorded_is_not_held(served):
    client, recorder, _ = served
    status, message = await error_of(await client.post("/v1/derates", json={**WHOLE, "shed_w": -1}))
    assert (status, message) == (400, "shed_w is -1, outside 0 to 1e+09")
    assert (await client.post("/v1/derates", data=b"x")).status == 415
    recorder.is_full = True
    assert (await client.post("/v1/derates", json=WHOLE)).status == 503
    recorder.is_full = False
    assert (await client.post("/v1/derates", json=WHOLE)).status == 201
    status, message = await error_of(await client.post("/v1/derates", json=WHOLE))
    assert (status, "exists already" in message) == (409, True)
    recorder.is_full = True
    assert (await client.delete("/v1/derates/chiller")).status == 503
    assert len((await (await client.get("/v1/derates")).json())["derates"]) == 1
