import pytest

from tests.fakes.fake_engine import (
    GET,
    PLAIN,
    FakeEngine,
    Request,
    Wire,
    raw,
    status,
)
from tests.fakes.running import RawClient, running


async def test_fields_keep_their_number_and_hop_by_hop_ones_end_here() -> None:
    script = status(200, b"{}", "Set-Cookie: a=1", "Set-Cookie: b=2", "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 5")
    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(
            PLAIN, "X-Two: 1", "X-Two: 2", "Connection: keep-alive, X-Mine", "X-Mine: s", "X-Request-Id: r1"
        )
        reply = await client.reply()
        assert [value for name, value in reply.fields if name == "Set-Cookie"] == ["a=1", "b=2"]
        assert reply.get("x-hop") is None
        assert reply.get("keep-alive") is None
        got = engine.requests[0]
        assert [value for name, value in got.fields if name == "X-Two"] == ["1", "2"]
        assert got.get("x-mine") is None
        assert got.get("x-request-id") == "r1"
        assert got.body == PLAIN


async def test_an_engines_refusal_of_the_request_is_passed_on_as_it_is() -> None:
    async with (
        FakeEngine(status(400, b'{"error":"bad"}')) as engine,
        running(engine) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(PLAIN)
        reply = await client.reply()
        assert (reply.status, reply.body) == (400, b'{"error":"bad"}')
        assert len(engine.requests) == 1


@pytest.mark.parametrize("code", [204, 304])
async def test_answers_without_body(code: int) -> None:
    script = raw(b"HTTP/1.1 %d X\r\netag: 1\r\n\r\n" % code)
    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        for _ in range(2):
            await client.send(GET)
            reply = await client.reply()
            assert (reply.status, reply.get("etag"), reply.get("transfer-encoding")) == (code, "1", None)
        assert engine.connections == 1


async def test_interim_answers_are_passed_on_but_not_the_engines_100() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    script = raw(b"HTTP/1.1 100 Continue\r\n\r\n" + hint + b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.send(GET)
        first = await client.head()
        assert first.head == hint
        assert (await client.reply()).body == b"x"


async def test_interim_answers_without_end_are_refused() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 2000)

    async with FakeEngine(script) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        statuses = [(await client.head()).status for _ in range(16)]
        assert set(statuses) == {102}
