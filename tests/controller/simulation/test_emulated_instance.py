from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from controller.clock import SystemClock
from controller.errors import ListenError
from controller.model.observation import InstanceState
from controller.simulation.emulated_instance import MODEL_CONTEXT_TOKENS, EmulatedInstance, ServedInstance
from tests.fakes.emulated import MODEL, instance


@asynccontextmanager
async def served(described: EmulatedInstance) -> AsyncIterator[ServedInstance]:
    one = ServedInstance(described, MODEL, 7, SystemClock())
    try:
        await one.open()
        yield one
    finally:
        one.close()


async def health(port: int) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health") as response:
        return response.status


async def until(one: ServedInstance, state: InstanceState) -> None:
    async with asyncio.timeout(10):
        while one.engine.state is not state:
            await asyncio.sleep(0.002)


async def test_an_instance_that_serves_listens_on_the_port_that_it_tells() -> None:
    async with served(instance()) as one:
        assert await health(one.port) == 200
        told = one.report()
    assert (told["instance_id"], told["state"], told["precision"], told["emulated"]) == (
        "bf16-0",
        "serving",
        "bf16",
        True,
    )
    assert told["port"] == one.port > 0
    with pytest.raises(aiohttp.ClientConnectorError):
        await health(one.port)


async def test_an_instance_that_is_off_listens_once_it_has_started() -> None:
    async with served(instance(state=InstanceState.OFF)) as one:
        assert one.port == 0
        one.engine.start()
        async with asyncio.timeout(10):
            while one.port == 0:
                await asyncio.sleep(0.002)
        assert await health(one.port) == 200
        port = one.port
        one.engine.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await health(port)
        one.engine.start()
        await until(one, InstanceState.SERVING)
        assert one.port == port


async def test_its_gpus_share_what_it_draws() -> None:
    async with served(instance(state=InstanceState.SLEEPING)) as one:
        gpus = one.gpus()
        _, power_w, util_frac = one.power()
    assert [gpu.uuid for gpu in gpus] == ["GPU-emulated-bf16-0-0", "GPU-emulated-bf16-0-1"]
    assert (power_w, util_frac) == (pytest.approx(500.0), 0.0)
    assert sum(gpu.power_w for gpu in gpus) == pytest.approx(power_w)


async def test_the_context_is_that_of_the_model_or_what_the_cache_holds_if_less() -> None:
    for kv_capacity_tokens, longest in ((1000, 1000), (10 * MODEL_CONTEXT_TOKENS, MODEL_CONTEXT_TOKENS)):
        async with served(instance(kv_capacity_tokens=kv_capacity_tokens)) as one:
            assert one.engine.spec.served.max_model_len == longest


async def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            async with served(dataclasses.replace(instance(), port=port)):
                pass


async def test_an_instance_whose_port_was_taken_while_it_was_off_stops_again(caplog: pytest.LogCaptureFixture) -> None:
    async with served(instance()) as one:
        one.engine.stop()
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", one.port))
            taken.listen()
            one.engine.start()
            async with asyncio.timeout(10):
                while "emulated instance stopped" not in caplog.messages:
                    await asyncio.sleep(0.002)
        assert one.engine.state is InstanceState.OFF
    [told] = [record for record in caplog.records if record.message == "emulated instance stopped"]
    assert str(one.port) in told.reason
