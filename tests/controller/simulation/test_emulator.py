from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.errors import ListenError
from controller.model.observation import InstanceState
from controller.simulation.emulator import Emulator, SpareGpus, run_emulator
from tests.fakes.emulated import MODEL, emulated, instance


async def control(emulator: Emulator, method: str, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{emulator.control_port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        assert response.headers["x-wattroute-emulated"] == "1"
        return response.status, await response.text()


async def gpu_values(emulator: Emulator, name: str) -> dict[str, float]:
    families = text_string_to_metric_families((await control(emulator, "GET", "/metrics"))[1])
    family = next(family for family in families if family.name == name)
    return {sample.labels["UUID"]: sample.value for sample in family.samples}


async def report(emulator: Emulator, instance_id: str) -> dict[str, Any]:
    listed = json.loads((await control(emulator, "GET", "/instances"))[1])
    return next(dict(item) for item in listed if item["instance_id"] == instance_id)


async def until_state(emulator: Emulator, instance_id: str, state: str) -> dict[str, Any]:
    while (found := await report(emulator, instance_id))["state"] != state:
        await asyncio.sleep(0.002)
    return found


async def health(emulator: Emulator, instance_id: str) -> int:
    url = f"http://127.0.0.1:{emulator.ports[instance_id]}/health"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


async def test_instances_are_listed_with_their_state_and_power() -> None:
    asleep = instance("bf16-1", state=InstanceState.SLEEPING)
    async with emulated(instance(), asleep) as emulator:
        serving, sleeping = await report(emulator, "bf16-0"), await report(emulator, "bf16-1")
    assert {"instance_id", "state", "running", "waiting", "power_w", "energy_j", "since_s"} <= serving.keys()
    assert (serving["state"], serving["power_w"], serving["running"]) == ("serving", pytest.approx(900.0), 0)
    assert (sleeping["state"], sleeping["power_w"]) == ("sleeping", pytest.approx(500.0))
    assert emulator.engine("bf16-1").sleep_level == 1


async def test_gpu_metrics_cover_instances_and_spare_gpus_and_only_grow() -> None:
    async with emulated(instance(), spare=SpareGpus(2, 73.0)) as emulator:
        power_w = await gpu_values(emulator, "DCGM_FI_DEV_POWER_USAGE")
        first = await gpu_values(emulator, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")
        await asyncio.sleep(0.02)
        second = await gpu_values(emulator, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")
    assert power_w == {
        "GPU-emulated-bf16-0-0": pytest.approx(450.0),
        "GPU-emulated-bf16-0-1": pytest.approx(450.0),
        "GPU-emulated-spare-0": 73.0,
        "GPU-emulated-spare-1": 73.0,
    }
    assert all(second[uuid] > first[uuid] for uuid in power_w)


async def test_a_stopped_instance_refuses_connections_until_it_has_started() -> None:
    async with emulated() as emulator:
        port = emulator.ports["bf16-0"]
        status, text = await control(emulator, "POST", "/instances/bf16-0/stop")
        assert (status, json.loads(text)["state"]) == (200, "off")
        with pytest.raises(aiohttp.ClientConnectorError):
            await health(emulator, "bf16-0")
        assert (await report(emulator, "bf16-0"))["running"] == 0
        status, text = await control(emulator, "POST", "/instances/bf16-0/start")
        assert (status, json.loads(text)["state"]) == (200, "starting")
        await until_state(emulator, "bf16-0", "serving")
        while True:
            try:
                assert await health(emulator, "bf16-0") == 200
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.002)
        assert emulator.ports["bf16-0"] == port


async def test_an_instance_that_begins_off_listens_once_started() -> None:
    async with emulated(instance(state=InstanceState.OFF)) as emulator:
        assert emulator.ports == {"bf16-0": 0}
        await control(emulator, "POST", "/instances/bf16-0/start")
        while emulator.ports["bf16-0"] == 0:
            await asyncio.sleep(0.002)
        assert await health(emulator, "bf16-0") == 200


async def test_stopping_cuts_streams_off() -> None:
    async with emulated() as emulator, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{emulator.ports['bf16-0']}/v1/completions"
        body = {"prompt": "x", "max_tokens": 50_000, "ignore_eos": True, "stream": True}
        async with session.post(url, json=body) as response:
            await response.content.readline()
            await control(emulator, "POST", "/instances/bf16-0/stop")
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        assert emulator.engine("bf16-0").in_flight == 0


async def test_unknown_instances_and_health() -> None:
    async with emulated() as emulator:
        status, text = await control(emulator, "POST", "/instances/nope/stop")
        assert (status, text) == (404, "no instance 'nope' is emulated; there are bf16-0\n")
        assert (await control(emulator, "GET", "/healthz"))[0] == 200


@pytest.mark.parametrize("which", ["instance", "control"])
async def test_a_taken_port_is_named_and_nothing_stays_open(which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one = instance()
        if which == "instance":
            one = type(one)(one.instance_id, one.host, port, one.curves, one.precision, one.gpu_uuids)
        with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            await run_emulator((one,), control_host="127.0.0.1", control_port=port, model=MODEL)
