"""Each request leaves one record, whatever becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from router.observe.observer import DROPPED_WHEN_TRACING, Observer
from router.observe.served import Served
from router.proxy.observed import ObservedClient, install
from router.settings import TracingSettings
from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave, chat
from tests.fakes.records import CALLER, TRACING, Heard
from tests.fakes.running import RawClient, Running, running, settings_for, until

PLAIN = b'{"model":"qwen","messages":[],"max_tokens":9}'
STREAM = b'{"model":"qwen","messages":[],"stream":true}'
TRACE, SPAN = CALLER.trace_id, CALLER.span_id


@contextlib.asynccontextmanager
async def observed(
    *engines: FakeEngine, tracing: TracingSettings | None = None, **sections: dict
) -> AsyncIterator[tuple[Running, list[Served]]]:
    heard = Heard()
    async with running(*engines, **sections) as router:
        observer = Observer((heard,), tracing=tracing, tells_client_address=True, rng=random.Random(1))
        if tracing is not None:
            settings = settings_for(["http://127.0.0.1:1"], **sections).router
            router.gateway.reconfigure(settings, dropped_fields=DROPPED_WHEN_TRACING)
        install(router.gateway, observer)
        yield router, heard.records


async def script(request: Request, wire: Wire) -> None:
    match request.target:
        case "/fail":
            await wire.answer(404, b'{"error":{}}')
        case "/reset":
            wire.reset()
        case "/hang":
            await wire.wait_gone()
        case "/break":
            await wire.begin_stream()
            await wire.event({"x": 1})
            wire.reset()
        case "/bytes":
            await wire.begin_stream()
            for _ in range(3):
                await wire.event("x" * 100)
            await wire.end()
        case _:
            await behave(request, wire)


async def test_a_plain_answer() -> None:
    async with FakeEngine(script) as engine, observed(engine) as (router, records):
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN, "X-Request-Id: r-1", f"Traceparent: 00-{TRACE}-{SPAN}-01")
            reply = await client.reply()
        (record,) = records
        assert (record.method, record.path, record.status) == ("POST", "/v1/chat/completions", reply.status)
        assert (record.outcome, record.class_id, record.pool_id, record.instance_id) == (
            *("ok", "standard", "bf16", "bf16-0"),
        )
        assert (record.precision, record.degraded, record.sequence) == ("bf16", False, -1)
        assert (record.model, record.stream, record.max_tokens) == ("qwen", False, 9)
        assert (record.bytes_in, record.bytes_out) == (len(PLAIN), len(reply.body))
        assert (record.input_tokens, record.output_tokens) == (7, 3)
        assert (record.request_id, record.client_address) == ("r-1", "127.0.0.1")
        assert record.caller is not None
        assert record.caller.trace_id == TRACE
        assert record.overhead_s is not None
        assert 0 <= record.overhead_s <= record.ended_s - record.received_s
        assert [attempt.outcome for attempt in record.attempts] == ["ok"]
        assert record.attempts[0].address == engine.url
        # Nothing is traced, so the engine sees the caller's own place.
        assert engine.requests[0].get("traceparent") == f"00-{TRACE}-{SPAN}-01"


async def test_a_stream_tells_its_first_token_and_all_its_bytes() -> None:
    async with FakeEngine(script) as engine, observed(engine) as (router, records):
        async with RawClient.to(router.port) as client:
            await client.post(STREAM, target="/bytes")
            reply = await client.reply()
        (record,) = records
        assert record.stream is True
        assert record.ttft_s is not None
        assert 0 <= record.ttft_s <= record.ended_s - record.received_s
        assert record.bytes_out == len(reply.body)
        assert (record.input_tokens, record.output_tokens) == (len(STREAM) // 4, 3)


async def test_requests_on_one_connection_have_a_record_each() -> None:
    async with FakeEngine(script) as engine, observed(engine) as (router, records):
        async with RawClient.to(router.port) as client:
            get = b"GET /fail HTTP/1.1\r\nHost: a\r\n\r\n"
            await client.send(get + get.replace(b"/fail", b"/health") + get.replace(b"/fail", b"/v1/models") + get)
            statuses = [(await client.reply()).status for _ in range(4)]
        assert [(record.path, record.status, record.outcome) for record in records] == [
            ("/fail", 404, "client_error"),
            ("/health", 200, "answered"),
            ("/v1/models", statuses[2], "answered" if statuses[2] < 400 else "refused"),
            ("/fail", 404, "client_error"),
        ]
        assert records[1].attempts == []
        assert records[1].bytes_out > 0


async def test_attempts_that_failed_are_told() -> None:
    async def bad(request: Request, wire: Wire) -> None:
        wire.reset()

    async with FakeEngine(bad) as one, FakeEngine(bad) as two, observed(one, two) as (router, records):
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 502
        (record,) = records
        assert (record.status, record.outcome, record.reason) == (502, "reset", "engine_reset")
        assert {attempt.instance_id for attempt in record.attempts} == {"bf16-0", "bf16-1"}
        assert [attempt.outcome for attempt in record.attempts] == ["reset", "reset"]
        assert (record.sent_s, record.input_tokens) == (None, None)


async def test_refusals_by_the_router() -> None:
    async with FakeEngine(script) as engine, observed(engine) as (router, records):
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN, "X-Wattroute-Class: made-up")
            await client.reply()
            await client.post(b"{}", target="/sleep")
            await client.reply()
        assert [(record.status, record.outcome, record.reason, record.class_id) for record in records] == [
            (400, "refused", "unknown_class", None),
            (404, "refused", "not_served", None),
        ]


@pytest.mark.parametrize(
    ("data", "status", "reason", "path"),
    [
        (b"nonsense\r\n\r\n", 400, "bad_request", "-"),
        (b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413, "body_too_large", "/a"),
    ],
)
async def test_what_is_no_request_is_told_once(data: bytes, status: int, reason: str, path: str) -> None:
    async with FakeEngine(script) as engine, observed(engine) as (router, records):
        async with RawClient.to(router.port) as client:
            await client.send(data)
            await client.reply()
        await until(lambda: not router.gateway.clients)
        (record,) = records
        assert (record.status, record.outcome, record.reason, record.path) == (status, "refused", reason, path)


async def test_a_client_that_leaves() -> None:
    async with FakeEngine(script) as engine, observed(engine) as (router, records):
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN, target="/hang")
            await until(lambda: engine.requests)
        await until(lambda: records)
        (record,) = records
        assert (record.status, record.outcome) == (0, "client_gone")
        assert [attempt.outcome for attempt in record.attempts] == ["client_gone"]


async def test_an_answer_that_breaks_off() -> None:
    async with FakeEngine(script) as engine, observed(engine) as (router, records):
        async with RawClient.to(router.port) as client:
            await client.post(STREAM, target="/break")
            await client.rest()
        await until(lambda: records)
        (record,) = records
        assert (record.status, record.outcome) == (200, "reset")
        assert record.has_failed


async def test_with_tracing_the_engine_sees_the_routers_place_only() -> None:
    async with FakeEngine(script) as engine, observed(engine, tracing=TRACING) as (router, records):
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN, f"TraceParent: 00-{TRACE}-{SPAN}-01", "tracestate: vendor=1")
            await client.reply()
            await client.post(PLAIN)
            await client.reply()
        first, second = engine.requests
        assert [name.lower() for name, _ in first.fields].count("traceparent") == 1
        assert records[0].context is not None
        assert first.get("traceparent") == f"00-{TRACE}-{records[0].context.span_id}-01"
        assert first.get("tracestate") == "vendor=1"
        assert records[1].context is not None
        assert records[1].caller is None
        assert second.get("traceparent") == f"00-{records[1].context.trace_id}-{records[1].context.span_id}-01"
        assert first.body == PLAIN


async def test_many_at_once_are_not_mixed_up() -> None:
    async def slow(request: Request, wire: Wire) -> None:
        await chat(request, wire, tokens=4, pause_s=0.005)

    async with FakeEngine(slow) as engine, observed(engine) as (router, records):

        async def one(number: int) -> None:
            async with RawClient.to(router.port) as client:
                await client.post(STREAM, f"x-request-id: {number}")
                await client.reply()

        await asyncio.gather(*(one(number) for number in range(20)))
        assert sorted(int(record.request_id or -1) for record in records) == list(range(20))
        assert all(record.outcome == "ok" and len(record.attempts) == 1 for record in records)


async def test_an_observed_connection_without_an_observer_is_a_mistake() -> None:
    async with FakeEngine(script) as engine, running(engine) as router:
        with pytest.raises(TypeError, match="install"):
            ObservedClient(router.gateway)
