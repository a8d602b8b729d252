"""A whole controller over a stand-in for zeusd at a real Unix socket."""

import asyncio
import dataclasses

import aiohttp
import pytest

from controller.errors import StoreError
from controller.model.gpu_limit import Found, GpuLimit, When
from controller.service.gpu_limits import FILE_NAME, limiting_gpus, opened_limiter
from controller.service.options import ElectionSpec
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


async def nobody():
    """There is nobody to share with."""


async def test_without_limits_there_is_nothing_to_look_at_unless_some_were_left(tmp_path):
    async with framed(tmp_path) as (frame, _):
        async with (
            opened_limiter(frame, nobody) as limiter,
            limiting_gpus(frame, limiter, lambda: False) as watchers,
        ):
            assert (limiter, watchers) == (None, ())
        (tmp_path / FILE_NAME).write_text("{}")
        with pytest.raises(StoreError, match=FILE_NAME):
            await opened_limiter(frame, nobody).__aenter__()


async def test_one_of_several_controllers_goes_on_from_the_leader_though_it_limits_nothing_itself(tmp_path):
    zeusd = FakeZeusd({0: 300.0})
    zeusd.limits_mw[0] = 450_000
    async with (
        on_a_socket(zeusd, tmp_path / "z") as url,
        framed(tmp_path, zeusd=(ZeusdSpec(url, ("GPU-a",)),)) as (frame, _),
    ):
        options = dataclasses.replace(frame.options, election=ElectionSpec("lead", None, "b_1", "http://b", None))
        async with opened_limiter(dataclasses.replace(frame, options=options), nobody) as limiter:
            limiter.take_up((Found("GPU-a", 700.0, (450.0,)),))
            await limiter.bring_to(())
    assert zeusd.limits_mw == {0: 700_000}
