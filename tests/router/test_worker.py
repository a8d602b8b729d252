import asyncio
import contextlib
import json
import logging

import aiohttp
import pytest

from router import keep_up, load_source
from router.contract import InstanceId
from router.contract_loads import Loads, encode_loads
from router.errors import SettingsError
from router.settings import InstanceSettings
from router.worker import Worker
from tests.fakes.fake_engine import FakeEngine, behave, chat
from tests.fakes.running import RawClient, settings_for, until

PLAIN = b'{"model":"qwen","messages":[]}'


async def test_a_worker_serves_probes_and_reports() -> None:
    async with FakeEngine() as engine:
        worker = Worker(settings_for([engine.url], port=0, health={"probe_interval_s": 0.05}))
        await worker.start()
        async with RawClient.to(worker.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 200
            await client.send(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
            assert [model["id"] for model in json.loads((await client.reply()).body)["data"]] == ["qwen"]
            await until(lambda: "/metrics" in [request.target for request in engine.requests])
            report = await worker.snapshot()
            assert report.ready
            assert report.counters["connections"] == 1
            assert report.gauges["event_loop_lag_seconds"] >= 0
            assert report.classes[0].requests == 1
        await worker.stop()
        assert not worker.report().ready
        assert worker.is_draining()
        with pytest.raises(OSError, match=str(worker.port)):
            async with RawClient.to(worker.port):
                pass


async def test_an_engine_that_fails_its_probes_is_not_asked() -> None:
    async def sick(request, wire) -> None:
        if request.target == "/health":
            await wire.answer(503, b"")
        else:
            await behave(request, wire)

    async with FakeEngine(sick) as bad, FakeEngine() as good:
        worker = Worker(settings_for([bad.url, good.url], port=0, health={"probe_interval_s": 0.05}))
        await worker.start()
        await until(lambda: [view.state for view in worker.report().instances] == ["ejected", "up"])
        async with RawClient.to(worker.port) as client:
            for _ in range(4):
                await client.post(PLAIN)
                assert (await client.reply()).status == 200
        assert "/v1/chat/completions" not in [request.target for request in bad.requests]
        await worker.stop()


async def test_an_engine_whose_requests_fail_is_to_be_asked() -> None:
    async def broken(request, wire) -> None:
        if request.target == "/v1/chat/completions":
            await wire.answer(500, b"{}")
        else:
            await behave(request, wire)

    async with FakeEngine(broken) as engine:
        worker = Worker(settings_for([engine.url], port=0))
        doubted: list[set[InstanceId]] = []
        worker.on_doubt = doubted.append
        await worker.start()
        async with RawClient.to(worker.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status >= 500
        await until(lambda: doubted)
        assert {name for names in doubted for name in names} == {"bf16-0"}
        await worker.stop()


async def test_a_part_that_fails_is_begun_again(monkeypatch, caplog) -> None:
    monkeypatch.setattr(keep_up, "FIRST_S", 0.01)
    told: list[set[InstanceId]] = []

    def fail_once(doubted: set[InstanceId]) -> None:
        told.append(doubted)
        if len(told) == 1:
            raise ValueError("boom")

    async def broken(request, wire) -> None:
        await wire.answer(500, b"{}")

    async with FakeEngine(broken) as engine:
        worker = Worker(settings_for([engine.url], port=0, health={"probe_interval_s": 60.0}))
        worker.on_doubt = fail_once
        await worker.start()
        for times in (1, 2):
            async with RawClient.to(worker.port) as client:
                await client.post(PLAIN)
                assert (await client.reply()).status >= 500
            await until(lambda times=times: len(told) >= times)
        await worker.stop()
    assert [each.__dict__["part"] for each in caplog.records if each.levelno == logging.CRITICAL] == ["doubts"]


async def test_stopping_lets_a_stream_end() -> None:
    async def slow(request, wire) -> None:
        if request.target == "/v1/chat/completions":
            await chat(request, wire, tokens=10, pause_s=0.02)
        else:
            await behave(request, wire)

    async with FakeEngine(slow) as engine:
        worker = Worker(settings_for([engine.url], port=0))
        await worker.start()
        async with RawClient.to(worker.port) as client:
            await client.post(b'{"model":"qwen","messages":[],"stream":true}')
            await client.head()
            await worker.stop()
            assert (await client.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_stopping_does_not_wait_for_ever() -> None:
    async def endless(request, wire) -> None:
        await wire.wait_gone()

    async with FakeEngine(endless) as engine:
        worker = Worker(settings_for([engine.url], port=0, timeouts={"drain_s": 0.1}))
        await worker.start()
        async with RawClient.to(worker.port) as client:
            await client.post(PLAIN)
            await until(lambda: "/v1/chat/completions" in [request.target for request in engine.requests])
            await worker.stop()
            assert await client.rest() == b""


async def test_the_table_is_fetched_from_where_the_settings_say() -> None:
    async def no_table(request, wire) -> None:
        await wire.answer(503, b"{}")

    async with FakeEngine() as engine, FakeEngine(no_table) as controller:
        settings = settings_for([engine.url], port=0)
        table = settings.table.model_copy(update={"url": f"{controller.url}/v1/allocation"})
        worker = Worker(settings.model_copy(update={"table": table}))
        await worker.start()
        await until(lambda: controller.requests)
        assert controller.requests[0].target == "/v1/allocation"
        assert worker.report().table.state == "static"
        await worker.stop()


async def test_caps_are_shared_by_the_controllers_number_of_routers_also_after_a_reload(monkeypatch) -> None:
    monkeypatch.setattr(load_source, "READ_EVERY_S", 0.02)

    async def of_four(request, wire) -> None:
        is_loads = request.target == "/v1/engine-loads"
        await wire.answer(200, encode_loads(Loads(7, 4, ()))) if is_loads else await wire.answer(503, b"{}")

    async with FakeEngine() as engine, FakeEngine(of_four) as controller:
        settings = settings_for([engine.url], port=0, pool={"max_in_flight": 10})
        where = {"url": f"{controller.url}/v1/allocation", "poll_interval_s": 0.02}
        settings = settings.model_copy(update={"table": settings.table.model_copy(update=where)})
        worker = Worker(settings)
        await worker.start()
        await until(lambda: worker.report().instances[0].max_in_flight == 2)
        assert (await worker.snapshot()).gauges["caps_share_frac"] == 0.25
        await controller.kill()
        await worker.reload(settings)
        report = await worker.snapshot()
        assert (report.instances[0].max_in_flight, report.gauges["routers_known"]) == (2, 4.0)
        await worker.stop()


async def test_the_models_of_an_engine_that_is_gone_are_left_out() -> None:
    async with FakeEngine() as gone, FakeEngine() as good:
        worker = Worker(settings_for([gone.url], [good.url], port=0))
        await worker.start()
        await gone.kill()
        url = f"http://127.0.0.1:{worker.port}/v1/models"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert [model["id"] for model in (await answer.json())["data"]] == ["qwen"]
        await worker.stop()


async def test_a_drain_serves_on_until_its_time_is_over_and_then_closes_the_port() -> None:
    async def endless(request, wire) -> None:
        if request.target == "/hang":
            await wire.wait_gone()
        else:
            await behave(request, wire)

    async with FakeEngine(endless) as engine:
        worker = Worker(settings_for([engine.url], port=0, timeouts={"drain_s": 0.3}))
        await worker.start()
        async with RawClient.to(worker.port) as hanging, RawClient.to(worker.port) as late:
            await hanging.post(PLAIN, target="/hang")
            await until(lambda: "/hang" in [request.target for request in engine.requests])
            worker.drain()
            worker.drain()
            assert not worker.report().ready
            assert worker.report().draining
            async with RawClient.to(worker.port) as client:
                await client.post(PLAIN)
                reply = await client.reply()
                assert (reply.status, reply.get("connection")) == (200, "close")
            assert await late.rest() == b""
            assert await hanging.rest() == b""
        with pytest.raises(OSError, match=str(worker.port)):
            async with RawClient.to(worker.port):
                pass
        assert worker.report().draining
        await worker.stop()


async def test_an_access_log_is_written_while_serving(tmp_path) -> None:
    path = tmp_path / "access.log"
    async with FakeEngine() as engine:
        worker = Worker(settings_for([engine.url], port=0, access_log={"path": str(path)}))
        await worker.start()
        async with RawClient.to(worker.port) as client:
            await client.post(PLAIN, "Authorization: Bearer sk-secret")
            assert (await client.reply()).status == 200
        await worker.stop()
        (line,) = path.read_text().splitlines()
        record = json.loads(line)
        assert (record["status"], record["outcome"], record["pool"]) == (200, "ok", "bf16")
        assert "secret" not in line
        assert "messages" not in line
        assert worker.report().counters["access_log_lines_written"] == 1


async def test_a_stop_that_is_cut_short_closes_all_the_same() -> None:
    async def silent(request, wire) -> None:
        if request.target == "/v1/chat/completions":
            await wire.wait_gone()
        else:
            await behave(request, wire)

    async with FakeEngine(silent) as engine:
        worker = Worker(settings_for([engine.url], port=0, timeouts={"drain_s": 60.0}))
        await worker.start()
        async with RawClient.to(worker.port) as client:
            await client.post(PLAIN)
            await until(lambda: worker.report().classes[0].in_flight == 1)
            stopping = asyncio.ensure_future(worker.stop())
            await asyncio.sleep(0.05)
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            with contextlib.suppress(ConnectionError):
                assert await client.reader.read() == b""
            assert not worker.gateway.clients


async def test_requests_are_kept_for_canaries_only_where_that_is_asked_for() -> None:
    greedy = b'{"model":"qwen","messages":[],"temperature":0}'
    async with FakeEngine() as engine:
        for section, kept in ((None, 0), ({"keep": 4}, 4)):
            settings = settings_for([engine.url], port=0, canary_samples=section)
            worker = Worker(settings)
            if worker.gateway.sampler is not None:
                worker.gateway.sampler._chance = lambda: 0.0  # every request
            await worker.start()
            async with RawClient.to(worker.port) as client:
                for body in [greedy] * 6 + [PLAIN]:
                    await client.post(body)
                    assert (await client.reply()).status == 200
            samples = worker.report().samples
            assert [sample.body for sample in samples] == [greedy.decode()] * kept
            await worker.reload(settings_for([engine.url], port=0))
            assert worker.report().samples == []
            await worker.stop()


async def test_instances_are_followed_though_a_file_cannot_be_read_any_more(tmp_path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    async with FakeEngine() as old, FakeEngine() as new:
        pool = {"engine_key_file": str(key)}
        settings = settings_for([old.url], pool=pool, port=0)
        worker = Worker(settings)
        await worker.start()
        try:
            key.unlink()
            with pytest.raises(SettingsError):
                await worker.reload(settings)
            named = InstanceSettings(name="new", url=new.url)
            pools = tuple(one.model_copy(update={"instances": (named,)}) for one in settings.pools)
            worker.follow(settings.model_copy(update={"pools": pools}))
            async with RawClient.to(worker.port) as client:
                await client.post(PLAIN)
                assert (await client.reply()).status == 200
            await until(lambda: "/health" in [request.target for request in new.requests])
        finally:
            await worker.stop()
    assert {request.get("authorization") for request in new.requests} == {"Bearer secret"}
