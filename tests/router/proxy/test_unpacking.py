import contextlib
import gzip
import time
import zlib

import pytest

from router.http1.content_coding import unpack
from router.proxy import unpacking
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.running import RawClient, running, until

PLAIN = b'{"model":"qwen","messages":[]}'


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
            patched.setattr(unpacking, "INLINE_BYTES", 0)
            patched.setattr(unpacking, "unpack", counted)
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
