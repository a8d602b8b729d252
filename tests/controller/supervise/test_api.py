import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.actuators.supervisor import SupervisorDriver
from controller.clock import SystemClock
from controller.errors import ActuationError
from controller.model.plan import InstanceCommand, Verb
from controller.signals.supervisor import SupervisorSource
from controller.supervise.api import build_app
from controller.supervise.policy import Phase
from router.contract import InstanceId
from tests.fakes.engine_fleet import engine_fleet, until
from tests.fakes.engine_specs import engine_spec

TOKEN = "t" * 24
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def fleet(tmp_path):
    async with engine_fleet(tmp_path, engine_spec(is_initially_on=False)) as fleet:
        yield fleet


@pytest.fixture
async def client(fleet):
    async with TestClient(TestServer(build_app(fleet, SystemClock(), None))) as client:
        yield client


@pytest.fixture
async def guarded(fleet):
    async with TestClient(TestServer(build_app(fleet, SystemClock(), TOKEN))) as client:
        yield client


async def test_an_engine_is_listed_started_and_stopped(client, fleet):
    engine = fleet.find("a-0")
    (shown,) = await (await client.get("/instances")).json()
    assert shown.pop("since_s") >= 0
    assert shown == {
        "instance_id": "a-0",
        "pool": "a",
        "url": engine.spec.url,
        "gpu_uuids": ["GPU-a-0"],
        "state": "off",
        "wanted": False,
        "pid": None,
        "is_healthy": False,
        "is_adopted": False,
        "is_configured": True,
        "is_changed": False,
        "restarts": 0,
        "last_exit": None,
        "fault": None,
        "log": str(engine.log.path),
        "log_fault": None,
        "log_tail": [],
    }
    answer = await client.post("/instances/a-0/start")
    assert (answer.status, (await answer.json())["wanted"]) == (200, True)
    await until(engine, Phase.SERVING)
    (shown,) = await (await client.get("/instances")).json()
    assert (shown["state"], shown["is_healthy"], shown["pid"]) == ("serving", True, engine.pid)
    assert (await client.post("/instances/a-0/stop")).status == 200
    await until(engine, Phase.OFF)


async def test_an_unknown_engine_is_404(client):
    answer = await client.post("/instances/no%2Fsuch/start")
    assert answer.status == 404
    assert "there are a-0" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Host": "evil.example:9420"}, "the host must be 127.0.0.1 or localhost"),
        ({"Origin": "http://evil.example"}, "no web page is answered"),
    ],
)
async def test_without_a_token_a_web_page_can_order_nothing(client, fleet, headers, message):
    answer = await client.post("/instances/a-0/start", headers=headers)
    assert answer.status == 403
    assert message in (await answer.json())["error"]["message"]
    assert fleet.find("a-0").life.wanted is False


@pytest.mark.parametrize("path", ["/instances", "/metrics"])
async def test_with_a_token_it_must_be_shown_also_to_read(guarded, path):
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = await guarded.get(path, headers=headers)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (await guarded.get(path, headers=BEARER)).status == 200
    assert (await guarded.get("/healthz")).status == 200


async def test_with_a_token_orders_come_from_anywhere(guarded):
    assert (await guarded.post("/instances/a-0/stop")).status == 401
    headers = {**BEARER, "Host": "gpu-1:9420", "Origin": "http://console"}
    assert (await guarded.post("/instances/a-0/stop", headers=headers)).status == 200


async def test_the_controllers_own_driver_and_source_speak_with_it(guarded, fleet):
    url = str(guarded.make_url(""))
    async with aiohttp.ClientSession() as session:
        source = SupervisorSource(session, url, 5.0, BEARER)
        driver = SupervisorDriver(session, url, headers=BEARER)
        assert await source.read() == {"a-0": "off"}
        await driver.carry_out(InstanceCommand(Verb.START, InstanceId("a-0"), "a test"))
        await until(fleet.find("a-0"), Phase.SERVING)
        assert (await source.read(), source.faults) == ({"a-0": "serving"}, ())
        await driver.carry_out(InstanceCommand(Verb.STOP, InstanceId("a-0"), "a test"))
        await until(fleet.find("a-0"), Phase.OFF)
        with pytest.raises(ActuationError, match=r"b-0: .*status 404"):
            await driver.carry_out(InstanceCommand(Verb.START, InstanceId("b-0"), "a test"))
