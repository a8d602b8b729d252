import asyncio
import json
import socket

import aiohttp
import pytest

from router.app import Router, serve
from router.errors import ListenError
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.running import RawClient, settings_for

PLAIN = b'{"model":"qwen","messages":[]}'


async def fetch(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_both_ports_serve() -> None:
    async with FakeEngine() as engine, Router(settings_for([engine.url], port=0, admin_port=0)) as router:
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 200
        assert (await fetch(router.admin_port, "/healthz"))[0] == 200
        assert (await fetch(router.admin_port, "/readyz"))[0] == 200
        status, metrics = await fetch(router.admin_port, "/metrics")
        assert status == 200
        assert 'wattroute_router_requests_total{class_id="standard"} 1.0' in metrics
        assert "wattroute_router_connections_total 1.0" in metrics
        state = json.loads((await fetch(router.admin_port, "/state"))[1])
        assert state["classes"][0]["finished"] == 1


async def test_drain_turns_readiness_off() -> None:
    async with FakeEngine() as engine, Router(settings_for([engine.url], port=0, admin_port=0)) as router:
        assert (await fetch(router.admin_port, "/drain", "POST"))[0] == 202
        assert (await fetch(router.admin_port, "/readyz"))[0] == 503


@pytest.mark.parametrize("which", ["port", "admin_port"])
async def test_a_taken_port_is_an_error_that_names_it(which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"port": 0, "admin_port": 0, which: port}
        with pytest.raises(ListenError, match=str(port)):
            async with Router(settings_for(["http://127.0.0.1:1"], **ports)):
                pass


async def test_serving_ends_when_told() -> None:
    async with FakeEngine() as engine:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings_for([engine.url], port=0, admin_port=0), stop))
        await asyncio.sleep(0)
        stop.set()
        async with asyncio.timeout(10):
            await serving


async def test_several_workers_behind_one_admin_port() -> None:
    settings = settings_for(["http://127.0.0.1:1"], port=0, admin_port=0, workers=2)
    async with Router(settings) as router:
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            reply = await client.reply()
            assert reply.status == 503
            assert reply.get("x-wattroute-reason") in ("engine_unreachable", "no_instance")
        assert "wattroute_router_connections_total 1.0" in (await fetch(router.admin_port, "/metrics"))[1]
