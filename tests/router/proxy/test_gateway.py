import asyncio
import contextlib
import gzip
import json
import logging
import time
import zlib

import pytest

from router.http1.content_coding import unpack
from router.http1.engine_verbs import has_engine_verb, segments
from router.proxy import gateway
from router.proxy.gateway import COMMON_TARGETS
from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave
from tests.fakes.running import RawClient, running, until

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
    ):
        await busy.post(PLAIN)
        await until(lambda: engine.requests and len(router.gateway.clients) == 2)
        router.gateway.drain()
        assert await idle.rest() == b""
        gate.set()
        reply = await busy.reply()
        assert (reply.status, reply.get("connection")) == (200, "close")
        assert await busy.rest() == b""
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


# Compressed bodies.


async def test_a_compressed_body_reaches_the_engine_plain() -> None:
    large = PLAIN[:-1] + b',"pad":"' + b"x" * 400_000 + b'"}'
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        for plain, packed, coding in [
            (PLAIN, gzip.compress(PLAIN, mtime=0), "gzip"),
            (PLAIN, zlib.compress(PLAIN), "deflate"),
            (PLAIN, PLAIN, "identity"),
            (large, gzip.compress(large, mtime=0), "gzip"),
        ]:
            await client.post(packed, f"Content-Encoding: {coding}")
            assert (await client.reply()).status == 200
            got = engine.requests[-1]
            assert got.body == plain
            assert got.get("content-encoding") is None
            assert got.get("content-length") == str(len(plain))


async def test_a_small_limit_holds_for_what_a_body_unpacks_to() -> None:
    async with (
        FakeEngine() as engine,
        running(engine, limits={"max_body_bytes": 65_536}) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(gzip.compress(PLAIN + b" " * 100_000, mtime=0), "Content-Encoding: gzip")
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (413, "body_too_large")
        assert engine.requests == []


async def test_large_bodies_are_unpacked_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = most = 0

    def counted(body: bytes, limit: int) -> bytes:
        nonlocal at_once, most
        if limit == 0:
            return unpack(body, limit)
        at_once += 1
        most = max(most, at_once)
        try:
            time.sleep(0.02)
            return unpack(body, limit)
        finally:
            at_once -= 1

    packed = gzip.compress(PLAIN + b" " * (1 << 20), mtime=0)
    async with FakeEngine() as engine, running(engine) as router, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient.to(router.port)) for _ in range(4)]
        with monkeypatch.context() as patched:
            patched.setattr(gateway, "INLINE_BYTES", 0)
            patched.setattr(gateway, "unpack", counted)
            for client in clients:
                await client.post(packed, "Content-Encoding: gzip")
            assert [(await client.reply()).status for client in clients] == [200] * 4
    assert most == 1


@pytest.mark.parametrize(
    ("body", "coding", "status", "reason"),
    [
        (PLAIN, "br", 415, "unsupported_coding"),
        (PLAIN, "gzip", 400, "bad_request"),
        (gzip.compress(PLAIN, mtime=0)[:-3], "gzip", 400, "bad_request"),
        (gzip.compress(bytes(4 << 20), mtime=0), "gzip", 413, "body_too_large"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_refused(body: bytes, coding: str, status: int, reason: str) -> None:
    limits = {"max_body_bytes": 1 << 20}
    async with FakeEngine() as engine, running(engine, limits=limits) as router, RawClient.to(router.port) as client:
        await client.post(body, f"Content-Encoding: {coding}")
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (status, reason)
        assert engine.requests == []
        await client.post(PLAIN)
        assert (await client.reply()).status == 200


async def test_a_client_that_leaves_while_its_body_is_unpacked_reaches_no_engine() -> None:
    async with FakeEngine() as engine, running(engine) as router:
        async with RawClient.to(router.port) as client:
            await client.post(gzip.compress(bytes(20 << 20), mtime=0), "Content-Encoding: gzip")
        await until(lambda: not router.gateway.clients)
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 200
        assert len(engine.requests) == 1
        assert router.gateway.held_body_bytes == 0
