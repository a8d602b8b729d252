import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web

from controller.actuators.engines import EngineDeadlines, EngineDriver
from controller.clock import SystemClock
from controller.errors import ActuationError
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId, PoolId
from tests.fakes.controller_parts import pool, present
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.plain_engines import PlainEngines

QUICK = EngineDeadlines(answer_s=0.5, sleep_s=1.0, wake_s=1.0, canary_s=0.5, poll_s=0.01)


class Engine:
    """A vLLM engine's sleep endpoints; takes `polls` looks until a verb has effect."""

    def __init__(self, stub, *, asleep=False, polls=0):
        self.stub, self.asleep, self.polls = stub, asleep, polls
        self.pending = None
        stub.set("/is_sleeping", self.is_sleeping)
        stub.set("/health", 200)
        stub.set("/sleep", self.sleep, "POST")
        stub.set("/wake_up", self.wake, "POST")
        stub.set("/v1/completions", {"choices": [{"text": "2"}]}, "POST")
        stub.set("/collective_rpc", {"results": [None]}, "POST")

    async def is_sleeping(self, _):
        if self.pending is not None:
            self.polls -= 1
            if self.polls <= 0:
                self.asleep, self.pending = self.pending, None
        return web.json_response({"is_sleeping": self.asleep})

    async def sleep(self, _):
        self.pending = True
        return web.Response()

    async def wake(self, request):
        if request.query.get("tags") != "weights":
            self.pending = False
        return web.Response()


def orders(stub):
    return [request for request in stub.requests if request.startswith("POST")]


LEVEL_2 = ["/wake_up?tags=weights", "/collective_rpc", "/wake_up?tags=kv_cache", "/v1/completions"]
DISCARDED = 'vllm:engine_sleep_state{engine="0",model_name="m",sleep_state="discard_all"} 1.0\n'


@contextlib.asynccontextmanager
async def driver_for(url, **options):
    async with aiohttp.ClientSession() as session:
        yield EngineDriver(PlainEngines(session), present(pool("a", (url,))), SystemClock(), deadlines=QUICK, **options)


def command(verb: Verb, name: str = "a-0") -> InstanceCommand:
    return InstanceCommand(verb, InstanceId(name), "a test")


async def test_sleep_is_ordered_and_verified():
    async with http_stub() as stub, driver_for(stub.url) as driver:
        engine = Engine(stub, polls=3)
        assert await driver.carry_out(command(Verb.SLEEP)) == "asleep at level 1"
        assert engine.asleep
        assert "POST /sleep?level=1&mode=wait" in stub.requests


async def test_wake_is_verified_and_a_canary_answers():
    bodies = []

    async def completion(request):
        bodies.append(await request.json())
        return web.json_response({})

    async with http_stub() as stub, driver_for(stub.url, model="qwen") as driver:
        Engine(stub, asleep=True, polls=2)
        stub.set("/v1/completions", completion, "POST")
        assert await driver.carry_out(command(Verb.WAKE)) == "awake, canary answered"
    assert [(body["model"], body["max_tokens"]) for body in bodies] == [("qwen", 1)]


async def test_weights_that_sleep_has_dropped_are_read_anew_before_the_canary():
    bodies = []

    async def rpc(request):
        bodies.append(await request.json())
        return web.json_response({"results": [None]})

    async with http_stub() as stub, driver_for(stub.url, sleep_level=2) as driver:
        Engine(stub)
        stub.set("/collective_rpc", rpc, "POST")
        assert await driver.carry_out(command(Verb.SLEEP)) == "asleep at level 2"
        stub.requests.clear()
        assert await driver.carry_out(command(Verb.WAKE)) == "awake, canary answered"
        assert orders(stub) == [f"POST {path}" for path in LEVEL_2]
    assert bodies == [{"method": "reload_weights"}]


@pytest.mark.parametrize(("metrics", "are_gone"), [(DISCARDED, True), (DISCARDED.replace("1.0", "0.0"), False)])
async def test_whoever_dropped_the_weights_of_a_sleeper_they_are_read_anew(metrics, are_gone):
    async with http_stub() as stub, driver_for(stub.url) as driver:
        Engine(stub, asleep=True)
        stub.set("/metrics", metrics)
        await driver.carry_out(command(Verb.WAKE))
        assert orders(stub) == [f"POST {path}" for path in (LEVEL_2 if are_gone else ("/wake_up", "/v1/completions"))]


async def test_a_reload_that_failed_is_done_again_though_the_engine_calls_itself_awake():
    async with http_stub() as stub, driver_for(stub.url) as driver:
        Engine(stub, asleep=True)
        stub.set("/metrics", DISCARDED)
        stub.set("/collective_rpc", 500, "POST")
        with pytest.raises(ActuationError, match="/collective_rpc: status 500"):
            await driver.carry_out(command(Verb.WAKE))
        assert "POST /v1/completions" not in stub.requests
        stub.requests.clear()
        stub.set("/metrics", DISCARDED.replace("1.0", "0.0"))
        stub.set("/collective_rpc", {"results": [None]}, "POST")
        await driver.carry_out(command(Verb.WAKE))
        assert orders(stub) == [f"POST {path}" for path in LEVEL_2]


async def test_doing_it_twice_is_harmless():
    async with http_stub() as stub, driver_for(stub.url) as driver:
        Engine(stub, asleep=True)
        assert await driver.carry_out(command(Verb.SLEEP)) == "already asleep"
        assert not any(request.startswith("POST") for request in stub.requests)
        Engine(stub, asleep=False)
        assert await driver.carry_out(command(Verb.WAKE)) == "already awake, canary answered"
        assert "POST /wake_up" not in stub.requests


async def test_a_canary_that_fails_fails_the_wake():
    async with http_stub() as stub, driver_for(stub.url) as driver:
        Engine(stub, asleep=True)
        stub.set("/v1/completions", 500, "POST")
        with pytest.raises(ActuationError, match=r"a-0: wake: .*/v1/completions: status 500"):
            await driver.carry_out(command(Verb.WAKE))


async def test_an_engine_that_wants_a_key_answers_the_canary_that_bears_it():
    async def guarded(request):
        is_known = request.headers.get("authorization") == "Bearer of-the-pool"
        return web.json_response({}, status=200 if is_known else 401)

    async with http_stub() as stub:
        for key, name in (("of-the-pool", "a"), ("of-another", "a"), ("of-the-pool", "b")):
            headers = {PoolId(name): {"authorization": f"Bearer {key}"}}
            async with driver_for(stub.url, headers=headers) as driver:
                Engine(stub, asleep=True)
                stub.set("/v1/completions", guarded, "POST")
                if (key, name) == ("of-the-pool", "a"):
                    assert await driver.carry_out(command(Verb.WAKE)) == "awake, canary answered"
                    continue
                with pytest.raises(ActuationError, match=r"status 401: .*pools\[\]\.engine_key_file") as caught:
                    await driver.carry_out(command(Verb.WAKE))
                assert key not in str(caught.value)


async def test_an_engine_that_ignores_the_order_is_given_up_at_the_deadline():
    async with http_stub() as stub, driver_for(stub.url) as driver:
        Engine(stub, polls=10_000)
        with pytest.raises(ActuationError, match="sleep: not done within 1 s"):
            await driver.carry_out(command(Verb.SLEEP))


async def test_an_engine_that_is_not_healthy_after_its_wake_is_waited_for():
    async with http_stub() as stub, driver_for(stub.url) as driver:
        Engine(stub, asleep=True)
        stub.set("/health", 503)
        task = asyncio.create_task(driver.carry_out(command(Verb.WAKE)))
        while "GET /health" not in stub.requests:
            await asyncio.sleep(0.01)
        assert "POST /v1/completions" not in stub.requests
        stub.set("/health", 200)
        assert await task == "awake, canary answered"


@pytest.mark.parametrize(
    ("path", "answer", "told"),
    [
        ("/is_sleeping", None, "VLLM_SERVER_DEV_MODE=1"),
        ("/is_sleeping", 500, "status 500"),
        ("/is_sleeping", "<html>", "not JSON"),
        ("/is_sleeping", {"asleep": True}, "no is_sleeping"),
        ("/is_sleeping", " " * 2_000_000, "/is_sleeping: more than 1048576 bytes"),
        ("/sleep", 400, "status 400"),
        ("/sleep", " " * 2_000_000, "/sleep.*: more than 1048576 bytes"),
    ],
)
async def test_refusals_are_told_with_their_remedy(path, answer, told):
    async with http_stub() as stub, driver_for(stub.url) as driver:
        Engine(stub)
        method = "POST" if path == "/sleep" else "GET"
        stub.set(path, answer, method)
        with pytest.raises(ActuationError, match=told):
            await driver.carry_out(command(Verb.SLEEP))


async def test_unreachable_unknown_and_impossible():
    async with driver_for(closed_url()) as driver:
        with pytest.raises(ActuationError, match="a-0: sleep: http"):
            await driver.carry_out(command(Verb.SLEEP))
        with pytest.raises(ActuationError, match="b-0: there is no such instance"):
            await driver.carry_out(command(Verb.SLEEP, "b-0"))
        with pytest.raises(ActuationError, match="cannot be told to start"):
            await driver.carry_out(command(Verb.START))
