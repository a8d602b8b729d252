import asyncio
import contextlib
import time
from dataclasses import replace
from random import Random

import aiohttp
import pytest
from aiohttp import web

from controller.background import Works
from controller.clock import SystemClock
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power import event_stream
from controller.signals.power.agent_sample import STREAM_PATH, GpuSample, Sample, encode_event
from controller.signals.power.agent_stream import AgentSource
from controller.signals.power.event_stream import StreamParts
from controller.signals.power.http_access import HttpAccess, HttpOptions
from controller.signals.power.source import Board
from tests.fakes.fake_sse import FakeSse, until
from tests.fakes.http_stub import closed_url, http_stub

AHEAD_S = 3600.0


def sample(power_w: float = 412.5, age_s: float = 0.5, **more) -> Sample:
    """As an agent sends whose clock is an hour ahead."""
    sent_at_s = time.time() + AHEAD_S
    reading = Reading(power_w, 1000.0, sent_at_s - age_s, "nvml energy counter", Quality.DIRECT)
    lost = Missing("nvml", "GPU is lost", sent_at_s - 60)
    gpus = (GpuSample("GPU-a", "H100", reading), GpuSample("GPU-b", "H100", lost))
    return replace(Sample("node-1", "boot", 1, sent_at_s, 0.2, gpus), **more)


@contextlib.asynccontextmanager
async def reading(*urls, options=None):
    async with aiohttp.ClientSession() as session:
        access = HttpAccess(session, options or HttpOptions(timeout_s=0.5))
        parts = StreamParts(SystemClock(), Random(1), Works(Random(0)))
        async with AgentSource(access, urls, parts).open() as source:
            yield source


async def test_readings_keep_their_age_whatever_the_agents_clock_says():
    fake = FakeSse()
    fake.greeting = encode_event(sample(driver="580.95.05"))
    async with http_stub() as stub:
        stub.set(STREAM_PATH, fake.answer)
        async with reading(stub.url + "/") as source:
            readings, errors = await source.read(time.time())
            assert errors == ()
            assert readings["GPU-a"].value_w == 412.5
            assert time.time() - readings["GPU-a"].observed_at_s == pytest.approx(0.5, abs=1.0)
            assert readings["GPU-b"].reason == "GPU is lost"
            assert source.boards() == dict.fromkeys(("GPU-a", "GPU-b"), Board("H100", "580.95.05"))
            fake.send(encode_event(sample(500.0, sequence=2)))
            await until(lambda: source._nodes[stub.url + "/"].readings["GPU-a"].value_w == 500.0)
            fake.hang_up()


async def test_an_agent_that_cannot_read_nvml_says_why():
    fake = FakeSse()
    fake.greeting = encode_event(sample(error="no permission"))
    async with http_stub() as stub:
        stub.set(STREAM_PATH, fake.answer)
        async with reading(stub.url) as source:
            _, errors = await source.read(time.time())
            fake.hang_up()
    assert "node-1: no permission" in errors[0].reason


async def test_an_agent_that_is_lost_grows_old_and_hides_no_other(monkeypatch):
    monkeypatch.setattr(event_stream, "FIRST_S", 60.0)
    fake = FakeSse()
    fake.greeting = encode_event(sample())
    dead = closed_url()
    async with http_stub() as stub:
        stub.set(STREAM_PATH, fake.answer)
        async with reading(stub.url, dead) as source:
            before, errors = await source.read(time.time())
            assert [error.source for error in errors] == [dead + STREAM_PATH]
            fake.hang_up()
            await until(lambda: source._streams[stub.url].error is not None)
            after, errors = await source.read(time.time())
    assert after["GPU-a"] == before["GPU-a"]
    assert len(errors) == 2


async def test_the_token_goes_along(tmp_path):
    (tmp_path / "token").write_text("secret\n")
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=401)

    async with http_stub() as stub:
        stub.set(STREAM_PATH, answer)
        options = HttpOptions(timeout_s=0.2, token_file=tmp_path / "token")
        async with reading(stub.url, options=options) as source:
            _, errors = await source.read(time.time())
    assert seen[0] == "Bearer secret"
    assert f"does not accept the token in {tmp_path / 'token'}" in errors[0].reason
    assert "secret" not in str(errors[0])


async def test_an_agent_that_never_came_delays_the_first_look_alone():
    async with reading(closed_url(), options=HttpOptions(timeout_s=0.1)) as source:
        assert (await source.read(time.time()))[1]
        source._timeout_s = 3600.0
        async with asyncio.timeout(20):
            assert (await source.read(time.time()))[1]
