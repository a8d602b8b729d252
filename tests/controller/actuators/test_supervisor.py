import asyncio

import aiohttp
import pytest
from aiohttp import web

from controller.actuators.supervisor import SupervisorDriver
from controller.errors import ActuationError
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId
from tests.fakes.http_stub import closed_url, http_stub


def command(verb: Verb, name: str = "a-0") -> InstanceCommand:
    return InstanceCommand(verb, InstanceId(name), "a test")


@pytest.mark.parametrize("verb", [Verb.START, Verb.STOP])
async def test_start_and_stop_are_passed_on(verb):
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set(f"/instances/a-0/{verb.value}", 202, "POST")
        told = await SupervisorDriver(session, f"{stub.url}/").carry_out(command(verb))
        assert stub.requests == [f"POST /instances/a-0/{verb.value}"]
    assert told == f"{verb.value} accepted by the supervisor"


async def test_a_name_cannot_leave_its_place_in_the_path():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        with pytest.raises(ActuationError, match="status 404"):
            await SupervisorDriver(session, stub.url).carry_out(command(Verb.STOP, "../other"))
        assert stub.requests == ["POST /instances/..%2Fother/stop"]


async def test_refusal_silence_and_absence_are_told():
    async def never(_):
        await asyncio.sleep(30)

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/instances/a-0/start", 409, "POST")
        stub.set("/instances/a-0/stop", never, "POST")
        stub.set("/instances/b-0/stop", "x" * 65_537, "POST")
        driver = SupervisorDriver(session, stub.url, timeout_s=0.2)
        with pytest.raises(ActuationError, match=r"a-0: .*status 409"):
            await driver.carry_out(command(Verb.START))
        with pytest.raises(ActuationError, match=r"no answer within 0\.2 s"):
            await driver.carry_out(command(Verb.STOP))
        with pytest.raises(ActuationError, match=r"b-0: .*/stop: more than 65536 bytes"):
            await driver.carry_out(command(Verb.STOP, "b-0"))
        with pytest.raises(ActuationError, match="cannot be told to wake"):
            await driver.carry_out(command(Verb.WAKE))
        with pytest.raises(ActuationError, match="Cannot connect"):
            await SupervisorDriver(session, closed_url()).carry_out(command(Verb.STOP))


async def test_the_token_is_shown():
    async def guarded(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers.get("Authorization") == "Bearer t" else 401)

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/instances/a-0/stop", guarded, "POST")
        with pytest.raises(ActuationError, match="status 401"):
            await SupervisorDriver(session, stub.url).carry_out(command(Verb.STOP))
        await SupervisorDriver(session, stub.url, headers={"Authorization": "Bearer t"}).carry_out(command(Verb.STOP))
