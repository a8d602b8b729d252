"""One suite over every actuator: done, or an `ActuationError` that names its target, within its deadline."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from controller.actuators.allocation_http import AllocationBoard
from controller.actuators.allocation_redis import RedisPublisher
from controller.actuators.engines import EngineDeadlines, EngineDriver
from controller.actuators.instance_tasks import InstanceTasks
from controller.actuators.supervisor import SupervisorDriver
from controller.clock import SystemClock, VirtualClock
from controller.errors import ActuationError
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId
from router.transport.redis_place import RedisPlace
from tests.fakes.controller_parts import NOW_S, commands, pool, present
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.plain_engines import PlainEngines

SHORT = EngineDeadlines(answer_s=0.3, sleep_s=0.5, wake_s=0.5, canary_s=0.3, poll_s=0.01)


def engine_driver(session, url):
    return EngineDriver(PlainEngines(session), present(pool("a", (url,))), SystemClock(), deadlines=SHORT)


def supervisor_driver(session, url):
    return SupervisorDriver(session, url, timeout_s=0.3)


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def drop(request: web.Request) -> web.StreamResponse:
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("make", [engine_driver, supervisor_driver])
@pytest.mark.parametrize("fault", [404, 500, hang, drop, None])
async def test_a_driver_whose_peer_misbehaves_names_the_instance(make, fault):
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        for method in ("GET", "POST"):
            for path in ("/is_sleeping", "/sleep", "/wake_up", "/instances/a-0/start", "/instances/a-0/stop"):
                stub.set(path, fault, method)
        driver = make(session, closed_url() if fault is None else stub.url)
        for verb in driver.verbs:
            async with asyncio.timeout(10):
                with pytest.raises(ActuationError) as caught:
                    await driver.carry_out(InstanceCommand(verb, InstanceId("a-0"), "a test"))
            assert caught.value.target == "a-0"
            assert caught.value.reason


@pytest.mark.parametrize("make", [engine_driver, supervisor_driver])
async def test_a_driver_refuses_what_it_cannot_do(make):
    async with aiohttp.ClientSession() as session:
        driver = make(session, closed_url())
        for verb in set(Verb) - set(driver.verbs):
            with pytest.raises(ActuationError, match=f"cannot be told to {verb.value}"):
                await driver.carry_out(InstanceCommand(verb, InstanceId("a-0"), "a test"))


@pytest.mark.parametrize("make", [AllocationBoard, lambda: InstanceTasks((), VirtualClock(NOW_S))])
async def test_applying_tells_what_was_done_and_may_be_repeated(make):
    actuator = make()
    for _ in range(2):
        lines = await actuator.apply(commands())
        assert all(isinstance(line, str) and line for line in lines)


async def test_a_publisher_that_cannot_publish_names_its_target_without_secrets():
    url = closed_url().replace("http://", "redis://user:secret@")
    publisher = RedisPublisher(RedisPlace(url), VirtualClock(NOW_S), timeout_s=0.5)
    async with asyncio.timeout(10):
        with pytest.raises(ActuationError) as caught:
            await publisher.apply(commands())
    await publisher.close()
    assert caught.value.target.startswith("redis://127.0.0.1:")
    assert "secret" not in str(caught.value)
