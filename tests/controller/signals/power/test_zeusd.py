import asyncio
import contextlib
from random import Random

import aiohttp
import pytest
from aiohttp import web

from controller.background import Works
from controller.clock import VirtualClock
from controller.signals.power.event_stream import StreamParts
from controller.signals.power.http_access import HttpAccess, HttpOptions
from controller.signals.power.zeusd import ZeusdSource
from tests.fakes.fake_sse import until
from tests.fakes.fake_zeusd import FakeZeusd

UUIDS = ("GPU-a", "GPU-b")


class StillClock(VirtualClock):
    """Stands still also while a stream waits before it connects again."""

    async def sleep(self, duration_s):
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def zeusd(fake, *, uuids=UUIDS, options=None, path=None):
    runner = web.AppRunner(fake.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.UnixSite(runner, path) if path else web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = "http://localhost" if path else f"http://127.0.0.1:{runner.addresses[0][1]}"
    clock = StillClock(1000.0)
    connector = aiohttp.UnixConnector(path=path) if path else None
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            parts = StreamParts(clock, Random(1), Works(Random(0)))
            source = ZeusdSource(HttpAccess(session, options), url, uuids, parts)
            async with source.open():
                yield source, clock
    finally:
        fake.stream.hang_up()
        await runner.cleanup()


async def test_power_comes_from_the_energy_counters_by_the_uuids_of_the_indices():
    fake = FakeZeusd({0: 999.0, 1: 999.0})
    async with zeusd(fake) as (source, clock):
        await source.read(clock.wall_s())
        for index, watts in ((0, 400), (1, 300)):
            fake.energy_mj[index] += 2 * watts * 1000
        clock.advance(2.0)
        readings, errors = await source.read(clock.wall_s())
    assert errors == ()
    assert {uuid: reading.value_w for uuid, reading in readings.items()} == {"GPU-a": 400.0, "GPU-b": 300.0}
    assert readings["GPU-a"].energy_j == 800.0
    assert readings["GPU-a"].observed_at_s == 1002.0


async def test_without_a_counter_the_stream_tells_the_power():
    fake = FakeZeusd({0: 111.0, 1: 222.0}, has_counter=False)
    async with zeusd(fake) as (source, clock):
        asked, errors = await source.read(clock.wall_s())
        assert (asked["GPU-a"].value_w, asked["GPU-a"].energy_j, errors) == (111.0, None, ())
        await fake.stream.until_connected(1)
        fake.tell(0, 500.0)
        fake.tell(1, 600.0)
        await until(lambda: len(source._streamed) == 2)
        streamed, _ = await source.read(clock.wall_s())
        assert (streamed["GPU-a"].value_w, streamed["GPU-b"].value_w) == (500.0, 600.0)
        clock.advance(10.0)  # the stream is silent while nothing changes: power is asked for again
        again, _ = await source.read(clock.wall_s())
        assert (again["GPU-a"].value_w, again["GPU-a"].observed_at_s) == (111.0, 1010.0)
        fake.watts = {0: 700.0, 1: 222.0}
        fake.tell_all()
        await until(lambda: source._streamed[0][1] == 700.0)


async def test_a_gpu_that_is_lost_or_has_no_counter_leaves_the_others_theirs():
    """zeusd refuses the question for all where it cannot answer for one; its stream may repeat a last power."""
    fake = FakeZeusd({0: 111.0, 1: 222.0, 2: 333.0})
    fake.failing = {1: 400, 2: 500}
    async with zeusd(fake, uuids=("GPU-a", "GPU-b", "GPU-c")) as (source, clock):
        await fake.stream.until_connected(1)
        fake.tell_all()
        await until(lambda: len(source._streamed) == 3)
        readings, errors = await source.read(clock.wall_s())
    assert readings["GPU-a"].energy_j == 0.0
    assert (readings["GPU-b"].value_w, readings["GPU-b"].energy_j) == (222.0, None)
    assert "GPU-c" not in readings
    assert [str(error).endswith("get_cumulative_energy?gpu_ids=2: status 500") for error in errors] == [True]


async def test_a_token_is_wanted_and_sent(tmp_path):
    file = tmp_path / "token"
    file.write_text("jwt")
    fake = FakeZeusd({0: 100.0, 1: 100.0}, token="jwt")
    async with zeusd(fake) as (source, clock):
        readings, errors = await source.read(clock.wall_s())
        assert readings == {}
        assert "set token_file" in errors[0].reason
    async with zeusd(fake, options=HttpOptions(token_file=file)) as (source, clock):
        readings, errors = await source.read(clock.wall_s())
        assert set(readings) == set(UUIDS)
        assert errors == ()


async def test_by_a_unix_socket(tmp_path):
    async with zeusd(FakeZeusd({0: 100.0}), uuids=("GPU-a",), path=str(tmp_path / "z.sock")) as (source, clock):
        assert (await source.read(clock.wall_s()))[0]["GPU-a"].value_w == 100.0


async def test_gpus_that_the_configuration_does_not_name_or_zeusd_does_not_show():
    async with zeusd(FakeZeusd({0: 100.0, 1: 100.0}), uuids=("GPU-a",)) as (source, clock):
        readings, errors = await source.read(clock.wall_s())
        assert set(readings) == {"GPU-a"}
        assert "shows GPU 1, but gpu_uuids names 1" in errors[0].reason
    async with zeusd(FakeZeusd({0: 100.0})) as (source, clock):
        assert set((await source.read(clock.wall_s()))[0]) == {"GPU-a"}


@pytest.mark.parametrize("path", ["_power", "_energy"])
@pytest.mark.parametrize("many", ["many", 10**400])
async def test_an_answer_that_is_malformed_is_told(path, many, monkeypatch):
    async def rubbish(_):
        return web.json_response({"0": {"energy_mj": many}, "power_mw": {"0": many}})

    fake = FakeZeusd({0: 100.0, 1: 100.0})
    monkeypatch.setattr(fake, path, rubbish)
    async with zeusd(fake) as (source, clock):
        _, errors = await source.read(clock.wall_s())
    assert "malformed answer" in errors[0].reason
