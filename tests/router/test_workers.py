import asyncio
import os
import signal
import socket
from collections import Counter

import pytest

from router import workers as workers_module
from router.contract import encode
from router.contract_loads import Loads, encode_loads
from router.errors import ListenError, WorkersError
from router.settings import RouterFile
from router.workers import Workers
from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave, chat
from tests.fakes.routing import table
from tests.fakes.running import RawClient, settings_for, until

PLAIN = b'{"model":"qwen","messages":[]}'


def two(*urls: str) -> RouterFile:
    return settings_for(list(urls), port=0, workers=2)


async def ask(port: int, times: int) -> None:
    for _ in range(times):
        async with RawClient.to(port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 200


async def test_workers_share_the_port_and_their_counts_are_summed() -> None:
    async with FakeEngine() as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        await ask(workers.port, 20)
        report = await workers.snapshot()
        assert report.ready
        assert report.classes[0].requests == 20
        assert report.counters["connections"] == 20
        assert report.instances[0].in_flight == 0
        await workers.stop()
        assert workers.is_draining()


async def test_a_worker_that_dies_is_replaced_and_its_counts_stay() -> None:
    async with FakeEngine() as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        await ask(workers.port, 10)
        before = await workers.snapshot()
        killed = workers.pids()[0]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in workers.pids() and len(workers.pids()) == 2, seconds=30)
        await until(lambda: workers.reporting() == 2, seconds=30)
        assert (await workers.snapshot()).classes[0].requests == before.classes[0].requests
        await ask(workers.port, 10)
        assert (await workers.snapshot()).classes[0].requests == 20
        await workers.stop()


async def test_no_count_goes_back_however_often_workers_are_killed() -> None:
    async with FakeEngine() as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        seen = [0]
        for _ in range(3):
            await ask(workers.port, 6)
            report = await workers.snapshot()
            assert sum(report.traffic[0].outcomes.values()) == report.classes[0].finished
            seen.append(report.classes[0].finished)
            for victim in workers.pids():
                os.kill(victim, signal.SIGKILL)
            killed = set(workers.pids())
            async with asyncio.timeout(30):
                while killed & set(workers.pids()) or workers.reporting() < 2:
                    await asyncio.sleep(0.02)
                    if workers.reporting():
                        seen.append((await workers.snapshot()).classes[0].finished)
        assert seen == sorted(seen)
        assert seen[-1] == 18
        await workers.stop()


async def test_a_killed_workers_requests_end_and_the_others_go_on() -> None:
    async def slow(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            await chat(request, wire, tokens=100, pause_s=0.02)
        else:
            await behave(request, wire)

    begun = []

    async def stream(port: int) -> bool:
        async with RawClient.to(port) as client:
            await client.post(b'{"model":"qwen","messages":[],"stream":true}', "Connection: close")
            begun.append(await client.head())
            return (await client.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    async with FakeEngine(slow) as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        streams = [asyncio.create_task(stream(workers.port)) for _ in range(24)]
        await until(lambda: len(begun) == 24, seconds=30)
        os.kill(workers.pids()[0], signal.SIGKILL)
        ended = Counter(await asyncio.gather(*streams))
        assert ended[True] > 0, ended
        assert ended[False] > 0, ended
        await workers.stop()


async def test_a_worker_that_hangs_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers_module, "LOOK_S", 0.25)
    monkeypatch.setattr(workers_module, "HANG_S", 3.0)
    async with FakeEngine() as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        hung = workers.pids()[1]
        os.kill(hung, signal.SIGSTOP)
        await until(lambda: hung not in workers.pids() and workers.reporting() == 2, seconds=30)
        assert "worker hangs and is killed" in caplog.messages
        await ask(workers.port, 6)
        await workers.stop()


async def test_engines_and_source_are_asked_once_for_all_workers() -> None:
    new = encode(table({"standard": {"bf16": 1.0}}, sequence=7, issued_at_s=1e9, ttl_s=2e9))

    async def controller(request: Request, wire: Wire) -> None:
        await wire.answer(200, new)

    async def asleep(request: Request, wire: Wire) -> None:
        if request.target != "/metrics":
            await behave(request, wire)
            return
        gauges = (b"num_requests_running{} 0", b"num_requests_waiting{} 0", b"kv_cache_usage_perc{} 0")
        state = b'engine_sleep_state{sleep_state="awake"} 0'
        await wire.answer(200, b"".join(b"vllm:" + line + b"\n" for line in (*gauges, state)))

    async with FakeEngine(asleep) as sleeping, FakeEngine() as awake, FakeEngine(controller) as source:
        settings = settings_for([sleeping.url, awake.url], port=0, workers=3, health={"probe_interval_s": 1.0})
        where = settings.table.model_copy(update={"url": f"{source.url}/v1/allocation"})
        workers = Workers(settings.model_copy(update={"table": where}))
        await workers.start()
        async with asyncio.timeout(20):
            while (await workers.snapshot()).table.sequence != 7:
                await asyncio.sleep(0.02)
            while [view.state for view in (await workers.snapshot()).instances] != ["asleep", "up"]:
                await asyncio.sleep(0.02)
        await until(lambda: sum(request.target == "/health" for request in awake.requests) >= 3)
        await until(lambda: len(source.requests) >= 3)
        assert sleeping.connections + awake.connections <= 4
        assert source.connections <= 3  # for the table, the energy rates and the loads, however many workers there are
        # A worker that comes later knows at once what the others know.
        os.kill(workers.pids()[0], signal.SIGKILL)
        await until(lambda: workers.reporting() < 3, seconds=30)
        await until(lambda: workers.reporting() == 3, seconds=30)
        assert (await workers.snapshot()).table.sequence == 7
        async with RawClient.to(workers.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).get("x-wattroute-allocation") == "7"
        await workers.stop()


async def test_workers_share_their_routers_part_of_a_cap_and_one_that_comes_later_has_it() -> None:
    async def of_two(request: Request, wire: Wire) -> None:
        if request.target == "/v1/engine-loads":
            await wire.answer(200, encode_loads(Loads(7, 2, ())))
        else:
            await wire.answer(503, b"{}")

    async with FakeEngine() as engine, FakeEngine(of_two) as source:
        settings = settings_for([engine.url], port=0, workers=2, pool={"max_in_flight": 9})
        where = settings.table.model_copy(update={"url": f"{source.url}/v1/allocation"})
        workers = Workers(settings.model_copy(update={"table": where}))
        await workers.start()
        async with asyncio.timeout(20):
            while [view.max_in_flight for view in (await workers.snapshot()).instances] != [4]:
                await asyncio.sleep(0.02)
        assert (await workers.snapshot()).gauges["caps_share_frac"] == 0.5
        for pid in workers.pids():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: workers.reporting() < 2, seconds=30)
        await until(lambda: workers.reporting() == 2, seconds=30)
        assert [view.max_in_flight for view in (await workers.snapshot()).instances] == [4]
        await workers.stop()


async def test_an_engine_whose_requests_fail_in_a_worker_is_asked_by_the_parent() -> None:
    async def broken(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            await wire.answer(500, b"{}")
        else:
            await behave(request, wire)

    async with FakeEngine(broken) as engine:
        workers = Workers(settings_for([engine.url], port=0, workers=2))
        await workers.start()
        doubted: list[tuple[str, ...]] = []
        workers._sources.doubt = doubted.append  # type: ignore[method-assign,assignment]
        async with RawClient.to(workers.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status >= 500
        await until(lambda: doubted)
        assert set(doubted) == {("bf16-0",)}
        await workers.stop()


async def test_tables_refused_are_counted_once() -> None:
    async def controller(request: Request, wire: Wire) -> None:
        await wire.answer(200, b"{}")

    async with FakeEngine() as engine, FakeEngine(controller) as source:
        settings = two(engine.url)
        where = settings.table.model_copy(update={"url": f"{source.url}/v1/allocation", "poll_interval_s": 600.0})
        workers = Workers(settings.model_copy(update={"table": where}))
        await workers.start()
        await until(lambda: source.requests)
        await until(lambda: workers._news.refused)
        assert (await workers.snapshot()).table.refused == {"malformed": 1}
        await workers.stop()


async def test_workers_that_cannot_serve_end_the_start() -> None:
    settings = settings_for(["http://127.0.0.1:1"], port=0, workers=2)
    workers = Workers(settings)
    workers._settings = settings.model_copy(update={"classes": ()})
    with pytest.raises(WorkersError, match="does not start: exit code 1"):
        await workers.start()
    assert workers.pids() == []


async def test_a_stop_that_is_interrupted_ends_the_workers_at_once() -> None:
    async def endless(request: Request, wire: Wire) -> None:
        await wire.wait_gone()

    async with FakeEngine(endless) as engine:
        workers = Workers(settings_for([engine.url], port=0, workers=2, timeouts={"drain_s": 600.0}))
        await workers.start()
        async with RawClient.to(workers.port) as client:
            await client.post(PLAIN)
            await until(lambda: any(request.method == "POST" for request in engine.requests))
            stopping = asyncio.create_task(workers.stop())
            await asyncio.sleep(0.2)
            assert not stopping.done()
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            assert workers.pids() == []
            assert await client.rest() == b""


async def test_draining_reaches_every_worker() -> None:
    async with FakeEngine() as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        workers.drain()
        assert workers.is_draining()
        os.kill(workers.pids()[0], signal.SIGKILL)  # its successor drains, too
        await until(lambda: workers.reporting() < 2, seconds=30)
        await until(lambda: workers.reporting() == 2, seconds=30)
        async with asyncio.timeout(10):
            while (await workers.snapshot()).ready:
                await asyncio.sleep(0.02)
        async with RawClient.to(workers.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).get("connection") == "close"
        await workers.stop()


def test_where_the_system_cannot_share_memory_one_worker_is_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(WorkersError, match=r"set router\.workers to 1"):
        Workers(two("http://127.0.0.1:1"))


async def test_a_port_that_another_program_holds_is_not_joined() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = two("http://127.0.0.1:1")
        router = settings.router.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(ListenError):
            await Workers(settings.model_copy(update={"router": router})).start()
