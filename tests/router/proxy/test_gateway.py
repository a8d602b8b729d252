import asyncio
import logging

import pytest

from router.http1.engine_verbs import has_engine_verb, segments
from router.proxy.gateway import COMMON_TARGETS
from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave
from tests.fakes.running import RawClient, running, until

PLAIN = b'{"model":"qwen","messages":[]}'


def get(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@pytest.mark.parametrize(
    "target", ["/version", "/tokenize?x=1", "/v1/responses/resp_1", "/docs", "/v1/audio/translations"]
)
async def test_every_other_path_passes_through(target: str) -> None:
    async def echo(request: Request, wire: Wire) -> None:
        await wire.answer(200, request.target.encode(), "content-type: text/plain")

    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(get(target))
        reply = await client.reply()
        assert (reply.status, reply.body, reply.get("content-type")) == (200, target.encode(), "text/plain")


async def test_a_body_that_is_not_json_passes_through() -> None:
    async def echo(request: Request, wire: Wire) -> None:
        await wire.answer(200, request.body)

    async with FakeEngine(echo) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(
            b"--b\r\n\xff\x00", "Content-Type: multipart/form-data; boundary=b", target="/v1/audio/translations"
        )
        assert (await client.reply()).body == b"--b\r\n\xff\x00"


async def test_a_pin_in_the_models_name_is_cut_before_the_engine() -> None:
    async with FakeEngine() as one, FakeEngine() as two, running(one, two, apart=True) as router:
        async with RawClient.to(router.port) as client:
            for _ in range(4):
                await client.post(b'{"seed":1.50,"model":"qwen@fp8","messages":[{"model":"qwen@fp8"}]}')
                reply = await client.reply()
                assert (reply.status, reply.get("x-wattroute-precision")) == (200, "fp8")
        assert one.requests == []
        assert two.requests[0].body == b'{"seed":1.50,"model":"qwen","messages":[{"model":"qwen@fp8"}]}'


async def test_a_pin_that_no_pool_serves_is_refused() -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN, "x-wattroute-precision: int4")
        reply = await client.reply()
        assert reply.status in (400, 503)
        assert reply.get("x-wattroute-reason")
        assert engine.requests == []


async def test_draining_lets_requests_end_and_closes_their_connections() -> None:
    gate = asyncio.Event()

    async def slow(request: Request, wire: Wire) -> None:
        await gate.wait()
        await behave(request, wire)

    async with (
        FakeEngine(slow) as engine,
        running(engine) as router,
        RawClient.to(router.port) as busy,
        RawClient.to(router.port) as idle,
        RawClient.to(router.port) as begins,
        RawClient.to(router.port) as says_nothing,
    ):
        await idle.send(b"GET /health HTTP/1.1\r\nhost: r\r\n\r\n")
        assert (await idle.reply()).status == 200
        await busy.post(PLAIN)
        await until(lambda: engine.requests and len(router.gateway.clients) == 4)
        router.gateway.drain()
        assert await idle.rest() == b""
        await begins.post(PLAIN)
        gate.set()
        for client in (busy, begins):
            reply = await client.reply()
            assert (reply.status, reply.get("connection")) == (200, "close")
            assert await client.rest() == b""
        assert await says_nothing.rest() == b""
        async with asyncio.timeout(5):
            await router.gateway.wait_empty()


async def test_a_failed_attempt_is_logged_with_its_place_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeEngine() as gone, running(gone) as router, RawClient.to(router.port) as client:
        await gone.kill()
        with caplog.at_level(logging.WARNING):
            await client.post(PLAIN)
            assert (await client.reply()).status == 503
        [record] = [record for record in caplog.records if record.message == "attempt failed"]
        assert vars(record)["instance_id"] == "bf16-0"
        assert vars(record)["outcome"] == "connect_failed"


def test_the_common_targets_are_no_verbs() -> None:
    assert not any(has_engine_verb(segments(target)) for target in COMMON_TARGETS)
