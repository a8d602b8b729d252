import json

import pytest

from tests.fakes.fake_engine import FakeEngine
from tests.fakes.running import RawClient, running

PLAIN = b'{"model":"qwen","messages":[]}'


def get(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize("target", ["/sleep", "//sleep", "/SLEEP", "/v1/../sleep?level=1", "/%73leep/", "/metrics"])
async def test_operators_verbs_do_not_reach_the_engine(method: str, target: str) -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(get(target, method))
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (404, "not_served")
        assert json.loads(reply.body)["error"]["type"] == "NotFoundError"
        await client.send(get("/version"))
        assert (await client.reply()).status == 404
        assert [request.target for request in engine.requests] == ["/version"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_health_is_the_routers_own(method: str) -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(get("/health", method))
        assert (await client.reply(to_head=method == "HEAD")).status == 200
        for _ in range(3):
            router.dispatcher.probed(router.dispatcher.instances()[0].instance_id, ok=False, load=None, now_s=0.0)
        await client.send(get("/health", method))
        reply = await client.reply(to_head=method == "HEAD")
        assert (reply.status, reply.get("x-wattroute-reason")) == (503, "no_instance")
        assert engine.requests == []


async def test_models_are_answered_by_the_router() -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(get("/v1/models"))
        assert (await client.reply()).status == 503
        assert engine.requests == []
