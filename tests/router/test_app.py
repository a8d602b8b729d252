import asyncio
import json
import logging
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from redis.asyncio import Redis

from router import app, keep_up, presence
from router.app import Router, serve
from router.errors import ListenError, SettingsError
from router.reload import ConfigSource
from router.settings import KubernetesSettings, PoolSettings, RouterFile, TenantsSettings
from router.snapshot import Snapshot
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.kube.engine_pods import NAMESPACE, SERVICE, EnginePods
from tests.fakes.kube.server import KubeServer, kube_server
from tests.fakes.redis_server import running_redis
from tests.fakes.running import RawClient, settings_for, until

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


@pytest.mark.parametrize("workers", [1, 2])
async def test_one_port_for_both_is_an_error_that_names_it(workers: int) -> None:
    port = unused_port()
    ports = {"port": port, "admin_port": port, "admin_host": "localhost"}
    with pytest.raises(ListenError, match=str(port)):
        async with Router(settings_for(["http://127.0.0.1:1"], workers=workers, **ports)):
            pass


async def test_serving_ends_when_told() -> None:
    async with FakeEngine() as engine:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings_for([engine.url], port=0, admin_port=0), stop))
        await asyncio.sleep(0)
        stop.set()
        async with asyncio.timeout(10):
            await serving


async def test_a_token_that_is_absent_is_told_before_anything_listens(tmp_path: Path) -> None:
    port = unused_port()
    settings = settings_for(["http://127.0.0.1:1"], port=port, admin_port=0, admin_token_file=str(tmp_path / "token"))
    router = Router(settings)
    with pytest.raises(SettingsError, match=r"admin_token_file .*No such file"):
        await router.__aenter__()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_several_workers_behind_one_admin_port() -> None:
    settings = settings_for(["http://127.0.0.1:1"], port=0, admin_port=0, workers=2)
    async with Router(settings) as router:
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            reply = await client.reply()
            assert reply.status == 503
            assert reply.get("x-wattroute-reason") in ("engine_unreachable", "no_instance")
        assert "wattroute_router_connections_total 1.0" in (await fetch(router.admin_port, "/metrics"))[1]


class Changing:
    """Settings that a test changes."""

    def __init__(self, settings: RouterFile) -> None:
        self.settings = settings
        self.source = ConfigSource(Path("wattroute.yaml"), self.load)
        self.fault: str | None = None

    def load(self) -> RouterFile:
        if self.fault is not None:
            raise SettingsError(self.fault)
        return self.settings


async def state(router: Router) -> dict:
    return json.loads((await fetch(router.admin_port, "/state"))[1])


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_changed_configuration_is_obeyed_by_every_worker_and_shown(workers: int) -> None:
    async with FakeEngine() as old, FakeEngine() as new:
        changing = Changing(settings_for([old.url], port=0, admin_port=0, workers=workers))
        async with Router(changing.settings, changing.source) as router:
            before = (await state(router))["config"]
            assert list(before["workers_by_hash"].values()) == [workers]
            assert (await state(router))["workers"] == workers
            changing.settings = settings_for([new.url], port=0, admin_port=0, workers=workers)
            router.reload()
            async with asyncio.timeout(20):
                while (after := (await state(router))["config"])["reloads"]["taken"] == 0 or (
                    len(after["workers_by_hash"]) > 1 or after["workers_by_hash"] == before["workers_by_hash"]
                ):
                    await asyncio.sleep(0.02)
            assert list(after["workers_by_hash"].values()) == [workers]
            for _ in range(8):
                async with RawClient.to(router.port) as client:
                    await client.post(PLAIN)
                    assert (await client.reply()).status == 200
            assert "/v1/chat/completions" not in [request.target for request in old.requests]
            changing.fault = "wattroute.yaml:7: pools: no"
            router.reload()
            async with asyncio.timeout(20):
                while (await state(router))["config"]["last_error"] is None:
                    await asyncio.sleep(0.02)
            told = (await state(router))["config"]
            assert (told["last_error"], told["reloads"]["refused"]) == ("wattroute.yaml:7: pools: no", 1)
            assert told["workers_by_hash"] == after["workers_by_hash"]
            metrics = (await fetch(router.admin_port, "/metrics"))[1]
            assert 'wattroute_router_config_reloads_total{result="refused"} 1.0' in metrics


async def test_what_follows_the_file_is_begun_again_after_a_fault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keep_up, "FIRST_S", 0.05)
    changing = Changing(settings_for(["http://127.0.0.1:1"], port=0, admin_port=0))
    async with Router(changing.settings, changing.source) as router:
        obey, failing = router.data_path.reload, ["boom"]

        async def fail_once(settings: RouterFile) -> None:
            if failing:
                raise RuntimeError(failing.pop())
            await obey(settings)

        monkeypatch.setattr(router.data_path, "reload", fail_once)
        changing.settings = settings_for(["http://127.0.0.1:2"], port=0, admin_port=0)
        router.reload()
        async with asyncio.timeout(20):
            while (await state(router))["config"]["last_error"] != "RuntimeError: boom":
                await asyncio.sleep(0.02)
            router.reload()
            while (await state(router))["config"]["reloads"]["taken"] == 0:
                await asyncio.sleep(0.02)
        assert (await state(router))["config"]["last_error"] is None
    assert failed_parts(caplog) == ["configuration"]


async def test_presence_is_begun_again_after_a_fault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keep_up, "FIRST_S", 0.05)
    encode, failing = presence.encode_told, ["boom"]

    def fail_once(snapshot: Snapshot) -> bytes:
        if failing:
            raise RuntimeError(failing.pop())
        return encode(snapshot)

    monkeypatch.setattr(presence, "encode_told", fail_once)
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        settings = settings_for(["http://127.0.0.1:1"], port=0, admin_port=0, name="a")
        table = settings.table.model_copy(update={"redis_url": redis.url, "poll_interval_s": 0.05})
        async with Router(settings.model_copy(update={"table": table})), asyncio.timeout(20):
            while not await client.hexists("wattroute:allocation:routers", "a"):
                await asyncio.sleep(0.02)
    assert failed_parts(caplog) == ["presence"]


def failed_parts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["part"] for record in caplog.records if record.levelno == logging.CRITICAL]


async def test_a_signal_has_the_configuration_read_again(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeEngine() as engine:
        changing = Changing(settings_for([engine.url], port=0, admin_port=0))
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(changing.settings, stop, changing.source))
        await until(lambda: [record for record in caplog.records if record.message.startswith("router is open")])
        changing.fault = "wattroute.yaml:1: no"
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: [record for record in caplog.records if "old one stays" in record.message])
        stop.set()
        async with asyncio.timeout(10):
            await serving


async def test_a_change_that_opens_the_router_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    def told() -> int:
        return sum(record.message.startswith("router is open") for record in caplog.records)

    opened = settings_for(["http://127.0.0.1:1"], port=0, admin_port=0)
    tenants = TenantsSettings.model_validate({"list": [{"name": "a", "keys": ["sha256:" + "0" * 64]}]})
    changing = Changing(opened.model_copy(update={"tenants": tenants}))
    async with Router(changing.settings, changing.source) as router:
        assert told() == 0
        changing.settings = opened
        router.reload()
        await until(lambda: told() == 1)


async def test_memory_of_all_processes_is_told() -> None:
    async with FakeEngine() as engine:
        settings = settings_for([engine.url], port=0, admin_port=0, workers=2)
        async with Router(settings) as router:
            assert (await router.snapshot()).sums["resident_memory_bytes"] > 3 * 20e6


def test_a_secret_that_would_go_unencrypted_is_told_before_anything_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "hunter2")
    settings = settings_for(["http://127.0.0.1:1"], port=0, admin_port=0)
    table = settings.table.model_copy(update={"redis_url": "redis://redis.example:6379/0"})
    with pytest.raises(SettingsError, match="REDIS_PASSWORD would go there unencrypted; write rediss://"):
        Router(settings.model_copy(update={"table": table}))


async def test_a_table_that_others_could_read_is_told_in_log_and_state(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeEngine() as engine:
        settings = settings_for([engine.url], port=0, admin_port=0)
        table = settings.table.model_copy(update={"url": "http://controller.invalid:8090/v1/allocation"})
        async with Router(settings.model_copy(update={"table": table})) as router:
            state = json.loads((await fetch(router.admin_port, "/state"))[1])
    assert state["config"]["in_clear"] == ["table.url"]
    (told,) = (record for record in caplog.records if record.message.startswith("unencrypted to another machine"))
    assert (vars(told)["setting"], "rediss://" in vars(told)["remedy"]) == ("table.url", True)


def found_by(server: KubeServer, workers: int) -> RouterFile:
    discovery = {"kind": "kubernetes", "service": SERVICE, "namespace": NAMESPACE}
    pool = {"name": "bf16", "precision": "bf16", "discovery": discovery}
    section = {"port": 0, "admin_port": 0, "workers": workers}
    return RouterFile.model_validate({"pools": [pool], "router": section, "kubernetes": {"url": server.url}})


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_router_goes_by_the_instances_that_are_found(workers: int) -> None:
    async with kube_server() as server:
        pods = EnginePods(server)
        await pods.start("p-1")
        async with Router(found_by(server, workers)) as router:
            before = (await state(router))["config"]["workers_by_hash"]
            assert (await fetch(router.admin_port, "/healthz"))[0] == 200
            async with asyncio.timeout(20):
                while [one["instance_id"] for one in (await state(router))["instances"]] != ["p-1"]:
                    await asyncio.sleep(0.02)
            async with RawClient.to(router.port) as client:
                await client.post(PLAIN)
                assert (await client.reply()).status == 200
            told = await state(router)
            assert told["discovery"][0] | {"age_s": 0} == {
                **{"pool_id": "bf16", "kind": "kubernetes", "told": True, "age_s": 0, "failures": 0},
                **{"endpoints": {"ready": 1, "draining": 0, "unready": 0, "left_out": 0}, "error": None},
                "problems": [],
            }
            assert told["config"]["workers_by_hash"] == before
            assert told["config"]["reloads"] == {"taken": 0, "refused": 0, "unchanged": 0}
            metrics = (await fetch(router.admin_port, "/metrics"))[1]
            assert 'wattroute_router_discovery_endpoints{pool_id="bf16",state="ready"} 1.0' in metrics
        await pods.close()


async def test_a_file_that_says_not_where_to_look_is_refused_and_the_old_one_stays() -> None:
    async with kube_server() as server:
        pods = EnginePods(server)
        await pods.start("p-1")
        changing = Changing(found_by(server, 1))
        async with Router(changing.settings, changing.source) as router:
            changing.settings = changing.settings.model_copy(update={"kubernetes": KubernetesSettings()})
            router.reload()
            async with asyncio.timeout(20):
                while (told := (await state(router))["config"]["last_error"]) is None:
                    await asyncio.sleep(0.02)
            assert "KUBERNETES_SERVICE_HOST is not set" in told
            async with asyncio.timeout(20):
                while not (await state(router))["instances"]:
                    await asyncio.sleep(0.02)
        await pods.close()


async def test_a_router_that_was_not_told_of_every_pool_is_not_ready_though_it_could_serve() -> None:
    async with kube_server() as server, FakeEngine() as engine:
        refusing = server.faults.add(500, times=None)
        found = found_by(server, 1)
        listed = PoolSettings.model_validate({"name": "fp8", "precision": "fp8", "instances": [engine.url]})
        async with Router(found.model_copy(update={"pools": (*found.pools, listed)})) as router:
            status, body = await fetch(router.admin_port, "/readyz")
            assert (status, json.loads(body)["status"]) == (503, "no instances told yet")
            assert (await state(router))["ready"] is False
            assert "wattroute_router_ready 0.0" in (await fetch(router.admin_port, "/metrics"))[1]
            async with RawClient.to(router.port) as client:
                await client.post(PLAIN)
                assert (await client.reply()).status == 200
            refusing.times = refusing.befell
            async with asyncio.timeout(20):
                while (await fetch(router.admin_port, "/readyz"))[0] != 200:
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
async def test_rights_that_redis_refuses_are_shown(workers: int) -> None:
    key = "wattroute:allocation"
    async with running_redis() as redis, Redis.from_url(redis.url) as admin:
        rules = f"on >pw -@all +getrange +pttl +multi +exec +get +ping %R~{key} %R~{key}:energy %R~{key}:loads &{key}"
        await admin.execute_command("ACL", "SETUSER", "router", *rules.split())
        settings = settings_for(["http://127.0.0.1:1"], port=0, admin_port=0, workers=workers)
        url = redis.url.replace("//", "//router:pw@")
        table = settings.table.model_copy(update={"redis_url": url, "poll_interval_s": 0.05})
        async with Router(settings.model_copy(update={"table": table})) as router:
            missing = {"announcements": "+subscribe", "presence": "+hgetall"}
            async with asyncio.timeout(20):
                while (await state(router))["redis"]["rights_missing"] != missing:
                    await asyncio.sleep(0.02)
            metrics = (await fetch(router.admin_port, "/metrics"))[1]
            assert 'wattroute_router_redis_right_missing{part="presence"} 1.0' in metrics
            assert 'wattroute_router_redis_right_missing{part="loads"} 0.0' in metrics


async def test_two_routers_of_one_name_say_so_and_stay_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "ENDED_S", -0.9)  # with the drain of a second, a tenth of one
    async with running_redis() as redis, FakeEngine() as engine:
        settings = settings_for([engine.url], port=0, admin_port=0, name="gateway")
        table = settings.table.model_copy(update={"redis_url": redis.url, "poll_interval_s": 0.05})
        settings = settings.model_copy(update={"table": table})
        async with Router(settings) as one, Router(settings) as two:
            async with asyncio.timeout(20):
                for router in (one, two):
                    while not (await state(router))["redis"]["name_taken"]:
                        await asyncio.sleep(0.02)
            for router in (one, two):
                assert (await fetch(router.admin_port, "/readyz"))[0] == 200
                assert "wattroute_router_name_taken 1.0" in (await fetch(router.admin_port, "/metrics"))[1]
