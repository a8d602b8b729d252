"""A whole controller over a stand-in for zeusd at a real Unix socket."""

import asyncio

import aiohttp
import pytest

from controller.errors import StoreError
from controller.model.gpu_limit import GpuLimit, When
from controller.service.gpu_limits import FILE_NAME, limiting_gpus
from controller.signals.power.specs import ZeusdSpec
from router.contract import PoolId
from tests.fakes.assembled import assembled, eventually, serving
from tests.fakes.fake_zeusd import FakeZeusd, on_a_socket
from tests.fakes.service_frame import framed

LIMITS = (GpuLimit(PoolId("bf16"), ("GPU-a",), When.FIXED, 450.0),)


async def until(holds):
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


async def test_a_fixed_limit_holds_while_the_controller_acts_and_is_given_back_at_its_end(tmp_path):
    zeusd = FakeZeusd({0: 300.0})
    async with on_a_socket(zeusd, tmp_path / "z") as url:
        ends = {"zeusd": (ZeusdSpec(url, ("GPU-a",)),)}
        async with assembled(tmp_path, gpu_limits=LIMITS, **ends) as service, serving(service):
            await until(lambda: zeusd.limits_mw == {0: 450_000})
        assert zeusd.limits_mw == {0: 700_000}


async def test_a_zeusd_that_is_not_there_is_a_fault_on_the_ladder_and_nothing_else_stops(tmp_path):
    ends = {"zeusd": (ZeusdSpec(f"unix:{tmp_path}/absent", ("GPU-a",)),)}
    async with (
        assembled(tmp_path, gpu_limits=LIMITS, **ends) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
    ):
        await eventually(session, f"{url}/readyz")
        await until(lambda: any(step["step"] == "gpu_limits" for step in service.board.snapshot["ladder"]))
        (told,) = [step for step in service.board.snapshot["ladder"] if step["step"] == "gpu_limits"]
        assert "cannot connect" in told["reason"]
        made = service.runner.status.decision
        await until(lambda: service.runner.status.decision is not made)


async def test_without_limits_there_is_nothing_to_look_at_unless_some_were_left(tmp_path):
    async with framed(tmp_path) as (frame, _):
        async with limiting_gpus(frame) as watchers:
            assert watchers == ()
        (tmp_path / FILE_NAME).write_text("{}")
        with pytest.raises(StoreError, match=FILE_NAME):
            await limiting_gpus(frame).__aenter__()
