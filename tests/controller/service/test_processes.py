"""The controller's and the emulator's processes, started from a configuration file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer

from controller.actuators.engines import EngineDriver
from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.lifecycle.handback import OnExit
from controller.model.observation import InstanceState
from controller.model.plan import InstanceCommand, Verb
from controller.service import processes
from controller.service.options import Endpoints, ServiceOptions
from controller.service.processes import engines_of
from controller.service.serving import Service
from controller.settings.file import Settings
from controller.signals.engines import EngineSource
from controller.signals.feeds.refresh import Refresher
from router.contract import InstanceId, PoolId
from router.transport.keyring import Keyring
from tests.fakes.certificates import Authority
from tests.fakes.controller_parts import NOW_S, pool, present
from tests.fakes.fake_engine import FakeEngine, Request, Wire
from tests.fakes.system import ROOT, get, post, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(180)]


def test_the_emulator_serves_the_configured_instances_and_says_that_it_emulates(tmp_path: Path) -> None:
    with running(tmp_path, "emulate") as system:
        listed = json.loads(get(f"{system.emulator}/instances")[1])
        assert {item["instance_id"]: item["state"] for item in listed} == {
            "bf16-0": "serving",
            "bf16-1": "serving",
            "fp8-0": "serving",
            "fp8-1": "sleeping",
            "int4-0": "sleeping",
        }
        assert b"emulated" in get(f"{system.emulator}/metrics")[1]


def test_the_controller_reports_what_it_measures_and_keeps_its_records(tmp_path: Path) -> None:
    with running(tmp_path, "emulate", "router", "controller") as system:

        def measured() -> dict[str, Any]:
            return json.loads(get(f"{system.api}/api/state")[1])

        system.until(lambda: measured()["power"]["measured_w"] > 1_000, "the site's power is measured")
        state = measured()
        assert state["emulated"] is True
        assert state["price_usd_per_mwh"] == pytest.approx(488.06)
        assert state["carbon_kg_per_mwh"] == pytest.approx(319.852)
        system.until(lambda: get(f"{system.api}/readyz")[0] == 200, "the first decision is made")
        assert system.stop("controller") == 0
        assert (tmp_path / "ledger.sqlite").stat().st_size > 0


def test_a_controller_that_is_killed_forgets_no_burnt_quality(tmp_path: Path) -> None:
    def burnt_frac() -> float:
        text = get(f"{system.api}/metrics")[1].decode()
        name = 'wattroute_controller_quality_burnt_frac{class="standard"} '
        line = next((line for line in text.splitlines() if line.startswith(name)), f"{name}nan")
        return float(line.removeprefix(name))

    def ask() -> int:
        model = f"{system.document['model']}@fp8"
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
        status, answer = post(f"{system.public}/v1/chat/completions", body)
        assert status == 200
        return int(json.loads(answer)["usage"]["completion_tokens"])

    with running(tmp_path, "emulate", "router", "controller") as system:
        system.until(lambda: burnt_frac() == 0.0, "a first decision is made")
        served = ask()
        system.until(lambda: burnt_frac() == pytest.approx(0.006), "tokens of FP8 are counted")
        for _ in range(2):
            system.kill("controller")
            served += ask()
            system.start("controller")
            system.until(lambda: burnt_frac() > 0.0, "a first decision is made")
            assert burnt_frac() == pytest.approx(0.006)
        system.until(lambda: b"state restored" in (tmp_path / "controller.log").read_bytes(), "it is told")
        assert system.stop("controller") == 0
        state = json.loads((tmp_path / "state.json").read_text())["state"]
        (slots,) = [burn["slots"] for burn in state["memory"]["burns"] if burn["class_id"] == "standard"]
        assert sum(tokens for _, tokens, _ in slots) == served  # those served while it was dead, too


def test_operators_requests_need_the_token_where_one_is_configured(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-that-is-long-enough\n")

    def guarded(document: dict[str, Any]) -> None:
        document["controller"]["token_file"] = str(token)

    with running(tmp_path, "emulate", "controller", change=guarded) as system:
        event = {"limit_w": 20_000, "duration_s": 60}
        assert post(f"{system.api}/v1/events", event)[0] == 401
        assert b"a-token" not in (tmp_path / "controller.log").read_bytes()


def test_a_token_file_that_is_absent_is_named(tmp_path: Path) -> None:
    def guarded(document: dict[str, Any]) -> None:
        document["controller"]["token_file"] = str(tmp_path / "no-token")

    with pytest.raises(AssertionError, match="no-token"), running(tmp_path, "controller", change=guarded) as system:
        pytest.fail(f"started all the same: {system.api}")


def settings_with(*instances: str, **tls: str) -> Settings:
    pool = {"name": "bf16", "precision": "bf16", "instances": list(instances), **({"tls": tls} if tls else {})}
    return Settings.model_validate({"pools": [pool]})


async def test_engines_behind_tls_and_at_unix_sockets_are_observed_and_put_to_sleep(tmp_path: Path) -> None:
    async def obey(request: Request, wire: Wire) -> None:
        path = request.target.partition("?")[0]
        if path == "/is_sleeping":
            await wire.answer(200, b'{"is_sleeping": true}')
        else:
            await wire.answer(200, b"vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n")

    authority = Authority(tmp_path)
    async with (
        FakeEngine(obey, tls=authority.issue("engine").server()) as secured,
        FakeEngine(obey, path=str(tmp_path / "engine.sock")) as local,
        aiohttp.ClientSession() as session,
        engines_of(
            settings_with(secured.url, local.url, ca_file=str(authority.file)), SystemClock(), Works(Random(0))
        ) as engines,
    ):
        fleet = present(pool("bf16", (secured.url, local.url)))
        seen = await EngineSource(session, fleet, engines=engines.session).read(NOW_S)
        assert [one.state for one in seen] == [InstanceState.SLEEPING] * 2
        driver = EngineDriver(engines.session, fleet, SystemClock())
        for name in ("bf16-0", "bf16-1"):
            told = await driver.carry_out(InstanceCommand(Verb.SLEEP, InstanceId(name), "a test"))
            assert told == "already asleep"


async def test_an_engine_that_is_none_of_the_pools_is_unreachable() -> None:
    async with (
        aiohttp.ClientSession() as session,
        engines_of(settings_with("http://127.0.0.1:1"), SystemClock(), Works(Random(0))) as engines,
    ):
        (seen,) = await EngineSource(
            session, present(pool("a", ("http://127.0.0.1:2",))), engines=engines.session
        ).read(NOW_S)
    assert seen.state is InstanceState.UNREACHABLE


def test_a_password_goes_to_no_other_machine_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "hunter2")
    settings = Settings.model_validate(
        {
            "pools": [{"name": "a", "precision": "bf16", "instances": ["http://127.0.0.1:1"]}],
            "table": {"redis_url": "redis://redis.example:6379/0"},
        }
    )
    with pytest.raises(ConfigError, match=r"table\.redis_url: redis\.example: REDIS_PASSWORD .* write rediss://"):
        processes.controller(settings)


def test_what_fails_beside_the_service_is_counted_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Any) -> None:
        raise ValueError("a fault")

    async def until_told(service: Service, *_: Any) -> None:
        none = [f'background_failures_total{{work="{work}"}} 0.0' for work in ("certificates", "feed")]
        async with TestClient(TestServer(service.app)) as client, asyncio.timeout(60):
            while True:
                text = await (await client.get("/metrics")).text()
                if "background_failures_total" in text and not any(line in text for line in none):
                    return
                await asyncio.sleep(0.01)

    monkeypatch.setattr(Keyring, "watch", fail)
    monkeypatch.setattr(Refresher, "run", fail)
    monkeypatch.setattr(processes, "serve", until_told)
    document = yaml.safe_load((ROOT / "deploy" / "examples" / "laptop.yaml").read_text())
    document["controller"]["data_dir"] = str(tmp_path)
    feed = {"kind": "mapped", "path": str(tmp_path / "rates.json"), "unit": "kg/kWh", "basis": "average"}
    feed |= {"format": "json", "time": "0", "value": "1", "times": "unix_s"}
    document["signals"]["carbon_kg_per_mwh"] = feed
    processes.controller(Settings.model_validate(document))


class Reached(Exception):
    """The service is put together."""


async def assembled(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> ServiceOptions:
    """The options with which a configuration's service is put together."""
    found: list[ServiceOptions] = []

    def assemble(*_: Any, options: ServiceOptions, **__: Any) -> None:
        found.append(options)
        raise Reached

    monkeypatch.setattr(processes, "assemble", assemble)
    with pytest.raises(Reached):
        await asyncio.to_thread(processes.controller, Settings.model_validate(document))
    return found[0]


def laptop() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "examples" / "laptop.yaml").read_text())
    return document


async def test_what_the_file_says_of_the_end_reaches_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    document = laptop()
    document["controller"] |= {"keep_records": 20_000, "on_exit": "leave", "exit_wait_s": 5}
    options = await assembled(document, monkeypatch)
    assert (options.keep_records, options.on_exit, options.exit_wait_s) == (20_000, OnExit.LEAVE, 5.0)


async def test_the_keys_of_engines_reach_what_wakes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Endpoints] = []

    def assemble(*_: Any, endpoints: Endpoints, **__: Any) -> None:
        found.append(endpoints)
        raise Reached

    monkeypatch.setattr(processes, "assemble", assemble)
    document, file = laptop(), tmp_path / "key"
    document["pools"][0]["engine_key_file"] = str(file)
    with pytest.raises(ConfigError, match=r"engine_key_file .*: cannot be read"):
        await asyncio.to_thread(processes.controller, Settings.model_validate(document))
    file.write_text("of-the-first\n")
    with pytest.raises(Reached):
        await asyncio.to_thread(processes.controller, Settings.model_validate(document))
    names = [PoolId(pool["name"]) for pool in document["pools"]]
    assert found[0].engine_headers[names[0]] == {"authorization": "Bearer of-the-first"}
    assert not any(found[0].engine_headers[name] for name in names[1:])


async def test_pools_whose_gpus_are_not_named_are_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    document = laptop()
    for number, (name, plan) in enumerate(document["plan"]["pools"].items()):
        if name != "fp8":
            [pool] = [each for each in document["pools"] if each["name"] == name]
            counts = range(len(pool["instances"])), range(plan.get("gpus_per_instance", 1))
            plan["gpu_uuids"] = [[f"GPU-{number}-{n}-{gpu}" for gpu in counts[1]] for n in counts[0]]
    await assembled(document, monkeypatch)
    [told] = [record for record in caplog.records if record.message.startswith("gpus are not named")]
    assert told.__dict__["pools"] == ["fp8"]
    caplog.clear()
    del document["signals"]["dcgm_urls"]
    await assembled(document, monkeypatch)
    assert not [record for record in caplog.records if record.message.startswith("gpus are not named")]
