"""What the router reads of an engine, and that nothing an engine does ends the probing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from router.contract import InstanceId, PoolId, Precision
from router.contract_loads import EngineState, InstanceLoad, Loads
from router.exchange import InstanceSpec
from router.fleet import EngineLoad
from router.probes import MAX_METRICS_BYTES, Finding, Prober, read_load
from router.settings import HealthSettings
from router.tenants.engine_keys import NO_KEYS, EngineKeys
from router.transport.asking import EngineSession
from tests.fakes.routing import NOW_S

BUSY = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny-bf16"} 4.0
vllm:num_requests_waiting{engine="0",model_name="tiny-bf16"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny-bf16",reason="capacity"} 2.0
vllm:engine_sleep_state{engine="0",model_name="tiny-bf16",sleep_state="awake"} 1.0
vllm:engine_sleep_state{engine="0",model_name="tiny-bf16",sleep_state="weights_offloaded"} 0.0
vllm:engine_sleep_state{engine="0",model_name="tiny-bf16",sleep_state="discard_all"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny-bf16"} 0.0004883408619216212
vllm:num_preemptions_created{engine="0",model_name="tiny-bf16"} 1.7952251e+09
"""
TWO_RANKS = b"""\
vllm:num_requests_running{engine="1",model_name="tiny"} 3.0
vllm:num_requests_running{engine="0",model_name="tiny"} 1e1
vllm:num_requests_waiting{engine="1",model_name="tiny"} 0.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 5.0
vllm:kv_cache_usage_perc{engine="1",model_name="tiny"} 0.2
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.6
"""


def test_the_load_of_a_busy_engine() -> None:
    assert read_load(BUSY) == EngineLoad(4, 2, 0.0004883408619216212, awake=True)


def test_the_ranks_of_an_engine_are_summed() -> None:
    load = read_load(TWO_RANKS)
    assert load is not None
    assert (load.running, load.waiting, load.awake) == (13, 5, None)
    assert load.kv_cache_usage_frac == pytest.approx(0.4)


def test_an_engine_asleep_says_so() -> None:
    load = read_load(BUSY.replace(b'"awake"} 1.0', b'"awake"} 0.0'))
    assert load is not None
    assert load.awake is False


@pytest.mark.parametrize("gauge", [b"num_requests_running", b"num_requests_waiting", b"kv_cache_usage_perc"])
def test_a_missing_gauge_is_not_zero(gauge: bytes) -> None:
    lines = [line for line in BUSY.splitlines() if not line.startswith(b"vllm:" + gauge + b"{")]
    assert read_load(b"\n".join(lines)) is None


@pytest.mark.parametrize("text", [b"", b"<html>", b"\xff" * 1000, BUSY.replace(b" 4.0", b" NaN")])
def test_what_is_no_load_is_none(text: bytes) -> None:
    assert read_load(text) is None


@pytest.mark.parametrize("value", [b"+-e", b"1e999", b"-5", b"1.2.3"])
def test_a_value_that_cannot_be_is_none(value: bytes) -> None:
    assert read_load(BUSY.replace(b" 4.0", b" " + value)) is None


class Engine:
    """Answers /health and /metrics as a test sets."""

    def __init__(self) -> None:
        self.health = 200
        self.metrics: bytes | None = BUSY
        self.shown: list[str | None] = []
        self.hangs = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.shown.append(request.headers.get("authorization"))
        if request.path == self.hangs:
            await asyncio.sleep(60)
        if request.path == "/health":
            return web.Response(status=self.health)
        if self.metrics is None:
            return web.Response(status=500)
        return web.Response(body=self.metrics)


class Sink:
    """Stands for a dispatcher."""

    def __init__(self) -> None:
        self.results: asyncio.Queue[tuple[str, bool | None, EngineLoad | None, float]] = asyncio.Queue()

    def probed(self, instance_id: InstanceId, *, ok: bool | None, load: EngineLoad | None, now_s: float) -> None:
        self.results.put_nowait((instance_id, ok, load, now_s))


def spec_of(port: int, number: int = 0) -> InstanceSpec:
    return InstanceSpec(
        InstanceId(f"bf16-{number}"), PoolId("bf16"), Precision.BF16, ("127.0.0.1", port), f"http://127.0.0.1:{port}", 8
    )


@contextlib.asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/{path:.*}", engine.answer)
    async with TestServer(app) as server:
        assert server.port is not None
        yield server.port


@contextlib.asynccontextmanager
async def prober(
    *ports: int,
    sink: Sink | None = None,
    timeout_s: float = 1.0,
    keys: EngineKeys = NO_KEYS,
    interval_s: float = 1.0,
    fresh_s: float = 60.0,
) -> AsyncIterator[Prober]:
    engines = EngineSession()
    yield Prober(
        engines,
        [spec_of(port, number) for number, port in enumerate(ports)],
        HealthSettings(probe_interval_s=interval_s, probe_timeout_s=timeout_s),
        sink=sink or Sink(),
        steady_s=lambda: NOW_S,
        rng=random.Random(1),
        keys=keys,
        fresh_s=fresh_s,
    )
    await engines.close()


async def test_a_healthy_engine_is_ok_and_tells_its_load() -> None:
    async with serving(Engine()) as port, prober(port) as some:
        found = await some.probe(spec_of(port))
    assert found.reason is None
    assert found.load is not None
    assert found.load.running == 4


@pytest.mark.parametrize(("pool_id", "shown"), [("bf16", "Bearer k"), ("fp8", None)])
async def test_the_key_of_its_pool_is_shown_to_an_engine(pool_id: str, shown: str | None) -> None:
    engine = Engine()
    async with serving(engine) as port, prober(port, keys=EngineKeys({PoolId(pool_id): "k"})) as some:
        await some.probe(spec_of(port))
    assert engine.shown == [shown, shown]


async def test_a_sick_engine_is_not_asked_for_its_load() -> None:
    engine = Engine()
    engine.health = 503
    async with serving(engine) as port, prober(port) as some:
        assert await some.probe(spec_of(port)) == Finding(reason="/health is answered with 503")


async def test_an_engine_that_redirects_its_health_is_not_healthy() -> None:
    engine = Engine()
    engine.health = 307
    async with serving(engine) as port, prober(port) as some:
        assert await some.probe(spec_of(port)) == Finding(reason="/health is answered with 307")


async def test_nobody_listening_is_not_healthy() -> None:
    port = unused_port()
    async with prober(port) as some:
        found = await some.probe(spec_of(port))
    assert "Connect call failed" in str(found.reason)


@pytest.mark.parametrize("metrics", [None, b"", b"x" * (MAX_METRICS_BYTES + 1)], ids=["500", "empty", "endless"])
async def test_an_engine_without_readable_metrics_is_as_healthy_as_it_says(metrics: bytes | None) -> None:
    engine = Engine()
    engine.metrics = metrics
    async with serving(engine) as port, prober(port, timeout_s=20) as some:
        assert await some.probe(spec_of(port)) == Finding()


@pytest.mark.parametrize(("path", "reason"), [("/health", "no answer within 0.2 s"), ("/metrics", None)])
async def test_a_probe_does_not_wait_for_ever(path: str, reason: str | None) -> None:
    engine = Engine()
    engine.hangs = path
    async with serving(engine) as port, prober(port, timeout_s=0.2) as some:
        assert await some.probe(spec_of(port)) == Finding(reason=reason)


async def test_every_instance_is_probed_until_the_end_whatever_one_of_them_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "router.probes")
    sink = Sink()
    async with serving(Engine()) as port, prober(port, unused_port(), sink=sink) as some:
        task = asyncio.create_task(some.run())
        async with asyncio.timeout(20):
            seen = [await sink.results.get() for _ in range(4)]
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    results = {(instance_id, ok) for instance_id, ok, _, _ in seen}
    assert results == {("bf16-0", True), ("bf16-1", False)}
    assert {now_s for *_, now_s in seen} == {NOW_S}
    assert sorted(caplog.messages) == ["engine answers probes", "engine fails probes"]
    said = next(record for record in caplog.records if record.message == "engine fails probes")
    assert "Connect call failed" in vars(said)["reason"]


class Stumbling(EngineSession):
    """Fails at one engine with what no client of HTTP should raise, as at a host name that cannot be encoded."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port

    def request(self, method: str, url: str, path: str, **options: Any) -> Any:
        if url.endswith(f":{self.port}"):
            raise UnicodeError("label empty or too long")
        return super().request(method, url, path, **options)


async def test_an_engine_that_cannot_even_be_asked_fails_its_probes_and_the_others_are_asked_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Sink()
    async with serving(Engine()) as port, Stumbling(9) as engines:
        settings = HealthSettings(probe_interval_s=0.05)
        instances = [spec_of(9, 0), spec_of(port, 1)]
        some = Prober(
            engines, instances, settings, sink=sink, steady_s=lambda: NOW_S, rng=random.Random(1), keys=NO_KEYS
        )
        task = asyncio.create_task(some.run())
        async with asyncio.timeout(20):
            seen = [(await sink.results.get())[:2] for _ in range(8)]
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert set(seen) == {("bf16-0", False), ("bf16-1", True)}
    [said] = [record for record in caplog.records if record.message == "engine fails probes"]
    assert vars(said)["reason"] == "UnicodeError: label empty or too long"


async def test_instances_that_come_are_probed_and_those_that_go_are_not_while_the_others_keep_their_pace() -> None:
    sink = Sink()
    async with serving(Engine()) as port, prober(port, sink=sink, interval_s=0.02) as some:
        some.follow([spec_of(port, 0), spec_of(port, 1)])
        task = asyncio.create_task(some.run())
        try:
            async with asyncio.timeout(20):
                while {"bf16-0", "bf16-1"} - {(await sink.results.get())[0] for _ in range(4)}:
                    pass
                some.follow([spec_of(port, 1), spec_of(port, 2)])
                await asyncio.sleep(0)
                while not sink.results.empty():
                    sink.results.get_nowait()
                seen = {(await sink.results.get())[0] for _ in range(6)}
            assert seen == {"bf16-1", "bf16-2"}
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_one_that_stays_is_not_asked_anew() -> None:
    sink = Sink()
    async with serving(Engine()) as port, prober(port, sink=sink, interval_s=3600.0) as some:
        task = asyncio.create_task(some.run())
        async with asyncio.timeout(20):
            assert (await sink.results.get())[0] == "bf16-0"
            some.follow([spec_of(port, 0), spec_of(port, 1)])
            assert (await sink.results.get())[0] == "bf16-1"
        assert sink.results.empty()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def probing(engine: Engine, *, fresh_s: float = 60.0) -> AsyncIterator[tuple[Prober, Sink]]:
    """One that has looked often enough to be sure of its one engine."""
    sink = Sink()
    async with serving(engine) as port, prober(port, sink=sink, interval_s=0.05, fresh_s=fresh_s) as some:
        task = asyncio.create_task(some.run())
        try:
            async with asyncio.timeout(20):
                for _ in range(4):
                    await sink.results.get()
            yield some, sink
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def loads(state: EngineState = EngineState.SERVING, *, routers: int = 4000, name: str = "bf16-0") -> Loads:
    return Loads(1, routers, (InstanceLoad(InstanceId(name), state, 8, 2, 0.5),))


async def quiet(engine: Engine) -> bool:
    """Whether the engine is asked nothing for a while, once what is under way has ended."""
    await asyncio.sleep(0.1)
    asked = len(engine.shown)
    await asyncio.sleep(0.3)
    return len(engine.shown) == asked


async def test_while_the_controller_says_the_same_its_load_is_taken_and_the_engine_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "router.probes")
    engine = Engine()
    async with probing(engine) as (some, sink):
        assert some.loads_view().state == "own"
        while not sink.results.empty():
            sink.results.get_nowait()
        some.heard(loads())
        told = [sink.results.get_nowait() for _ in range(sink.results.qsize())]
        assert ("bf16-0", None, EngineLoad(8, 2, 0.5, awake=True), NOW_S) in told
        assert await quiet(engine)
        view = some.loads_view()
        assert (view.state, view.routers, view.agreed) == ("shared", 4000, 1)
        assert view.age_s is not None
    assert "engines' loads come from the controller" in caplog.messages


@pytest.mark.parametrize(
    "told",
    [
        loads(EngineState.AWAY),
        loads(EngineState.SLEEPING),
        loads(name="another"),
        loads(routers=1),
        loads(routers=0),
    ],
    ids=["away", "sleeping", "not among them", "alone", "none known"],
)
async def test_the_controllers_word_against_its_own_eyes_changes_nothing(told: Loads) -> None:
    engine = Engine()
    async with probing(engine) as (some, sink):
        some.heard(told)
        assert not await quiet(engine)
        results = [sink.results.get_nowait() for _ in range(sink.results.qsize())]
        assert {ok for _, ok, *_ in results} == {True}
        assert some.loads_view().agreed == 0


async def test_an_engine_that_is_gone_by_both_is_left_alone_until_the_controller_says_that_it_is_back() -> None:
    engine = Engine()
    engine.health = 503
    async with probing(engine) as (some, sink):
        some.heard(loads(EngineState.AWAY))
        assert await quiet(engine)
        engine.health = 200
        some.heard(loads())
        async with asyncio.timeout(20):
            while (await sink.results.get())[1] is not True:
                pass


async def test_after_a_failed_request_the_engine_is_asked_at_once() -> None:
    engine = Engine()
    async with probing(engine) as (some, _):
        some.heard(loads())
        assert await quiet(engine)
        asked = len(engine.shown)
        some.doubt({InstanceId("another")})
        assert await quiet(engine)
        some.doubt({InstanceId("bf16-0")})
        async with asyncio.timeout(20):
            while len(engine.shown) == asked:
                await asyncio.sleep(0.01)


async def test_when_the_controller_falls_silent_engines_are_asked_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine()
    async with probing(engine, fresh_s=0.5) as (some, _):
        some.heard(loads())
        assert await quiet(engine)
        async with asyncio.timeout(20):
            while some.loads_view().state == "shared":
                await asyncio.sleep(0.01)
        assert not await quiet(engine)
        assert some.loads_view().agreed == 0
    assert "engines' loads not told any more, own probes" in caplog.messages


def test_what_a_probe_found_in_the_controllers_words() -> None:
    assert Finding(reason="x").state is EngineState.AWAY
    assert Finding().state is None
    assert Finding(EngineLoad(1, 0, 0.0, awake=None)).state is EngineState.SERVING
    assert Finding(EngineLoad(1, 0, 0.0, awake=False)).state is EngineState.SLEEPING
