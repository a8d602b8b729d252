import asyncio
import contextlib
import json
import ssl

import pytest

from router import clock
from tests.fakes.fake_engine import GET, PLAIN, STREAM, FakeEngine, Request, Wire, behave, delta, raw, reset, status
from tests.fakes.running import RawClient, running, until

# Failing before the first byte.


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70_000 + b"\r\n",
    ],
)
async def test_what_is_not_http_is_not_passed_on(answer: bytes) -> None:
    async with FakeEngine(raw(answer)) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (502, "engine_error")
        assert router.in_flight() == 0


FAILURES = {
    "reset": reset,
    "closed": lambda request, wire: _close(wire),
    "error": status(500),
    "busy": status(503),
    "too many": status(429),
    "nonsense": raw(b"nonsense\r\n\r\n"),
    "dead after the head": lambda request, wire: _die_after_head(wire),
}


async def _close(wire: Wire) -> None:
    wire.close()


async def _die_after_head(wire: Wire) -> None:
    await wire.begin_stream()
    await asyncio.sleep(0.02)
    wire.reset()


@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_a_failure_before_the_first_byte_is_tried_elsewhere(script, body: bytes) -> None:
    async with FakeEngine(script) as bad, FakeEngine() as good, running(bad, good) as router:
        async with RawClient.to(router.port) as client:
            for _ in range(2):
                await client.post(body)
                assert (await client.reply()).status == 200
        assert len(good.requests) == 2
        assert bad.requests
        assert router.in_flight() == 0


async def test_an_engine_that_cannot_be_reached_is_passed_over() -> None:
    async with FakeEngine() as gone, FakeEngine() as good, running(gone, good) as router:
        await gone.kill()
        async with RawClient.to(router.port) as client:
            for _ in range(4):
                await client.post(PLAIN)
                assert (await client.reply()).status == 200


async def test_what_tls_says_of_an_engine_is_for_the_log_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reason = "certificate verify failed: certificate is not valid for '10.20.0.11'"

    async def refuse(*_: object) -> None:
        raise ssl.SSLCertVerificationError(1, reason)

    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        monkeypatch.setattr(router.gateway.engines, "_dial", refuse)
        await client.post(PLAIN)
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (503, "engine_unreachable")
        assert b"TLS failed" in reply.body
        assert b"10.20.0.11" not in reply.body
        assert any(getattr(record, "reason", None) == reason for record in caplog.records)


async def test_with_no_engine_at_all_the_answer_is_503() -> None:
    async with FakeEngine() as gone, running(gone) as router:
        await gone.kill()
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            reply = await client.reply()
            assert (reply.status, reply.get("x-wattroute-reason")) == (503, "engine_unreachable")
            assert reply.get("retry-after") == "1"
            assert "bf16-0" in json.loads(reply.body)["error"]["message"]
            assert router.in_flight() == 0


async def test_an_engine_that_is_busy_everywhere_has_the_last_word() -> None:
    scripts = status(503, b'{"error":{"message":"busy"}}', "retry-after: 7")
    async with (
        FakeEngine(scripts) as one,
        FakeEngine(scripts) as two,
        running(one, two) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(PLAIN)
        reply = await client.reply()
        assert (reply.status, reply.get("retry-after")) == (503, "7")
        assert reply.body == b'{"error":{"message":"busy"}}'
        assert len(one.requests) + len(two.requests) == 2
        assert router.dispatcher.state(clock.wall_s()).retries == {"engine_busy": 1}


async def test_engines_that_are_gone_are_passed_over_until_one_is_there() -> None:
    """Of six, two hang up when asked and three are not there: more than may be tried, were all of them counted."""
    engines = [FakeEngine(reset) for _ in range(2)] + [FakeEngine() for _ in range(4)]
    async with contextlib.AsyncExitStack() as stack:
        for engine in engines:
            await stack.enter_async_context(engine)
        router = await stack.enter_async_context(running(*engines, retry={"max_attempts": 3}))
        for gone in engines[2:5]:
            await gone.kill()
        client = await stack.enter_async_context(RawClient.to(router.port))
        for _ in range(3):
            await client.post(PLAIN)
            assert (await client.reply()).status == 200


async def test_attempts_are_bounded() -> None:
    engines = [FakeEngine(reset) for _ in range(4)]
    async with (
        engines[0],
        engines[1],
        engines[2],
        engines[3],
        running(*engines, retry={"max_attempts": 2}) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(PLAIN)
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (502, "engine_reset")
        assert sum(len(engine.requests) for engine in engines) == 2


async def test_a_connection_that_the_engine_closed_while_idle_costs_nothing() -> None:
    """No retry is allowed here, so that only the free one can help."""
    retry = {"max_attempts": 1}
    async with FakeEngine() as engine, running(engine, retry=retry) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        assert (await client.reply()).status == 200

        async def close_unread(request: Request, wire: Wire) -> None:
            engine.script = behave
            wire.close()

        engine.script = close_unread
        await client.post(PLAIN)
        assert (await client.reply()).status == 200
        assert engine.connections == 2


async def test_a_fresh_connection_that_is_closed_is_a_failure() -> None:
    retry = {"max_attempts": 1}
    async with (
        FakeEngine(reset) as engine,
        running(engine, retry=retry) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(PLAIN)
        assert (await client.reply()).status == 502
        assert len(engine.requests) == 1


async def test_an_engine_that_never_answers_is_timed_out() -> None:
    async def silent(request: Request, wire: Wire) -> None:
        await wire.wait_gone()

    timeouts = {"first_byte_s": 0.05}
    async with (
        FakeEngine(silent) as engine,
        running(engine, timeouts=timeouts) as router,
        RawClient.to(router.port) as client,
    ):
        await client.post(PLAIN)
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (504, "engine_timeout")
        await client.send(GET.replace(b"/version", b"/health"))
        assert (await client.reply()).status in (200, 503)
        assert router.in_flight() == 0


async def test_a_connect_that_hangs_is_timed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeEngine() as engine, running(engine, timeouts={"connect_s": 0.05}) as router:

        async def never(*_: object, **__: object) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(type(router.gateway.engines), "_connect", never)
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            reply = await client.reply()
            assert (reply.status, reply.get("x-wattroute-reason")) == (503, "engine_unreachable")


async def test_a_request_waits_for_a_free_slot() -> None:
    gate = asyncio.Event()

    async def script(request: Request, wire: Wire) -> None:
        await gate.wait()
        await behave(request, wire)

    async with (
        FakeEngine(script) as engine,
        running(engine, pool={"max_in_flight": 1}) as router,
        RawClient.to(router.port) as first,
        RawClient.to(router.port) as second,
    ):
        await first.post(PLAIN)
        await until(lambda: engine.requests)
        await second.post(STREAM)
        await asyncio.sleep(0.02)
        assert len(engine.requests) == 1
        gate.set()
        assert (await first.reply()).status == 200
        assert (await second.reply()).status == 200


async def test_a_wait_without_end_is_refused() -> None:
    async def silent(request: Request, wire: Wire) -> None:
        await wire.wait_gone()

    cls = {"max_wait_s": 0.05}
    async with (
        FakeEngine(silent) as engine,
        running(engine, pool={"max_in_flight": 1}, cls=cls) as router,
        RawClient.to(router.port) as first,
        RawClient.to(router.port) as second,
    ):
        await first.post(PLAIN)
        await until(lambda: engine.requests)
        await second.post(PLAIN)
        reply = await second.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (503, "wait_too_long")
        assert reply.get("retry-after")


# Clients that leave, and clients that read slowly.


@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_the_engine_learns_at_once_that_the_client_left(body: bytes) -> None:
    gone = asyncio.Event()

    async def watch(request: Request, wire: Wire) -> None:
        if request.json().get("stream"):
            await wire.begin_stream()
            await wire.event(delta("a"))
        await wire.wait_gone()
        gone.set()

    async with FakeEngine(watch) as engine, running(engine) as router:
        async with RawClient.to(router.port) as client:
            await client.post(body)
            await until(lambda: engine.requests)
            await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            await gone.wait()
        await until(lambda: router.in_flight() == 0)


async def test_half_closing_counts_as_leaving() -> None:
    gone = asyncio.Event()

    async def watch(request: Request, wire: Wire) -> None:
        await wire.wait_gone()
        gone.set()

    async with FakeEngine(watch) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        await until(lambda: engine.requests)
        client.writer.write_eof()
        async with asyncio.timeout(5):
            await gone.wait()


async def test_a_waiting_client_that_leaves_is_not_served() -> None:
    gate = asyncio.Event()

    async def script(request: Request, wire: Wire) -> None:
        await gate.wait()
        await behave(request, wire)

    async with FakeEngine(script) as engine, running(engine, pool={"max_in_flight": 1}) as router:
        async with RawClient.to(router.port) as first:
            await first.post(PLAIN)
            await until(lambda: engine.requests)
            async with RawClient.to(router.port) as second:
                await second.post(PLAIN)
                await until(lambda: len(router.gateway.clients) == 2)
                await asyncio.sleep(0.02)
            await until(lambda: len(router.gateway.clients) == 1)
            gate.set()
            assert (await first.reply()).status == 200
        assert len(engine.requests) == 1
        assert router.in_flight() == 0


async def test_a_client_that_leaves_while_the_router_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeEngine() as engine, running(engine) as router:
        started = asyncio.Event()

        async def never(*_: object, **__: object) -> None:
            started.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(type(router.gateway.engines), "_connect", never)
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            await started.wait()
            assert router.in_flight() == 1
        await until(lambda: router.in_flight() == 0)


async def test_a_slow_reader_slows_the_engine_and_loses_nothing() -> None:
    event = b"data: " + b"x" * 4000 + b"\n\n"
    count = 10_000
    sent = 0

    async def flood(request: Request, wire: Wire) -> None:
        nonlocal sent
        await wire.begin_stream()
        for _ in range(count):
            await wire.chunk(event)
            sent += len(event)
        await wire.end()

    async with FakeEngine(flood) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(STREAM)
        await client.head()
        stalled_at = -1
        while sent != stalled_at:
            stalled_at = sent
            await asyncio.sleep(0.2)
        assert sent < count * len(event) / 2
        [connection] = router.gateway.clients
        assert connection.transport.get_write_buffer_size() < 2_000_000
        body = await client.reader.readexactly(count * len(b"fa8\r\n" + event + b"\r\n"))
        assert body.count(event) == count


async def test_a_reader_that_stopped_for_good_is_cut_off() -> None:
    gone = asyncio.Event()

    async def flood(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        try:
            while True:
                await wire.chunk(b"data: " + b"x" * 4000 + b"\n\n")
        except ConnectionError:
            gone.set()
            raise

    timeouts = {"inter_chunk_s": 0.2}
    async with FakeEngine(flood) as engine, running(engine, timeouts=timeouts) as router:
        async with RawClient.to(router.port) as client:
            await client.post(STREAM)
            async with asyncio.timeout(20):
                await gone.wait()
        await until(lambda: router.in_flight() == 0)


# Accounting.


async def test_tokens_are_counted_from_usage() -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        await client.reply()
        await client.post(b'{"model":"qwen","messages":[],"stream":true,"stream_options":{"include_usage":true}}')
        await client.reply()
        [traffic] = router.dispatcher.state(0.0).traffic
        assert (traffic.input_tokens, traffic.output_tokens) == (14, 6)


async def test_large_bodies_go_both_ways() -> None:
    big = json.dumps({"model": "qwen", "messages": [{"role": "user", "content": "x" * 3_000_000}]}).encode()

    async def mirror(request: Request, wire: Wire) -> None:
        await wire.answer(200, request.body)

    async with FakeEngine(mirror) as engine, running(engine) as router, RawClient.to(router.port) as client:
        for _ in range(2):
            await client.post(big)
            assert (await client.reply()).body == big
        assert engine.connections == 1


async def test_a_body_is_held_until_its_answer_begins_and_no_longer() -> None:
    big = json.dumps({"model": "qwen", "stream": True, "messages": ["x" * 1_000_000]}).encode()
    answered, done = asyncio.Event(), asyncio.Event()

    async def slow(request: Request, wire: Wire) -> None:
        await answered.wait()
        await wire.begin_stream()
        await wire.event(delta("a"))
        await done.wait()
        await wire.end()

    async with FakeEngine(slow) as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(big)
        await until(lambda: len(engine.requests) == 1)
        assert router.gateway.held_body_bytes == len(big)
        answered.set()
        await client.head()
        assert router.gateway.held_body_bytes == 0
        done.set()
        await until(lambda: router.in_flight() == 0)
        assert router.gateway.held_body_bytes == 0
